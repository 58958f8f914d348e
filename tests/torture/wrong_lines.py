"""Command lines with one thing wrong, made up by a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from slipstream.plan import Plan, all_keys
from torture.wrong_input import ANY, Case, misspelt

WORDS = (
    "", " ", "-", "--", "=", "a", "0", "-1", "1e9", "nan", "digit", "digits.py", "/", ".", "..",
    "\x1b[31mred", "\udcff", "ünï", "a b", "'", '"', "$(touch x)", "a" * 5000, "[" * 500,
    "plan.toml", "no/such/file", "x.py:y", "9" * 400, "1h1h",
    "5 parsecs", "SLP-999", "*", "~", "%s",
)  # fmt: skip
# Commands with all that they cannot do without, each refused for something else than its form.
REFUSED_LINES = (
    ("fit", "digit"), ("optimize", "digit"), ("compare", "digit", "good.toml", "good.toml"),
    ("ablate", "digits", "--plan", "nowhere.toml"), ("report", "nowhere"), ("landscape", "nowhere"),
    ("eject", "nowhere.toml", "digits"), ("schedule", "nowhere.toml"), ("batch", "digit"),
    ("techniques", "warmpu"), ("explain", "SLP-9999"), ("run", "nowhere.py"),
)  # fmt: skip
NAMES = tuple(sorted({line[0] for line in REFUSED_LINES} | {"plan", "tasks"}))
# Options that take a text, and commands that read it before anything is started.
TEXTS = (
    ("optimize", "digits", "--budget"), ("optimize", "digit", "--backends"),
    ("optimize", "digit", "--techniques"), ("fit", "digits", "--checkpoint-every"),
    ("fit", "digits", "--set"), ("fit", "digit", "--data-dir"), ("plan", "--set"),
    ("plan", "--recipe"), ("plan", "--technique"), ("batch", "digits", "--budget"),
    ("batch", "digits", "--set"), ("batch", "digits", "--memory"), ("batch", "digits", "--largest"),
    ("schedule", "--set"), ("schedule", "--updates"), ("schedule", "--updates-per-epoch"),
    ("schedule", "--at"), ("eject", "nowhere.toml", "digits", "--out"),
    ("landscape", "nowhere", "--points"),
    ("landscape", "nowhere", "--span"), ("landscape", "nowhere", "--seed"),
    ("compare", "digits", "nowhere.toml", "good.toml", "--target"),
    ("optimize", "digit", "--seeds"), ("fit", "digit", "--out"), ("fit", "digits", "--plan"),
    ("fit",), ("optimize",), ("batch",), ("plan",), ("techniques",), ("explain",),
    ("report",), ("run",), ("landscape",), ("schedule",),
)  # fmt: skip


def misspelt_command(draw: random.Random, folder: Path) -> Case:
    """A command that there is not."""
    name = draw.choice(NAMES)
    wrong = misspelt(name, draw)
    if wrong in NAMES or wrong.startswith("-"):
        wrong = f"{name}s{name}"
    return Case(wrong, (wrong, "digits"), identifier="SLP-001", says=(f"'{wrong}'", "Did you mean"))


def misspelt_option(draw: random.Random, folder: Path) -> Case:
    """An option that the command does not have."""
    line = draw.choice(REFUSED_LINES)
    wrong = f"--{misspelt(draw.choice(('resume', 'seeds', 'budget', 'plan', 'json')), draw)}q"
    arguments = (line[0], wrong, *line[1:])
    says = (f"'{wrong}'", "Did you mean '--")
    return Case(" ".join(arguments), arguments, identifier="SLP-002", says=says)


def usual_word(draw: random.Random, folder: Path) -> Case:
    """An option that other programs have: it is a key of the plan, or another option, here."""
    word, means = draw.choice(
        (("epochs", "duration.epochs"), ("lr", "schedule.peak"), ("learning-rate", "schedule.peak"),
         ("batch_size", "batch.size"), ("weight-decay", "optimizer.weight_decay"),
         ("amp", "precision.policy"), ("output", "'--out'"))
    )  # fmt: skip
    arguments = ("fit", "digits", f"--{word}", "1")
    return Case(f"--{word}", arguments, identifier="SLP-002", says=(f"'--{word}'", means))


def too_few(draw: random.Random, folder: Path) -> Case:
    """A command without something that it needs."""
    short = [("fit",), ("optimize",), ("compare", "digits"), ("compare",), ("ablate", "digits"),
             ("report",), ("landscape",), ("eject", "good.toml"), ("batch",), ("run",)]  # fmt: skip
    line = draw.choice(short)
    return Case(" ".join(line), line, identifier="SLP-003", says=(f"slipstream {line[0]}",))


def too_many(draw: random.Random, folder: Path) -> Case:
    """An argument more than the command takes."""
    line = draw.choice([line for line in REFUSED_LINES if line[0] != "run"])
    extra = draw.choice(("extra", "two words", "ünï", "x" * 3000))
    return Case(f"{line} {extra[:9]}", (*line, extra), identifier="SLP-004", says=(extra[:100],))


def wrong_form(draw: random.Random, folder: Path) -> Case:
    """An option without its value, or a switch with one."""
    line = draw.choice(
        [line for line in REFUSED_LINES if line[0] in ("fit", "optimize", "compare")]
    )
    last = draw.choice(
        ("--out", "--seeds" if line[0] != "fit" else "--set", "--resume=1", "--quiet=x")
    )
    return Case(f"{line} {last}", (*line, last), identifier="SLP-006", says=(last.split("=")[0],))


def wrong_number(draw: random.Random, folder: Path) -> Case:
    """An option's value that is no number, or out of range."""
    line, option = draw.choice(
        [(("optimize", "digits"), "--seeds"), (("ablate", "digits", "--plan", "x"), "--seeds"),
         (("landscape", "nowhere"), "--points"), (("schedule",), "--updates"),
         (("batch", "digits"), "--largest"), (("landscape", "nowhere"), "--span")]
    )  # fmt: skip
    value = draw.choice(("-1", "0", "x", "", "1e99999999999", "٣٤x", "--", "0x10", "1,5"))
    arguments = (*line, f"{option}={value}")
    return Case(" ".join(arguments), arguments, identifier="SLP-005", says=(option,))


