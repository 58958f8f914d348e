"""The commands: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from slipstream._version import __version__
from slipstream.cli import batch, explain, landscape, usage
from slipstream.cli.options import (
    DataOption,
    FileOption,
    JsonOption,
    OutOption,
    PlanOption,
    QuietOption,
    ResumeOption,
    SeedsOption,
    SetOption,
    TaskArgument,
    parse_backends,
    parse_changes,
    parse_techniques,
)
from slipstream.cli.run import CONTEXT, EXAMPLE, run
from slipstream.cli.running import FAILED, Manner, running, use_data_folder

EXIT_CODES = (
    "Exit codes: 0 done (also when no gain was found), 1 a training or Slipstream itself failed, "
    "2 bad input, 130 interrupted, 143 terminated (what was finished is kept; --resume goes on)."
)

app = typer.Typer(
    name="slipstream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Make Keras training reach its target sooner, at equal or better held-out quality, "
    "and prove it.",
    epilog=f"Example: slipstream optimize digits --budget 5m\n\n{EXIT_CODES}",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends with SystemExit.

    Args:
        arguments: Without the program's name; those of this process if None.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(usage.called(typer.main.get_command(app), given))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slipstream {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


@app.command(epilog="Example: slipstream optimize digits --budget 5m --out runs/digits")
def optimize(
    context: typer.Context,
    task: TaskArgument,
    *,
    budget: Annotated[
        str, typer.Option(metavar="TIME", help="Wall-clock time for all of it: 90s, 5m, 1h30m.")
    ] = "10m",
    seeds: Annotated[
        int, typer.Option("--seeds", min=3, help="Runs of each side in the proof.")
    ] = 3,
    out: OutOption = None,
    resume: ResumeOption = False,
    backends: Annotated[
        str, typer.Option(metavar="NAMES", help="Like tensorflow,jax. Default: all installed.")
    ] = "",
    techniques: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Like sam,mixup: tried on top of what the search finds."
        ),
    ] = "",
    allow_precision: Annotated[
        bool, typer.Option(help="Whether formats below float32 may be used.")
    ] = True,
    remember: Annotated[
        bool, typer.Option(help="Whether runtimes measured here before may be used again.")
    ] = True,
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Find a faster and better way to train TASK on this machine, and prove it."""
    from slipstream.commands.durations import parse_seconds

    manner = Manner(json, quiet)
    with running(manner):
        seconds = parse_seconds(budget)
        chosen = parse_backends(backends)
        asked = parse_techniques(techniques)
    folder = _folder(manner, "optimize", task, out, resume)
    use_data_folder(data_dir)
    with running(manner, folder=folder, again=_again(context, folder)) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.optimize import OptimizeSettings, optimize

        settings = OptimizeSettings(
            seconds, seeds, chosen, allow_precision, resume, remember, asked
        )
        result = optimize(task, folder, settings, listener)
    summaries.of_optimize(result, task, manner)


