"""What the parser of the command line says, in the words and the form of all other errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from slipstream.cli.other_words import OTHER_COMMANDS, OTHER_OPTIONS
from slipstream.cli.running import BAD_INPUT, FAILED, Manner, tell_error
from slipstream.errors import InputError, together

# Two names are one, misspelt, from here on.
ALIKE = 0.8
# An option of thousands of characters is told by its beginning.
MOST_SHOWN = 200


@dataclass(frozen=True)
class _Usage:
    """A command line that cannot be parsed: the parser's error, what was given, all commands."""

    error: Any
    commands: Mapping[str, Any]
    given: Sequence[str]

    @property
    def command(self) -> str:
        path = getattr(self.error.ctx, "command_path", None)
        named = f"slipstream {self.given[0]}" if self.given[0] in self.commands else "slipstream"
        return path or named

    @property
    def see(self) -> str:
        return f"'{self.command} --help' shows what it takes, with an example."

    @property
    def text(self) -> str:
        return _short(" ".join(str(self.error.message).split()).removesuffix("."))


def called(group: Any, given: Sequence[str]) -> int:
    """Run a command, and return its exit code; what cannot be parsed is told.

    Args:
        group: What holds all commands.
        given: The arguments, without the program's name.
    """
    try:
        code = group.main(given, prog_name="slipstream", obj=given, standalone_mode=False)
    except typer.Abort:
        return FAILED
    except Exception as error:
        # Typer has had a hierarchy of errors of its own, and Click's.
        if not hasattr(error, "format_message") or not hasattr(error, "ctx"):
            raise
        if given:
            told = explained(error, group.commands, given)
            tell_error(told, Manner(json="--json" in given))
        else:
            # Help was asked for by asking for nothing.
            typer.echo(error.format_message())
        return BAD_INPUT
    return code if isinstance(code, int) else 0


def explained(error: Any, commands: Mapping[str, Any], given: Sequence[str]) -> InputError:
    """Return the error of a command line that cannot be parsed.

    Args:
        error: The parser's own error; told apart by the names of its classes, since Typer has had
            both Click's and its own.
        commands: All commands, by their names.
        given: The arguments.
    """
    usage = _Usage(error, commands, given)
    for parent in type(error).__mro__:
        if parent.__name__ in _BY_CLASS:
            return _BY_CLASS[parent.__name__](usage)
    unknown = re.match(r"No such command (.*?)\.?( Did you mean.*)?$", error.message, re.DOTALL)
    if unknown:
        return _no_such_command(usage, unknown[1].strip("'\""))
    extra = re.match(r"Got unexpected extra argument.*? \((.*)\)", error.message, re.DOTALL)
    if extra:
        return InputError(
            f"no more arguments than '{usage.command}' takes",
            f"'{_short(extra[1])}' beside them",
            f"{_instead_of_extra(usage, extra[1])}; {usage.see}",
            code="SLP-004",
        )
    return InputError(
        f"a command line that '{usage.command}' can read",
        usage.text,
        f"Mend it; {usage.see}",
        code="SLP-007",
    )


def _instead_of_extra(usage: _Usage, extra: str) -> str:
    """Return what to do with arguments that a command does not take."""
    first, *_ = extra.split()
    at = usage.given.index(first) if first in usage.given else 0
    before = usage.given[at - 1]
    if usage.given[at - 2 : at - 1] == ["--set"] and "=" not in before:
        return f"Write --set {_short(before)}={_short(first)}, without spaces"
    if "=" in first and first.partition("=")[0].count(".") == 1:
        return f"Write --set {_short(first)}: one --set for each key"
    return "Leave it out, or quote a name with spaces"


def _no_such_command(usage: _Usage, given: str) -> InputError:
    words = OTHER_COMMANDS.items()
    meant = next((name for name, others in words if given.lower() in others.split()), "")
    nearest = meant or _nearest(given, tuple(usage.commands))
    return InputError(
        "the name of a command",
        f"'{_short(given)}'",
        f"Did you mean '{nearest}'? 'slipstream --help' lists all.",
        code="SLP-001",
    )


def _no_such_option(usage: _Usage) -> InputError:
    given, context = str(usage.error.option_name), usage.error.ctx
    parameters: Sequence[Any] = context.command.params if context is not None else ()
    names = ["--help", *(name for one in parameters for name in (*one.opts, *one.secondary_opts))]
    others = [name for name in _long_options(usage.given, parameters) if name not in names]
    unknown = dict.fromkeys([given, *others])
    return together([_unknown_option(usage, name, names) for name in unknown])