def refused_line(draw: random.Random, folder: Path) -> Case:
    """What is well formed, and names something that is not there."""
    line = draw.choice(REFUSED_LINES)
    return Case(" ".join(line), line)


def misspelt_setting(draw: random.Random, folder: Path) -> Case:
    """--set with a key that plans do not have."""
    section, key = draw.choice(all_keys()).split(".")
    given = f"{misspelt(section, draw)}.{misspelt(key, draw)}q".replace("=", "")
    line = draw.choice((("plan",), ("fit", "digits"), ("batch", "digits"), ("schedule",)))
    typo = (given, tuple(all_keys()))
    arguments = (*line, "--set", f"{given}=1")
    return Case(f"--set {given}", arguments, identifier="SLP-101", says=(f"'{given}'",), typo=typo)


def wrong_setting(draw: random.Random, folder: Path) -> Case:
    """--set with a value that no key takes."""
    numbers = [key for key, value in Plan().flat().items() if type(value) in (int, float)]
    key = draw.choice(numbers)
    value = draw.choice(("[1]", "{}", "1979-05-27", "true", "-1e30", "nan", "0x" + "f" * 5000))
    line = draw.choice((("plan",), ("fit", "digits"), ("batch", "digits")))
    arguments = (*line, "--set", f"{key}={value}")
    return Case(f"--set {key}={value[:9]}", arguments, says=(key.partition(".")[0],))


def any_text(draw: random.Random, folder: Path) -> Case:
    """Any word where a text is read; here and there it is right, and the command does its work."""
    line, word = draw.choice(TEXTS), draw.choice(WORDS)
    is_option = line[-1].startswith("--")
    end = (f"{line[-1]}={word}",) if is_option else (line[-1], "--", word)
    return Case(f"{line} {word[:20]!r}", (*line[:-1], *end), ANY)


COMMAND_LINES: tuple[Callable[[random.Random, Path], Case], ...] = (
    misspelt_command, misspelt_option, usual_word, too_few, too_many, wrong_form, wrong_number,
    refused_line,
    misspelt_setting, wrong_setting, any_text, any_text, any_text,
)  # fmt: skip
