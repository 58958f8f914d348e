"""Which runtimes are worth a try, and in which order: pure functions of what is known so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import psutil

from slipstream.errors import PlanError
from slipstream.plan import Plan, Value
from slipstream.task import TaskFacts

# Where a processor is hardly slower than this, a call into the backend takes 0.3 seconds at most.
PESSIMISTIC_FLOPS = 50e9
LONGEST_CALL_SECONDS = 0.3
# A batch above an eighth of the training set leaves too few updates in an epoch to learn from.
LARGEST_BATCH_SHARE = 1 / 8
BATCH_FACTORS = (1, 2, 4, 8)
STEPS = (1, 8, 32)
SMALL_MULTIPLY_ADDS = 2_000_000
LARGEST_PLACED_SHARE = 1 / 8
# Backends and batch sizes so many times slower than the best are not varied further.
WORTH_VARYING = 3.0
CONVOLUTIONS = ("Conv", "SeparableConv", "DepthwiseConv")
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM")


@dataclass(frozen=True)
class Options:
    """One runtime. `steps` is wished for: the plan has what divides an epoch evenly."""

    backend: str
    jit: str
    steps: int
    policy: str
    cache: str
    batch_size: int


@dataclass(frozen=True)
class Candidate:
    """Options and the plan they make."""

    options: Options
    plan: Plan

    @property
    def label(self) -> str:
        """What it is, for people."""
        options, steps = self.options, self.plan.runtime.steps_per_execution
        words = [options.backend, f"batch {options.batch_size}"]
        if options.jit != "auto":
            words.append(f"jit {options.jit}")
        words.append(f"{steps} step{'s' if steps > 1 else ''} a call")
        if options.policy != "float32":
            words.append(options.policy)
        if options.cache == "device":
            words.append("data on device")
        return ", ".join(words)


@final
class Space:
    """The runtimes of one task that make sense at all.

    Args:
        facts: The task.
        base: The plan that is varied.
        backends: Backends that may be used.
        allow_precision: Whether formats below float32 may be tried.
    """

    def __init__(
        self, facts: TaskFacts, base: Plan, backends: Sequence[str], *, allow_precision: bool
    ) -> None:
        self._facts = facts
        self._base = base
        self._backends = tuple(backends)
        self._allow_precision = allow_precision
        self._has_convolutions = _has(facts, CONVOLUTIONS)
        self._made: dict[Options, Candidate | None] = {}
        self._is_small = (
            not self._has_convolutions
            and not _has(facts, RECURRENT)
            and facts.multiply_adds < SMALL_MULTIPLY_ADDS
        )

    def batch_sizes(self) -> tuple[int, ...]:
        """Return the batch sizes to try, the base plan's first."""
        base = self._base.batch.size
        most = self._facts.num_train * LARGEST_BATCH_SHARE / self._base.batch.accumulation
        return tuple(base * f for f in BATCH_FACTORS if f == 1 or base * f <= most)

    def first(self) -> tuple[Candidate, ...]:
        """Return one candidate for each backend, the most promising backend first.

        The base plan's own options come last, as what the others are compared with.
        """
        order = ("jax", "tensorflow", "torch") if self._is_small else ("tensorflow", "torch", "jax")
        named = [name for name in order if name in self._backends]
        named += [name for name in self._backends if name not in order]
        found = [self._make(self._promising(backend)) for backend in named]
        if self._base.runtime.backend in self._backends:
            found.append(self._make(self._as_in_base()))
        return _distinct(found)

    def neighbours(self, options: Options) -> tuple[tuple[float, Candidate], ...]:
        """Return candidates that differ in one option, each with a weight: lower is likelier."""
        found = []
        for weight, changes in self._changes(options):
            candidate = self._make(replace(options, **changes))
            if candidate is not None:
                found.append((weight, candidate))
        return tuple(found)

    def next_candidates(
        self, projected: Mapping[Candidate, float], tried: Sequence[Candidate]
    ) -> list[Candidate]:
        """Return what to try next, most promising first.

        A candidate is ranked by how its parent did among its own batch size, by how likely the
        change is to help, and by how much is already known at that batch size.

        Args:
            projected: Seconds of the planned training, for what was measured.
            tried: Everything that was tried, failures included.
        """
        best: dict[int, float] = {}
        for candidate, seconds in projected.items():
            size = candidate.options.batch_size
            best[size] = min(seconds, best.get(size, math.inf))
        known = [candidate.options.batch_size for candidate in tried]
        plans = {candidate.plan for candidate in tried}
        ranks: dict[Candidate, float] = {}
        for parent, seconds in projected.items():
            relative = seconds / best[parent.options.batch_size]
            if relative > WORTH_VARYING:
                continue
            for weight, candidate in self.neighbours(parent.options):
                if candidate.plan in plans:
                    continue
                crowd = 1 + 0.25 * known.count(candidate.options.batch_size)
                rank = relative * weight * crowd
                ranks[candidate] = min(rank, ranks.get(candidate, math.inf))
        ordered = sorted(ranks, key=lambda c: (ranks[c], c.label))
        return list({candidate.plan: candidate for candidate in reversed(ordered)}.values())[::-1]

    def _promising(self, backend: str) -> Options:
        steps = {"jax": 1 if self._has_convolutions else 32, "tensorflow": 32, "torch": 8}
        return Options(
            backend=backend,
            # XLA on TensorFlow's processor is many times slower: it is tried, but not first.
            jit="off" if backend == "tensorflow" else "auto",
            steps=steps.get(backend, 1),
            policy="float32",
            cache="device" if self._can_be_placed() else self._off_device(),
            batch_size=self._base.batch.size,
        )

    def _as_in_base(self) -> Options:
        base = self._base
        return Options(
            backend=base.runtime.backend,
            jit=base.runtime.jit,
            steps=base.runtime.steps_per_execution,
            policy=base.precision.policy,
            cache=base.data.cache,
            batch_size=base.batch.size,
        )

    def _changes(self, options: Options) -> list[tuple[float, dict[str, Any]]]:
        changes: list[tuple[float, dict[str, Any]]] = [
            (weight, {"batch_size": size})
            for weight, size in zip((1.0, 1.4, 1.2, 1.3), self.batch_sizes(), strict=False)
        ]
        if options.backend == "tensorflow":
            changes.append((1.2, {"jit": "off" if options.jit != "off" else "on"}))
        if options.backend != "torch":
            # XLA on the processor compiles convolutions within a loop for minutes, or never.
            slow = options.backend == "jax" and self._has_convolutions
            changes += [(5.0 if slow else 1.2, {"steps": steps}) for steps in STEPS]
        if self._allow_precision:
            # Where a step is mostly dispatch, arithmetic in fewer bits gains little; else nothing
            # else gains as much.
            weight = 1.5 if self._is_small else 0.45
            changes.append((weight, {"policy": "mixed_bfloat16"}))
            if options.backend == "tensorflow":
                changes.append((weight, {"policy": "graph_bfloat16", "jit": "off"}))
        if options.cache == "device" or self._can_be_placed():
            on_device = options.cache == "device"
            changes.append((1.8, {"cache": self._off_device() if on_device else "device"}))
        return changes

    def _make(self, options: Options) -> Candidate | None:
        if options not in self._made:
            self._made[options] = self._make_anew(options)
        return self._made[options]

    def _make_anew(self, options: Options) -> Candidate | None:
        accumulated = options.batch_size * self._base.batch.accumulation
        steps = min(options.steps, self._most_steps(accumulated))
        changes: dict[str, Value] = {
            "runtime.backend": options.backend,
            "runtime.eager": False,
            "runtime.jit": options.jit,
            "runtime.steps_per_execution": even_steps(self._updates(accumulated), steps),
            "runtime.loop": "slipstream",
            # The other backends have nothing to lower: an ablation would try it in vain.
            "runtime.lowering": self._base.runtime.lowering or options.backend == "torch",
            "precision.policy": options.policy,
            "data.cache": options.cache,
            "batch.size": options.batch_size,
        }
        try:
            return Candidate(options, self._base.adapt(changes))
        except PlanError:
            # The plan says itself which options do not go together.
            return None

    def _updates(self, batch_size: int) -> int:
        updates = max(1, self._facts.num_train // batch_size)
        return max(1, updates // self._base.duration.evaluations_per_epoch)

    def _most_steps(self, batch_size: int) -> int:
        step_seconds = 6 * self._facts.multiply_adds * batch_size / PESSIMISTIC_FLOPS
        return max(1, int(LONGEST_CALL_SECONDS / max(step_seconds, 1e-9)))

    def _off_device(self) -> str:
        """Return where examples rest that are not on the device: as in the base plan."""
        return "host" if self._base.data.cache == "device" else self._base.data.cache

    def _can_be_placed(self) -> bool:
        numbers = sum(
            math.prod(size or 1 for size in shape) for shape in self._facts.input_shapes.values()
        )
        num_bytes = 4 * numbers * self._facts.num_train
        return num_bytes < LARGEST_PLACED_SHARE * int(psutil.virtual_memory().total)


def even_steps(updates: int, wished: int) -> int:
    """Return the steps per call nearest to a wish that cut an epoch into almost equal calls.

    Args:
        updates: Updates between two validations.
        wished: Updates per call that are wished for.

    Example:
        >>> even_steps(33, 32), even_steps(100, 32), even_steps(5, 32), even_steps(100, 1)
        (33, 34, 5, 1)
    """
    if wished <= 1:
        return 1
    calls = max(1, round(updates / wished))
    return math.ceil(updates / calls)


def changes_of(base: Plan, plan: Plan) -> dict[str, Value]:
    """Return the dotted keys in which a plan differs from the base, with the plan's values."""
    return {key: mine for key, (mine, _) in plan.difference(base).items()}


def _has(facts: TaskFacts, prefixes: tuple[str, ...]) -> bool:
    return any(layer.startswith(prefixes) for layer in facts.layers)


def _distinct(candidates: Sequence[Candidate | None]) -> tuple[Candidate, ...]:
    return tuple({c.plan: c for c in reversed(candidates) if c is not None}.values())[::-1]
