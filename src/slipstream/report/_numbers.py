"""Numbers as people read them: seconds, factors, differences, bytes."""

from __future__ import annotations

import math

from slipstream.report._content import Interval

ABSENT = "–"
MINUS = "\u2212"


def seconds(value: float | None) -> str:
    """Write a duration.

    Example:
        >>> seconds(0.0312), seconds(41.23), seconds(192), seconds(3840), seconds(float("inf"))
        ('31 ms', '41.2 s', '3 min 12 s', '1 h 04 min', 'never')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "never"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms" if value else "0 s"
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s"


def factor(value: float | None) -> str:
    """Write a ratio.

    Example:
        >>> factor(3.4216), factor(12.3), factor(240.0), factor(float("inf"))
        ('3.42×', '12.3×', '240×', '∞')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞"
    size = abs(value)
    return f"{value:.{0 if size >= 99.95 else 1 if size >= 9.995 else 2}f}×"


def metric(value: float | None) -> str:
    """Write a metric's value with four significant digits, at most four after the point.

    Example:
        >>> metric(0.97321), metric(12.3456), metric(5123.4), metric(0.00074), metric(1.25e-5)
        ('0.9732', '12.35', '5123', '0.0007', '1.25e−05')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    size = abs(value)
    if value != 0 and (size < 5e-5 or size >= 1e6):
        return f"{value:.2e}".replace("-", MINUS)
    digits = 4 if size < 1 else max(0, 3 - math.floor(math.log10(size)))
    return f"{value:.{digits}f}".replace("-", MINUS)


def plain(value: float | None) -> str:
    """Write a number that a person chose or counted, without trailing zeros.

    Example:
        >>> plain(0.97), plain(25.0), plain(12.3456), plain(float("inf"))
        ('0.97', '25', '12.35', '∞')
    """
    if value is None or not math.isfinite(value):
        return metric(value)
    return f"{value:.4g}".replace("-", MINUS)


def difference(value: float | None) -> str:
    """Write a difference with its sign.

    Example:
        >>> difference(0.0042), difference(-0.0042), difference(0.0)
        ('+0.0042', '−0.0042', '0.0000')
    """
    if value is None or math.isnan(value):
        return ABSENT
    text = metric(abs(value))
    if value == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def count(value: float | None) -> str:
    """Write a count with thin spaces between thousands.

    Example:
        >>> count(1234567), count(None)
        ('1\u202f234\u202f567', '–')
    """
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞"
    return f"{value:,.0f}".replace(",", "\u202f")


def size(num_bytes: float | None) -> str:
    """Write a size in memory.

    Example:
        >>> size(1_288_490_189), size(52_428_800), size(0)
        ('1.20 GiB', '50 MiB', '–')
    """
    if not num_bytes or not math.isfinite(num_bytes):
        return ABSENT
    mebibytes = num_bytes / 2**20
    return f"{mebibytes / 1024:.2f} GiB" if mebibytes >= 1024 else f"{mebibytes:.0f} MiB"


def factor_bounds(interval: Interval | None) -> str:
    """Write the bounds of a ratio, or nothing when there are none.

    Example:
        >>> factor_bounds(Interval(3.4, 2.9, 4.0)), factor_bounds(Interval(3.4))
        ('2.90 to 4.00×', '')
    """
    if interval is None or interval.low is None or interval.high is None:
        return ""
    low = factor(interval.low)
    return f"{low.removesuffix('×')} to {factor(interval.high)}"


def difference_bounds(interval: Interval | None) -> str:
    """Write the bounds of a difference, or nothing when there are none.

    Example:
        >>> difference_bounds(Interval(0.01, -0.002, 0.022))
        '−0.0020 to +0.0220'
    """
    if interval is None or interval.low is None or interval.high is None:
        return ""
    return f"{difference(interval.low)} to {difference(interval.high)}"
