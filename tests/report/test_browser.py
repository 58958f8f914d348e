"""The report in headless Chromium: drawn, readable, quiet, offline, and deaf to scripts."""

from __future__ import annotations

import json

import pytest
from payloads import MARK, PAYLOADS, crowd, poison
from sample import record, sample, small_sample

from slipstream.loss_surface import Landscape
from slipstream.report import ReportInput, Side, render
from slipstream.report.landscape import write_picture

WHOLE = render(sample())

OVERFLOW = """
const wide = [];
for (const one of document.querySelectorAll("body *")) {
  if (one.closest(".scroll, pre, .js-plotly-plot")) continue;
  if (one.getBoundingClientRect().right > innerWidth + 0.5) wide.push(one.outerHTML.slice(0, 90));
}
return [document.documentElement.scrollWidth, innerWidth, wide];
"""

# Shows the hover text of every trace, and every metric: charts draw some labels only then.
SHOW_ALL = """
for (const chart of document.querySelectorAll(".js-plotly-plot")) {
  chart.data.forEach((trace, number) => {
    try { Plotly.Fx.hover(chart, [{curveNumber: number, pointNumber: 0}]); } catch (error) {}
  });
}
for (const button of document.querySelectorAll("[data-metric]")) button.click();
for (const one of document.querySelectorAll("details")) one.open = true;
"""

# Elements and attributes that the templates never make.
FOREIGN = """
const foreign = "img, iframe, object, embed, math, video, audio, input, textarea, form, base,"
  + " animate, meta[http-equiv=refresh], main script, svg script, .chart a, [autofocus]";
const found = [...document.querySelectorAll(foreign)].map((one) => one.outerHTML.slice(0, 90));
for (const one of document.querySelectorAll("*")) {
  for (const {name, value} of one.attributes) {
    if (name.startsWith("on") || /^ *javascript:/i.test(value)) found.push(`${name}=${value}`);
  }
}
if (window.xss) found.push("a script ran");
return found;
"""


def errors_of(browser) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def requests_of(browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if not url.startswith(("file:", "data:", "chrome:", "about:"))]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_are_drawn_without_errors_or_requests(page, dark):
    browser = page(WHOLE, dark=dark)
    for chart, fewest in (("chart-curves", 9), ("chart-pareto", 4)):
        drawn = (
            f"return document.querySelectorAll('#{chart} .main-svg .scatterlayer .trace').length"
        )
        assert browser.execute_script(drawn) >= fewest
    assert errors_of(browser) == []
    assert requests_of(browser) == []


def test_it_follows_the_theme_and_the_toggle(page):
    ground = "return getComputedStyle(document.body).backgroundColor"
    stroke = "return document.querySelector('#chart-curves .js-line').style.stroke"
    browser = page(WHOLE, dark=False)
    light = browser.execute_script(ground), browser.execute_script(stroke)
    browser.find_element("id", "theme").click()
    assert (browser.execute_script(ground), browser.execute_script(stroke)) != light
    toggled = browser.execute_script(ground), browser.execute_script(stroke)
    browser = page(WHOLE, dark=True)
    assert (browser.execute_script(ground), browser.execute_script(stroke)) == toggled
    assert all(one != other for one, other in zip(light, toggled, strict=True))


@pytest.mark.parametrize("width", [375, 768, 1200])
def test_the_page_never_scrolls_sideways(page, width):
    browser = page(WHOLE, width=width)
    scroll_width, inner_width, wide = browser.execute_script(OVERFLOW)
    assert inner_width == width
    assert scroll_width <= inner_width
    assert wide == []


def test_long_words_do_not_widen_a_phone(page):
    content = poison(sample(), "a_name_without_any_place_to_break_it_" * 4)
    browser = page(render(content), width=375)
    scroll_width, inner_width, _ = browser.execute_script(OVERFLOW)
    assert scroll_width <= inner_width


def test_buttons_change_metric_and_axis(page):
    browser = page(WHOLE)
    layout = "return document.getElementById('chart-curves').layout"
    assert browser.execute_script(layout)["yaxis"]["title"]["text"] == "val_accuracy"
    assert len(browser.execute_script(layout)["shapes"]) == 1
    browser.find_element("css selector", "[data-metric='1']").click()
    browser.find_element("css selector", "[data-axis='log']").click()
    changed = browser.execute_script(layout)
    assert changed["yaxis"]["title"]["text"] == "val_loss"
    assert changed["xaxis"]["type"] == "log"
    assert not changed.get("shapes")
    assert errors_of(browser) == []


def test_print_is_light_and_unfolded(page):
    browser = page(WHOLE, dark=True)
    stroke = "return document.querySelector('#chart-curves .js-line').style.stroke"
    dark = browser.execute_script(stroke)
    browser.execute_cdp_cmd("Page.printToPDF", {})
    assert browser.execute_script("return document.querySelector('details').open")
    assert browser.execute_script(stroke) == dark  # back on the screen
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"


