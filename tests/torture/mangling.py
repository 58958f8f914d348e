"""Bytes of a whole file, spoilt in ways that people and their tools come up with."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

Mangle = Callable[[bytes, random.Random], bytes]

# What a size, a length or an offset says where it lies.
NUMBERS = (
    *(0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1),
    *(2**48, 2**63 - 1, 2**64 - 1),
)
WORDS = (
    b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"9" * 5000, b"18446744073709551616", b"null",
    b"true", b"'", b'"', b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b]0;x\x07", b"../../x",
    b"/etc/passwd", b"[" * 3000, b'{"a":' * 3000, b"a." * 3000 + b"a = 1\n", b"(" * 300,
    b"x" * 70_000, b"\r", b"\n\n", b",,,,", b"%s%n{0}{a.b}", b"__import__('os').system('id')",
    b"!!python/object/apply:os.system [id]", b"=cmd|' /C calc'!A0", b"cos\nsystem\n(S'id'\ntR.",
    b"${jndi:ldap://x}", b"<!ENTITY x SYSTEM 'file:///etc/passwd'>",
)  # fmt: skip


def flipped(content: bytes, draw: random.Random) -> bytes:
    """Return it with one to eight bytes changed, more often than not near its ends."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[_place(len(changed), draw)] ^= draw.randrange(1, 256)
    return bytes(changed)


def cut(content: bytes, draw: random.Random) -> bytes:
    """Return its beginning."""
    return content[: draw.randrange(len(content))]


def numbered(content: bytes, draw: random.Random) -> bytes:
    """Return it with a number of two, four or eight bytes in the place of as many."""
    form = draw.choice("HIQ")
    number = draw.choice(NUMBERS) & (256 ** struct.calcsize(form) - 1)
    return _over(content, struct.pack(draw.choice("<>") + form, number), draw)


def worded(content: bytes, draw: random.Random) -> bytes:
    """Return it with a word of somebody else in it, or in the place of one of its own."""
    place = _place(len(content), draw)
    left = draw.choice((place, place, place + draw.randrange(12)))
    return content[:place] + draw.choice(WORDS) + content[left:]


def repeated(content: bytes, draw: random.Random) -> bytes:
    """Return it with a piece of itself again, once or many times."""
    start = _place(len(content), draw)
    piece = content[start : start + draw.randint(1, 64)]
    return content[:start] + piece * draw.choice((1, 2, 50, 2000)) + content[start:]


def without(content: bytes, draw: random.Random) -> bytes:
    """Return it without a piece."""
    start = _place(len(content), draw)
    return content[:start] + content[start + draw.randint(1, 64) :]


MANGLES: tuple[Mangle, ...] = (flipped, cut, numbered, numbered, worded, repeated, without)


def mangled(content: bytes, draw: random.Random) -> bytes:
    """Return it spoilt once, or twice."""
    for _ in range(draw.choice((1, 1, 2))):
        if content:
            content = draw.choice(MANGLES)(content, draw)
    return content


def _over(content: bytes, piece: bytes, draw: random.Random) -> bytes:
    place = _place(len(content), draw)
    return content[:place] + piece + content[place + len(piece) :]


def _place(size: int, draw: random.Random) -> int:
    """Return a place; headers and footers are met as often as all that lies between."""
    near = min(size, 96)
    kind = draw.random()
    if kind < 0.35:
        return draw.randrange(near)
    return size - 1 - draw.randrange(near) if kind < 0.5 else draw.randrange(size)
