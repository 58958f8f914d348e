"""One headless Chromium for all browser tests, or a skip that says what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DRIVER = shutil.which("chromedriver") or "/usr/bin/chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    for program, package in ((CHROMIUM, "chromium"), (DRIVER, "chromium-driver")):
        if not Path(program).exists():
            pytest.skip(f"{program} is missing; on Debian: apt-get install {package}")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(service=service, options=options)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(browser, tmp_path: Path) -> Callable[[str], object]:
    """Open HTML text from a file, in a window of the given size and theme."""

    def open_page(html: str, *, width: int = 1200, dark: bool = False, policy: bool = True):
        browser.get("about:blank")
        browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": not policy})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": [theme]})
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        file = tmp_path / "report.html"
        file.write_bytes(html.encode("utf-8", "replace"))
        browser.get(file.as_uri())
        return browser

    return open_page