def _unknown_option(usage: _Usage, given: str, names: Sequence[str]) -> InputError:
    instead = _meant(usage, given, names)
    return InputError(
        f"an option of '{usage.command}'",
        f"'{_short(given)}'",
        f"{instead} {usage.see}",
        code="SLP-002",
    )


def _long_options(given: Sequence[str], parameters: Sequence[Any]) -> Iterator[str]:
    """Yield the names of all long options of a command line, known or not."""
    taking = {name for one in parameters if not getattr(one, "is_flag", True) for name in one.opts}
    is_value = False
    for argument in given:
        if argument == "--":
            return
        if argument.startswith("--") and not is_value:
            yield argument.partition("=")[0]
        is_value = not is_value and argument in taking


def _meant(usage: _Usage, given: str, names: Sequence[str]) -> str:
    """Return what to write in the place of an option that a command does not have."""
    word = given.lstrip("-").replace("-", "_")
    # A long one is meant to be a long one.
    start = given[:2] if given.startswith("--") else "-"
    alike = [name for name in names if name.startswith(start)]
    if difflib.get_close_matches(given[:MOST_SHOWN], alike, n=1, cutoff=ALIKE):
        return f"Did you mean '{_nearest(given, alike)}'?"
    option = next((option for option, words in OTHER_OPTIONS.items() if word in words.split()), "")
    if option in names:
        return f"Did you mean '{option}'?"
    key = _plan_key(word)
    if key and "--set" in names:
        return f"Write --set {key}=..., for that is a key of the plan."
    others = [
        command
        for command, what in usage.commands.items()
        if any(given in (*one.opts, *one.secondary_opts) for one in what.params)
    ]
    if others:
        return f"That is an option of 'slipstream {others[0]}'."
    if key:
        return f"That is a key of the plan, {key}: write it into the plan's file, or give it to \
'slipstream fit' with --set."
    return f"Did you mean '{_nearest(given, alike)}'?"


def _plan_key(word: str) -> str:
    """Return the key of a plan that a word stands for; "" if it stands for none, or for several."""
    from slipstream.plan import all_keys
    from slipstream.plan.usual_words import usual_word_for

    exact = [key for key in all_keys() if word in (key, key.partition(".")[2])]
    return usual_word_for(word) or (exact[0] if len(exact) == 1 else "")


def _missing(usage: _Usage) -> InputError:
    name = _name(usage.error)
    plans = [word for word in usage.given[1:] if word.endswith(".toml")]
    write = f"Write --plan {_short(plans[0])}" if name == "--plan" and plans else "Give it"
    return InputError(
        f"{name}, which '{usage.command}' cannot do without",
        "none",
        f"{write}; {usage.see}",
        code="SLP-003",
    )


def _bad_value(usage: _Usage) -> InputError:
    name, text = _name(usage.error), usage.text
    value = _value_of(usage)
    wanted = text.removeprefix("Input should be ")
    if wanted == text or value is None:
        return InputError(
            f"a value that {name} can have", text, f"Change it; {usage.see}", code="SLP-005"
        )
    return InputError(
        f"{name} to be {wanted.partition(', unable to')[0]}",
        f"'{_short(value)}'",
        f"Change it; {usage.see}",
        code="SLP-005",
    )


def _bad_form(usage: _Usage) -> InputError:
    return InputError(
        "a value behind each option that takes one, and none behind a switch",
        usage.text,
        f"Write --option VALUE, or the switch alone; {usage.see}",
        code="SLP-006",
    )


_BY_CLASS = {
    "NoSuchOption": _no_such_option,
    "MissingParameter": _missing,
    "BadParameter": _bad_value,
    "BadOptionUsage": _bad_form,
}


def _nearest(given: str, names: Sequence[str]) -> str:
    return difflib.get_close_matches(given[:MOST_SHOWN], names, n=1, cutoff=0.0)[0]


def _name(error: Any) -> str:
    if error.param is None:
        return str(error.param_hint or "an argument").replace("'", "")
    return "/".join(_options(error)) or error.param.metavar or str(error.param.name).upper()


def _options(error: Any) -> list[str]:
    opts = error.param.opts if error.param is not None else ()
    return [name for name in opts if name.startswith("-")]


def _value_of(usage: _Usage) -> str | None:
    """Return what stands behind the option that is wrong, where that can be told."""
    for name in _options(usage.error):
        for at, argument in enumerate(usage.given):
            if argument.startswith(f"{name}="):
                return argument.partition("=")[2]
            if argument == name and at + 1 < len(usage.given):
                return usage.given[at + 1]
    return None


def _short(text: str) -> str:
    shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