@app.command(epilog="Example: slipstream fit digits --set schedule.peak=3e-3 --set batch.size=64")
def fit(
    context: typer.Context,
    task: TaskArgument,
    *,
    plan: PlanOption = None,
    changes: SetOption = None,
    test: Annotated[bool, typer.Option("--test", help="Read the test split, at the end.")] = False,
    out: OutOption = None,
    resume: ResumeOption = False,
    checkpoint_every: Annotated[
        str,
        typer.Option(
            metavar="HOW_OFTEN", help="Like '1 epoch', '200 updates', 30s; auto; off keeps none."
        ),
    ] = "auto",
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train TASK once as a plan says; Ctrl-C stops it, and --resume goes on exactly there."""
    manner = Manner(json, quiet)
    folder = _folder(manner, "fit", task, out, resume)
    use_data_folder(data_dir)
    with running(manner, folder=folder, again=_again(context, folder)) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.fit import fit
        from slipstream.plan import read_plan

        record = fit(
            task,
            read_plan(plan) if plan is not None else None,
            folder,
            changes=parse_changes(changes),
            evaluate_test=test,
            resume=resume,
            checkpoint_every=checkpoint_every,
            listener=listener,
        )
    summaries.of_fit(record, folder, task, manner)
    if record.failure is not None:
        summaries.of_failure(record.failure, folder)
        raise typer.Exit(FAILED)


app.command(epilog=EXAMPLE, context_settings=CONTEXT)(run)


@app.command(epilog="Example: slipstream compare digits adam.toml sgd.toml --seeds 5")
def compare(
    context: typer.Context,
    task: TaskArgument,
    *,
    plan_a: Annotated[Path, typer.Argument(metavar="A.toml", help="The baseline's plan.")],
    plan_b: Annotated[Path, typer.Argument(metavar="B.toml", help="The candidate's plan.")],
    seeds: SeedsOption = 5,
    target: Annotated[
        float | None,
        typer.Option(help="Value to race to. Default: the task's, or what A reaches."),
    ] = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train two plans side by side on the same seeds, and judge B against A."""
    manner = Manner(json, quiet)
    folder = _folder(manner, "compare", task, out, resume)
    use_data_folder(data_dir)
    with running(manner, folder=folder, again=_again(context, folder)) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.compare import compare
        from slipstream.plan import read_plan

        same = plan_a.stem == plan_b.stem
        result = compare(
            task,
            read_plan(plan_a),
            read_plan(plan_b),
            folder,
            num_seeds=seeds,
            target=target,
            labels=("A", "B") if same else (plan_a.stem, plan_b.stem),
            resume=resume,
            listener=listener,
        )
    summaries.of_compare(result, task, (plan_a, plan_b), manner)


@app.command(epilog="Example: slipstream ablate digits --plan runs/digits/plan.toml")
def ablate(
    context: typer.Context,
    task: TaskArgument,
    *,
    plan: Annotated[Path, typer.Option(metavar="FILE", help="The plan to take apart.")],
    seeds: Annotated[int, typer.Option("--seeds", min=3, help="Runs of each variant.")] = 3,
    out: OutOption = None,
    resume: ResumeOption = False,
    data_dir: DataOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Take each technique out of a plan, and put it alone onto the task as given."""
    manner = Manner(json, quiet)
    folder = _folder(manner, "ablate", task, out, resume)
    use_data_folder(data_dir)
    with running(manner, folder=folder, again=_again(context, folder)) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.ablate import ablate
        from slipstream.plan import read_plan

        rows = ablate(
            task, read_plan(plan), folder, num_seeds=seeds, resume=resume, listener=listener
        )
    summaries.of_ablate(rows, folder, manner)


@app.command(epilog="Example: slipstream report runs/digits")
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What a command wrote.")],
    json: JsonOption = False,
) -> None:
    """Write report.html anew from the records in a folder."""
    manner = Manner(json)
    with running(manner) as listener:
        from slipstream.cli import summaries
        from slipstream.commands.report import rebuild

        summaries.of_file("report", "report", rebuild(folder, listener), manner)


@app.command(epilog="Example: slipstream eject runs/digits/plan.toml digits --out train.py")
def eject(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="The plan.")],
    task: TaskArgument,
    out: FileOption = None,
    data_dir: DataOption = None,
) -> None:
    """Write a plain Keras script, without Slipstream, that trains TASK as a plan says."""
    use_data_folder(data_dir)
    with running(Manner()):
        from slipstream.commands.text import eject_script, write_or_print

        write_or_print(eject_script(plan, task), out)


@app.command(epilog="Example: slipstream plan digits --recipe tabular --technique ema > plan.toml")
def plan(
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Whose plan. Default: no task's.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="A recipe to put onto it.")
    ] = None,
    technique: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A technique to put onto it then; repeatable."),
    ] = None,
    out: FileOption = None,
    changes: SetOption = None,
    data_dir: DataOption = None,
    quiet: QuietOption = False,
) -> None:
    """Print a plan as TOML: the task's as given, or the default one."""
    use_data_folder(data_dir)
    with running(Manner(quiet=quiet)) as listener:
        from slipstream.commands.text import plan_text, write_or_print

        names = parse_techniques(",".join(technique or ()))
        text = plan_text(task, recipe, names, parse_changes(changes), listener)
        write_or_print(text, out)


@app.command(epilog="Example: slipstream schedule plan.toml --updates 2000 --html rates.html")
def schedule(
    plan: Annotated[
        Path | None, typer.Argument(metavar="PLAN.toml", help="The plan. Default: the default one.")
    ] = None,
    *,
    updates: Annotated[
        int, typer.Option(min=1, max=10**8, help="Optimizer updates of the run.")
    ] = 1000,
    updates_per_epoch: Annotated[
        float | None, typer.Option(help="For lengths in epochs, and as the picture's unit.")
    ] = None,
    at: Annotated[
        list[int] | None, typer.Option(metavar="N", help="An update, from 0. Repeatable.")
    ] = None,
    changes: SetOption = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where a picture is written.")
    ] = None,
) -> None:
    """Show a plan's learning rate at each update, without a task or a model."""
    with running(Manner()):
        from slipstream.commands.schedule import schedule_of, schedule_text, write_picture

        curve = schedule_of(plan, parse_changes(changes), updates, updates_per_epoch)
        typer.echo(schedule_text(curve, at or ()), nl=False)
        if html is not None:
            write_picture(curve, html)


app.command(epilog=landscape.EXAMPLE)(landscape.landscape)
app.command(epilog=batch.EXAMPLE)(batch.batch)


@app.command(epilog="Example: slipstream tasks")
def tasks(json: JsonOption = False) -> None:
    """List the built-in tasks."""
    manner = Manner(json)
    with running(manner):
        from slipstream import tasks
        from slipstream.cli import summaries

        summaries.table([(name, tasks.describe(name)) for name in tasks.names()], manner)


app.command(epilog=explain.EXAMPLE)(explain.explain)


@app.command(epilog="Example: slipstream techniques warmup")
def techniques(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The one to explain. Default: list all.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """List the techniques and recipes, or explain one."""
    manner = Manner(json)
    with running(manner):
        from slipstream.cli import summaries
        from slipstream.techniques import explain

        if name is None:
            summaries.table([*explain.table(), *explain.recipes_table()], manner)
        else:
            typer.echo(explain.explain_named(name), nl=False)


def _folder(manner: Manner, command: str, task: str, out: Path | None, resume: bool) -> Path:
    """Return where the results go."""
    if out is not None:
        # No shell does it behind "--out=".
        return out.expanduser()
    with running(manner):
        from slipstream.commands.folders import default_folder

        return default_folder(command, task, resume=resume)


def _again(context: typer.Context, folder: Path) -> list[str]:
    """Return the arguments that go on with a command that was interrupted."""
    given = list(context.obj or sys.argv[1:])
    has_out = any(argument == "--out" or argument.startswith("--out=") for argument in given)
    out = [] if has_out else ["--out", str(folder)]
    return [*given, *out, *([] if "--resume" in given else ["--resume"])]
