"""The policy of a page: it runs the scripts that it was written with, and asks nobody for more."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

# Plotly sets styles as it draws, and hands out pictures of charts as blobs.
POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:;"
    " base-uri 'none'; form-action 'none'"
)
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


def hashes_of(scripts: Iterable[str]) -> str:
    """Return scripts as a policy names them.

    Example:
        >>> hashes_of(["alert(1)"])
        "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def with_policy(html: str) -> str:
    """Return a page of scripts that stand in it, with the policy that runs these alone."""
    # A browser reads every line ending as \n before it compares the hash.
    html = html.replace("\r\n", "\n").replace("\r", "\n")
    policy = POLICY.format(hashes=hashes_of(_SCRIPT.findall(html)))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    referrer = '<meta name="referrer" content="no-referrer">'
    return html.replace("<head>", f"<head>{meta}{referrer}", 1)
