"""Plans' files with one thing wrong, made up by a seed."""

from __future__ import annotations

import random
import string
import tomllib
from collections.abc import Callable
from pathlib import Path

from slipstream.plan import Plan, all_keys
from torture.wrong_input import ANY, Case, misspelt

# Values that few keys take; each stands alone on its line.
ODD_VALUES = (
    "-1", "0", "1e400", "nan", "inf", "-inf", "1" + "0" * 40, "9" * 5000, "0x" + "f" * 6000, "true",
    "''", "'no such word'", "'\\u202e'", '"\\u0000"', "[]", "[1, [2, [3]]]", "{}", "{a = {b = 1}}",
    "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "[" * 3000 + "]" * 3000,
    "'" + "x" * 20_000 + "'",
    "'1 step'", "'-3 epochs'", "'99999999999999999999 steps'", "'0.5: 0.1'", "''''''", "'a=b, c'",
)  # fmt: skip


def _reading(file: Path, draw: random.Random, sure: bool = True) -> tuple[str, ...]:
    """Return a command that reads a plan; one that would train with it only if it is refused."""
    path = str(file)
    if not sure:
        return ("schedule", path, "--updates", str(draw.choice((1, 7, 100))))
    return draw.choice(
        [
            ("schedule", path),
            ("fit", "digits", "--plan", path),
            ("compare", "digits", path, path),
            ("ablate", "digits", "--plan", path),
            ("batch", "digits", "--plan", path),
            ("eject", path, "digits"),
        ]
    )


def _lines(draw: random.Random) -> list[tuple[str, str, str]]:
    """Return (section, key, value) of some keys of a plan, at their defaults, in its order."""
    keys = set(draw.sample(all_keys(), draw.randint(1, 30)))
    flat = Plan().flat()
    return [(*key.split(".", 1), _toml(flat[key])) for key in all_keys() if key in keys]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _written(lines: list[tuple[str, str, str]], draw: random.Random) -> tuple[list[str], list[int]]:
    """Return the lines of a text, with comments between, and where each key stands, from 1."""
    text, places, section = [], [], ""
    for name, key, value in lines:
        if name != section:
            text += ["", f"[{name}]"] if draw.random() < 0.7 else [f"[ {name} ] # begins"]
            section = name
        text += ["# ünï \u2028 size = 3"] * (draw.random() < 0.2)
        space = " " * draw.randint(0, 2)
        quote = draw.choice(("", "", '"', "'"))
        text.append(f"{space}{quote}{key}{quote}{space}={space}{value}")
        places.append(len(text))
    return text, places


def _put(text: list[str], folder: Path, draw: random.Random) -> Path:
    file = folder / f"plan{draw.randrange(4)}.toml"
    end = draw.choice(("\n", "\r\n"))
    mark = b"\xef\xbb\xbf" if draw.random() < 0.1 else b""
    file.write_bytes(mark + end.join(text).encode())
    return file


def misspelt_key(draw: random.Random, folder: Path) -> Case:
    """A key of a file that no plan has."""
    lines = _lines(draw)
    at = draw.randrange(len(lines))
    section, key, value = lines[at]
    wrong = misspelt(key, draw)
    if f"{section}.{wrong}" in all_keys() or not wrong.strip("_") or "__" in wrong[:2]:
        wrong = f"{key}x"
    lines[at] = (section, wrong, value)
    text, places = _written(lines, draw)
    file = _put(text, folder, draw)
    given = f"{section}.{wrong}"
    return Case(
        f"key {given}",
        _reading(file, draw),
        says=(given, str(file), f"line {places[at]}"),
        identifier="SLP-101",
        typo=(given, tuple(all_keys())),
    )


def two_mistakes(draw: random.Random, folder: Path) -> Case:
    """A key that no plan has and a value that its key cannot have: both are told."""
    lines = [*_lines(draw), ("seeds", "seed", "-7")]
    at = draw.randrange(len(lines) - 1) if len(lines) > 1 else 0
    section, key, value = lines[at]
    lines[at] = (section, f"{key}zz", value)
    lines = [line for line in lines[:-1] if line[:2] != ("seeds", "seed")] + lines[-1:]
    text, places = _written(lines, draw)
    file = _put(text, folder, draw)
    at = next((n for n, line in enumerate(lines) if line[1].endswith("zz")), None)
    says = [f"line {places[-1]}", "'seeds.seed'"]
    says += [f"line {places[at]}", f"{lines[at][1]}", "1 more problem"] if at is not None else []
    return Case("two mistakes", _reading(file, draw), says=tuple(says))


def misspelt_section(draw: random.Random, folder: Path) -> Case:
    """A section of a file that no plan has."""
    lines = _lines(draw)
    section = draw.choice(lines)[0]
    wrong = misspelt(section, draw)
    if wrong in Plan.model_fields:
        wrong = f"{section}z"
    lines = [(wrong if name == section else name, key, value) for name, key, value in lines]
    text, _ = _written(lines, draw)
    line = next(
        n for n, one in enumerate(text, 1) if one.startswith((f"[{wrong}]", f"[ {wrong} ]"))
    )
    file = _put(text, folder, draw)
    says = (f"'{wrong}'", f"line {line}", "Did you mean")
    return Case(f"section {wrong}", _reading(file, draw), says=says, identifier="SLP-101")


