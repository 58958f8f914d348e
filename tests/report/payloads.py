"""Texts that would run a script, or break out of a page, wherever they are not escaped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from slipstream.record import Failure, Point, Record, Signal
from slipstream.report import ReportInput

MARK = "window.xss=1"

PAYLOADS = (
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f"</SCRIPT ><script>{MARK}//",
    f"<!--<script>{MARK}</script>",
    f"--><script>{MARK}</script>",
    f"]]><script>{MARK}</script>",
    f"</title><script>{MARK}</script>",
    f"</style><script>{MARK}</script>",
    f"</textarea><script>{MARK}</script>",
    f"</noscript><img src=x onerror={MARK}>",
    f"</pre></code><img src=x onerror={MARK}>",
    f"<img src=x onerror={MARK}>",
    f'"><img src=x onerror={MARK}>',
    f"'><img src=x onerror={MARK}>",
    f'" onmouseover="{MARK}" autofocus onfocus="{MARK}',
    f"' onfocus='{MARK}' autofocus tabindex=0 '",
    f"` onfocus={MARK} autofocus `",
    f"<svg onload={MARK}>",
    f"<svg><script>{MARK}</script></svg>",
    f"<svg><animate onbegin={MARK} attributeName=x dur=1s>",
    f"<math><mtext><img src=x onerror={MARK}></mtext></math>",
    f'<iframe srcdoc="<script>parent.{MARK}</script>">',
    f"<iframe src=javascript:parent.{MARK}>",
    f"<body onload={MARK}>",
    f"<details open ontoggle={MARK}>",
    f"<video><source onerror={MARK}></video>",
    f"<input autofocus onfocus={MARK}>",
    f"<a href=javascript:{MARK}>a</a>",
    f'<a href="javascript:{MARK}">click</a>',
    f"<a xlink:href='javascript:{MARK}'>b</a>",
    f"<b onclick={MARK}>bold</b><sub>low</sub><br>line",
    f'<span style="color:red" onclick="{MARK}">s</span>',
    f'<meta http-equiv="refresh" content="0;url=javascript:{MARK}">',
    f"<base href='javascript:{MARK}//'>",
    f"<object data=javascript:{MARK}></object>",
    f"&lt;script&gt;{MARK}&lt;/script&gt;",
    f"&#60;img src=x onerror={MARK}&#62;",
    f"\\u003cscript\\u003e{MARK}\\u003c/script\\u003e",
    f'";{MARK};"',
    f"';{MARK};'",
    f"`${{{MARK}}}`",
    f"\u2028{MARK}\u2029//",
    f"{{{{ 7*7 }}}}{{% raw %}}<script>{MARK}</script>",
    f"%{{x}}%{{customdata.constructor}}<img src=x onerror={MARK}>",
    f"$\\href{{javascript:{MARK}}}{{x}}$",
    f"\x00<scr\x00ipt>{MARK}</script>",
    f"<script src=data:text/javascript,{MARK}></script>",
    f"<script type=module>{MARK}</script>",
    f"<form action=javascript:{MARK}><button autofocus>x</button></form>",
    f"<marquee onstart={MARK}>x</marquee>",
    f"<template><script>{MARK}</script></template><xmp><img src=x onerror={MARK}></xmp>",
    f"<link rel=stylesheet href=x onerror={MARK}>",
    f"[x](javascript:{MARK}) ![y](x) <javascript:{MARK}>",
    f"<select autofocus onfocus={MARK}><keygen></select>",
)

# What the program itself chooses among; a user cannot name these.
CHOICES = {"role", "direction", "mode", "quality_mode"}


def poison(value: Any, payload: str, name: str = "") -> Any:
    """Put the payload in front of every text that a user can name, at any depth."""
    if isinstance(value, Record):
        return _poison_record(value, payload)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value)]
        changes = {field: poison(getattr(value, field), payload, field) for field in fields}
        return dataclasses.replace(value, **changes)
    if isinstance(value, str):
        return value if name in CHOICES else payload + value
    if isinstance(value, tuple):
        return tuple(poison(one, payload, name) for one in value)
    if isinstance(value, dict):
        return {payload + key: poison(one, payload) for key, one in value.items()}
    return value


def _poison_record(record: Record, payload: str) -> Record:
    points = [
        Point(
            step=point.step,
            epoch=point.epoch,
            seconds=point.seconds,
            values={payload + name: value for name, value in point.values.items()},
        )
        for point in record.points
    ]
    tests = {payload + name: value for name, value in (record.test_values or {}).items()}
    failure = record.failure
    changes: dict[str, Any] = {
        "task": payload + record.task,
        "reference": payload + record.reference,
        "applied": {key: payload + text for key, text in record.applied.items()},
        "notes": [payload + note for note in (*record.notes, "a note")],
        "events": [Signal(epoch=1.0, step=1, kind=payload, seen=payload, advice=payload)],
        "monitor": payload + record.monitor,
        "test_values": tests,
        "points": points,
    }
    if failure is not None:
        changes["failure"] = Failure(kind=payload, message=payload + failure.message)
    return record.model_copy(update=changes)


def crowd(content: ReportInput, payloads: Sequence[str]) -> ReportInput:
    """Put every payload into every field of one report: each list has a row for each payload.

    A field of which there is one holds them all in a row, the monitor the first alone, as its
    label in the charts is cut after some letters.
    """
    together = " ".join(payloads)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(content):
        value = getattr(content, field.name)
        if isinstance(value, tuple) and value:
            rows = [poison(value[0], payload, field.name) for payload in payloads]
            changes[field.name] = tuple(rows)
        elif isinstance(value, dict):
            changes[field.name] = {payload: payload for payload in payloads}
        else:
            changes[field.name] = poison(value, together, field.name)
    return dataclasses.replace(content, **{**changes, "monitor": payloads[0] + content.monitor})
