"""All that a run is made of, cut off from what goes on changing, and put back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from slipstream.backends import TrainingState
from slipstream.checkpoint import Snapshot
from slipstream.engine.build import Built
from slipstream.engine.events import Observer
from slipstream.engine.recorder import Recorder
from slipstream.errors import RecordError

STATE, BEST, OBSERVERS = "state/", "best/", "observers/"


class Loop(Protocol):
    """What a snapshot asks of a loop."""

    update: int
    keeper: Any

    def hand_out(self) -> TrainingState:
        """Return the complete state of the training; not while it runs."""
        ...

    def take_back(self, state: TrainingState) -> None:
        """Stand where a training of the same task and plan stood when it handed its state out."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what it knows beside the training's state, as plain values."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` returned; the training's state is taken back already."""
        ...


@dataclass(frozen=True, eq=False)
class Running:
    """A run that is under way: what snapshots are taken of and put back into.

    Args:
        built: The model, with what is said of it.
        loop: Its loop.
        recorder: What it has recorded, and who observes it.
        identity: What the run is a run of; see `engine/identity.py`.
    """

    built: Built
    loop: Loop
    recorder: Recorder
    identity: Mapping[str, Any] = field(default_factory=dict)


def capture(run: Running) -> Snapshot:
    """Return all that a run needs to go on from here as if nothing had happened.

    It is to be called between two updates; what it returns shares no memory with the run.
    """
    built, loop, recorder = run.built, run.loop, run.recorder
    state = loop.hand_out()
    arrays = {f"{STATE}{name}": value for name, value in state.to_arrays().items()}
    # Never written to: a better evaluation makes new ones.
    best = recorder.best_weights or ()
    arrays |= {f"{BEST}{place}": value for place, value in enumerate(best)}
    told = [_told(observer) for observer in _stateful(recorder)]
    arrays |= {
        f"{OBSERVERS}{place}/{name}": value
        for place, (_, found) in enumerate(told)
        for name, value in found.items()
    }
    values = {
        "identity": dict(run.identity),
        "loop": loop.state(),
        "recorder": recorder.state(),
        "clock": {"seconds": recorder.clock.seconds, "spent": dict(recorder.clock.spent)},
        "built": {
            "notes": list(built.notes),
            "applied": dict(built.applied),
            "float32_layers": built.float32_layers and list(built.float32_layers),
        },
        "observers": [plain for plain, _ in told],
    }
    return Snapshot(arrays, values, state.position.epoch, loop.update)


def restore(run: Running, snapshot: Snapshot) -> None:
    """Put a run back to where a snapshot of the same run was taken, in this process or another.

    The clock is left alone: time that has passed has passed.

    Raises:
        RecordError: It is the snapshot of another run. Nothing was changed.
    """
    arrays, values = snapshot.arrays, snapshot.values
    stateful = _stateful(run.recorder)
    _refuse_others(stateful, [plain["kind"] for plain in values["observers"]])
    run.loop.take_back(TrainingState.from_arrays(_below(STATE, arrays)))
    run.loop.restore(values["loop"])
    run.recorder.restore(values["recorder"])
    best = _below(BEST, arrays)
    run.recorder.best_weights = [best[str(place)] for place in range(len(best))] or None
    run.built.notes[:] = values["built"]["notes"]
    run.built.applied.update(values["built"]["applied"])
    for place, (observer, plain) in enumerate(zip(stateful, values["observers"], strict=True)):
        observer.restore({**plain["values"], **_below(f"{OBSERVERS}{place}/", arrays)})


def _refuse_others(stateful: Sequence[Any], kept: Sequence[str]) -> None:
    """Refuse other callbacks with a state than those that a run began with."""
    here = [_kind(observer) for observer in stateful]
    ours = {_kind(one) for one in stateful if type(one).__module__.startswith("slipstream.obs")}
    if here != list(kept):
        raise RecordError(
            "callbacks with a state as the run had them: "
            + (", ".join(kind for kind in kept if kind not in ours) or "none"),
            ", ".join(kind for kind in here if kind not in ours) or "none",
            "Give it the same ones in the same order, or begin another run in another folder.",
            code="SLP-647",
        )


def unresumable(model: Any) -> str:
    """Return why a run of a model cannot be gone on with exactly; "" where it can.

    Example:
        >>> unresumable(keras.Sequential([keras.layers.Dense(1)]))
        ''
    """
    known = getattr(model, "optimizer", None)
    for name, value in vars(model).items():
        if isinstance(value, keras.optimizers.Optimizer) and value is not known:
            return f"the model holds an optimizer of its own, '{name}', whose state is not known"
    return ""


def _stateful(recorder: Recorder) -> list[Any]:
    """Return the observers that have a state, in their order."""
    return [one for one in recorder.observers if _has_state(one)]


def _has_state(observer: Observer) -> bool:
    return all(callable(getattr(observer, name, None)) for name in ("state", "restore"))


def _told(observer: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return an observer's state: its plain values, and its arrays."""
    state = observer.state()
    arrays = {name: np.array(v) for name, v in state.items() if isinstance(v, np.ndarray)}
    # They are written while the observer goes on.
    values = {name: copy.deepcopy(v) for name, v in state.items() if name not in arrays}
    return {"kind": _kind(observer), "values": values}, arrays


def _kind(observer: Any) -> str:
    return str(getattr(observer, "kind", type(observer).__name__))


def _below(start: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)
    }