def odd_value(draw: random.Random, folder: Path) -> Case:
    """A value that its key most often cannot have."""
    lines = _lines(draw)
    at = draw.randrange(len(lines))
    section, key, _ = lines[at]
    lines[at] = (section, key, draw.choice(ODD_VALUES))
    text, places = _written(lines, draw)
    file = _put(text, folder, draw)
    what = f"{section}.{key} = {lines[at][2][:30]}"
    # A value that is allowed may contradict another key: both are named then, with their lines.
    return Case(what, _reading(file, draw, sure=False), ANY, says=(f"{places[at]}",))


def wrong_type(draw: random.Random, folder: Path) -> Case:
    """A list, a table or a date, which no key of a plan takes."""
    lines = _lines(draw)
    at = draw.randrange(len(lines))
    section, key, _ = lines[at]
    value = draw.choice(("[]", "[1, 2]", "{}", "{a = 1}", "1979-05-27", "07:32:00"))
    lines[at] = (section, key, value)
    text, places = _written(lines, draw)
    file = _put(text, folder, draw)
    says = (f"{section}", str(file), f"line {places[at]}")
    return Case(f"{section}.{key} = {value}", _reading(file, draw), says=says)


def no_section(draw: random.Random, folder: Path) -> Case:
    """A section that is a value, or a list of tables."""
    section = draw.choice(list(Plan.model_fields))
    line = draw.choice(
        (f"{section} = 3", f"[[{section}]]", f'"{section}" = "x"', f"{section} = []")
    )
    before = ["# a plan"] * draw.randint(0, 3)
    file = _put([*before, line], folder, draw)
    says = (f"[{section}]", f"line {len(before) + 1}")
    return Case(line, _reading(file, draw), says=says, identifier="SLP-106")


def within_a_line(draw: random.Random, folder: Path) -> Case:
    """A misspelt key in an inline table or behind a dot."""
    section, key = draw.choice(all_keys()).split(".")
    wrong = f"{key}_{draw.choice(string.ascii_lowercase)}q"
    line = draw.choice((f"{section} = {{{wrong} = 1}}", f"{section}.{wrong} = 1",
                        f'"{section}" . \'{wrong}\' = 1', f"[{section}.{wrong}]"))  # fmt: skip
    before = ["# a plan"] * draw.randint(0, 3)
    file = _put([*before, line], folder, draw)
    says = (f"{section}.{wrong}", f"line {len(before) + 1}")
    return Case(line, _reading(file, draw), says=says, identifier="SLP-101",
                typo=(f"{section}.{wrong}", tuple(all_keys())))  # fmt: skip


def broken_toml(draw: random.Random, folder: Path) -> Case:
    """A text that is no TOML any more: letters gone, put in, or a key twice."""
    text, places = _written(_lines(draw), draw)
    for _ in range(50):
        spoilt = list(text)
        at = draw.choice(places) - 1
        line = spoilt[at]
        cut = draw.randrange(len(line))
        spoilt[at] = draw.choice(
            (line[:cut], line[:cut] + draw.choice("\"'[]{}=#,.\\\x01\x7f") + line[cut:],
             f"{line}\n{line}", line.replace("=", " ", 1), line.replace("=", "==", 1))
        )  # fmt: skip
        try:
            tomllib.loads("\n".join(spoilt))
        except tomllib.TOMLDecodeError:
            file = folder / "broken.toml"
            file.write_text("\n".join(spoilt), encoding="utf-8")
            says = (str(file),)
            return Case("no TOML", _reading(file, draw), says=says, identifier="SLP-105")
    return misspelt_key(draw, folder)


def endless(draw: random.Random, folder: Path) -> Case:
    """Brackets without end, numbers of thousands of digits, keys of hundreds of parts."""
    line = draw.choice(("x = " + "[" * 5000, "x = " + "{a=" * 3000, "x = " + "7" * 9000,
                        "a." * 200 + "b = 1", "x = [" + "1," * 30_000))  # fmt: skip
    before = ["# a plan"] * draw.randint(0, 3)
    file = folder / "endless.toml"
    file.write_text("\n".join([*before, line]), encoding="utf-8")
    # An end that is missing is missing at the end of the text.
    says = () if line.endswith("1,") else (f"line {len(before) + 1}",)
    return Case(line[:20], _reading(file, draw), says=says, identifier="SLP-105")


def no_text(draw: random.Random, folder: Path) -> Case:
    """Bytes that are no UTF-8, a folder, nothing, or far too much."""
    file = folder / "bytes.toml"
    which = draw.randrange(5)
    says: tuple[str, ...] = ()
    if which == 0:
        before = draw.randint(0, 5)
        file.write_bytes(b"# a\n" * before + b"[batch]\nsize = \xff\n")
        says = (f"line {before + 2}",)
    elif which == 1:
        file.write_bytes("[batch]\nsize = 3\n".encode("utf-16"))
    elif which == 2:
        file.write_bytes(b"#" * (1 << 20))
    else:
        file = folder / draw.choice(("folder.toml", "nowhere.toml", "", "good.toml/x"))
    return Case("no text", _reading(file, draw), says=says, identifier="SLP-107")


def good_plan(draw: random.Random, folder: Path) -> Case:
    """A plan with nothing wrong, with any ends of lines and a mark of UTF-8: it must be read."""
    text, _ = _written(_lines(draw), draw)
    return Case("good", ("schedule", str(_put(text, folder, draw))), codes=(0,))


PLANS: tuple[Callable[[random.Random, Path], Case], ...] = (
    misspelt_key, misspelt_key, two_mistakes, misspelt_section, odd_value, odd_value, wrong_type,
    no_section,
    within_a_line, broken_toml, endless, no_text, good_plan,
)  # fmt: skip