@pytest.mark.parametrize(
    "content",
    [
        ReportInput(),
        ReportInput(task="digits", verdict=("No gain found.",), outcome="no gain found"),
        ReportInput(sides=(Side(label="run", role="run", records=(record(),)),)),
        ReportInput(sides=(Side(label="run", role="run", records=(record(epochs=1),)),)),
    ],
    ids=["nothing", "verdict alone", "one run", "one evaluation"],
)
def test_missing_parts_raise_no_errors(page, content):
    browser = page(render(content))
    assert errors_of(browser) == []
    assert browser.find_element("css selector", "h1").text


def test_without_scripts_the_tables_remain(page):
    browser = page(WHOLE)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert browser.find_element("css selector", "noscript p").is_displayed()
        assert browser.find_element("css selector", "#comparison table").is_displayed()
        assert not browser.find_element("id", "chart-curves").is_displayed()
        assert not browser.find_element("id", "theme").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_detector_sees_a_script_that_runs(page):
    html = WHOLE.replace("</h1>", f"</h1><img src=data:, onerror={MARK}>", 1)
    browser = page(html, policy=False)
    browser.implicitly_wait(0)
    assert browser.execute_async_script("setTimeout(arguments[0], 100)") is None
    assert "a script ran" in browser.execute_script(FOREIGN)


def test_the_policy_alone_stops_scripts(page):
    inline = f"</h1><img src=data:, onerror={MARK}><script>{MARK}</script>"
    browser = page(WHOLE.replace("</h1>", inline, 1), policy=True)
    assert browser.execute_async_script("setTimeout(arguments[0], 100)") is None
    assert browser.execute_script("return window.xss === undefined")
    assert any("Content Security Policy" in message for message in errors_of(browser))


@pytest.mark.parametrize("first", range(0, len(PAYLOADS), 12))
def test_no_payload_runs_in_any_field_even_without_the_policy(page, first):
    # Rotated, so that a payload which swallows the rest cannot hide the others on every page.
    payloads = PAYLOADS[first:] + PAYLOADS[:first]
    content = crowd(small_sample(), payloads)
    browser = page(render(content), policy=False)
    browser.execute_script(SHOW_ALL)
    assert browser.execute_script(FOREIGN) == []
    title = " ".join(content.title.replace("\x00", "\ufffd").split())
    assert " ".join(browser.execute_script("return document.title").split()) == title
    traces = browser.find_elements("css selector", "#chart-curves .scatterlayer .trace")
    assert len(traces) >= len(PAYLOADS)
    assert errors_of(browser) == []


def test_labels_of_charts_are_shown_as_they_are_written(page):
    label = "<b>bold</b> <a href='https://example.org'>link</a> &amp; %{y} $x$"
    run = record(monitor=label[:30])
    content = ReportInput(sides=(Side(label=label, role="run", records=(run, run)),))
    browser = page(render(content))
    title = browser.find_element("css selector", "#chart-curves .ytitle")
    assert title.get_attribute("textContent") == label[:30]
    browser.execute_script(
        "Plotly.Fx.hover('chart-curves', [{curveNumber: 0, pointNumber: 20}], ['xy'])"
    )
    hover = browser.find_element("css selector", "#chart-curves .hoverlayer .hovertext")
    shown = hover.get_attribute("textContent").replace("\u200b", "")
    assert label[:50] in shown
    assert browser.find_elements("css selector", "#chart-curves a") == []
    assert errors_of(browser) == []


@pytest.mark.parametrize("policy", [True, False], ids=["with the policy", "without"])
def test_a_landscape_runs_its_own_scripts_alone(page, tmp_path, policy):
    first, second, third = PAYLOADS[1], PAYLOADS[11], PAYLOADS[33]
    landscape = Landscape(
        task=first,
        backend=second,
        method=third,
        steps=(-1.0, 0.0, 1.0),
        losses=((2.0, 1.0, 2.0),) * 3,
        loss=1.0,
        sharpness=2.0,
        examples=8,
        seed=0,
    )
    html = write_picture(landscape, tmp_path / "landscape.html").read_text("utf-8")
    browser = page(html, policy=policy)
    assert browser.execute_script(FOREIGN) == []
    title = browser.find_element("css selector", ".gtitle").get_attribute("textContent")
    assert first in title
    assert browser.find_elements("css selector", ".contourlayer path")
    assert requests_of(browser) == []
    assert not any("Content Security Policy" in message for message in errors_of(browser))
    if policy:
        inline = f"<img src=data:, onerror={MARK}><script>{MARK}</script></body>"
        browser = page(html.replace("</body>", inline, 1), policy=True)
        assert browser.execute_async_script("setTimeout(arguments[0], 100)") is None
        assert browser.execute_script("return window.xss === undefined")
