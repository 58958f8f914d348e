"""What is compared: Keras' fit, Slipstream and hand-written loops, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self, final

from net_tasks import PLAN
from nets import BATCH, SHAPES
from slipstream.errors import PlanError
from slipstream.measure import Failed, Launch
from slipstream.measure.process import ChildProcess
from slipstream.plan import Plan

HERE = Path(__file__).parent
START_SECONDS = 600.0
ANSWER_SECONDS = 300.0
CONVOLUTIONAL = ("cnn", "resnet18")
# Updates in one call, at most: a call is not to take much longer than a window.
STEPS = {"mlp": 80, "lstm": 32, "gru_tagger": 16, "transformer": 8, "cnn": 4, "resnet18": 1}

Family = Literal["keras", "slipstream", "drop-in", "hand"]
Precision = Literal["fp32", "bf16"]


@cache
def gpu_name() -> str:
    """Return the name of the first GPU; "" without one."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return asked.stdout.splitlines()[0].strip() if asked.returncode == 0 and asked.stdout else ""


@dataclass(frozen=True)
class Side:
    """One way to train a net; `variant` tells apart those of one family, backend and precision."""

    family: Family
    backend: str
    precision: Precision
    variant: str = ""

    @property
    def name(self) -> str:
        """Its name in tables and on the command line."""
        words = (self.family, self.backend, self.precision, self.variant)
        return " ".join(word for word in words if word)


_TORCH_LOOPS = ("eager fp32", "eager bf16", "compiled fp32", "compiled bf16")
_TORCH_IMAGE_LOOPS = (
    "eager fp32",
    "eager fp32 channels-last",
    "eager bf16 channels-last",
    "compiled fp32 channels-last",
    "compiled bf16 channels-last",
)
_JAX_LOOPS = ("scan fp32", "scan bf16", "single fp32", "single bf16")
# Convolutions within XLA's loops on the processor compile for minutes and then crawl.
_JAX_IMAGE_LOOPS = ("single fp32", "single bf16")

HAND_WRITTEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("mlp", "torch"): _TORCH_LOOPS,
    ("lstm", "torch"): _TORCH_LOOPS,
    ("gru_tagger", "torch"): _TORCH_LOOPS,
    ("cnn", "torch"): _TORCH_IMAGE_LOOPS,
    ("resnet18", "torch"): _TORCH_IMAGE_LOOPS,
    ("transformer", "torch"): (
        "eager fp32",
        "eager fp32 plain-attention",
        "eager bf16",
        "eager bf16 plain-attention",
        "compiled fp32",
        "compiled bf16 plain-attention",
    ),
    ("mlp", "jax"): ("scan fp32", "scan bf16", "scan fp32 rbg", "scan bf16 rbg"),
    ("lstm", "jax"): _JAX_LOOPS,
    ("gru_tagger", "jax"): _JAX_LOOPS,
    ("cnn", "jax"): _JAX_IMAGE_LOOPS,
    ("resnet18", "jax"): _JAX_IMAGE_LOOPS,
    ("transformer", "jax"): ("scan fp32", "single fp32", "single fp32 rbg", "single bf16 rbg"),
}


def sides_of(net: str) -> tuple[Side, ...]:
    """Return everything that is measured on a net."""
    backends = ("tensorflow", "jax", "torch")
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    sides = [Side("keras", backend, p) for backend in backends for p in precisions]
    for backend in backends:
        for precision in precisions:
            variants = _variants(net, backend)
            sides += [Side("slipstream", backend, precision, variant) for variant in variants]
    sides += [Side("drop-in", backend, "fp32") for backend in backends]
    sides.append(Side("drop-in", "torch", "bf16"))
    for backend in ("torch", "jax"):
        for loop in loops_of(net, backend):
            precision = "bf16" if "bf16" in loop.split() else "fp32"
            rest = " ".join(word for word in loop.split() if word != precision)
            sides.append(Side("hand", backend, precision, rest))
    return tuple(sides)


def loops_of(net: str, backend: str) -> tuple[str, ...]:
    """Return the hand-written loops for a net; on a GPU also those that pay only there."""
    loops = HAND_WRITTEN[net, backend]
    if not gpu_name():
        return loops
    if backend == "jax":
        return tuple(dict.fromkeys((*loops, *_JAX_LOOPS)))
    layout = " channels-last" if net in CONVOLUTIONAL else ""
    return (*loops, f"graphed fp32{layout}", f"graphed bf16{layout}")


def plan_of(net: str, side: Side) -> Plan:
    """Return the plan of one of Slipstream's sides.

    Raises:
        PlanError: Its options contradict each other.
    """
    policy = "mixed_bfloat16" if side.backend != "tensorflow" else "graph_bfloat16"
    return PLAN.edit(
        {
            "runtime.backend": side.backend,
            "runtime.loop": "slipstream",
            # TensorFlow's XLA on the processor is an order of magnitude slower: see LOG.md.
            "runtime.jit": "off" if side.backend == "tensorflow" else "auto",
            "runtime.steps_per_execution": 1 if side.variant == "single" else steps_of(net),
            "data.cache": "device",
            "precision.policy": policy if side.precision == "bf16" else "float32",
        }
    )


def steps_of(net: str) -> int:
    """Return how many updates go into one call: on a GPU all of an epoch."""
    return SHAPES[net][1] // BATCH if gpu_name() else STEPS[net]


def _variants(net: str, backend: str) -> tuple[str, ...]:
    """Return the options worth a try: whether steps are looped."""
    if backend == "jax" and (net not in CONVOLUTIONAL or gpu_name()):
        return ("", "single")
    return ("",)


@dataclass(frozen=True)
class Window:
    """What one window showed: the throughput in it, and the process's peak memory so far."""

    examples_per_second: float
    peak_memory_bytes: int
    peak_device_bytes: int = 0


class SideError(Exception):
    """A side that cannot run, or ran no further; says why."""


@final
class RunningSide:
    """A process of its own for one side, kept alive between windows.

    A context manager: on leaving, the process is ended.

    Args:
        net: The net.
        side: What trains it.
        logs: Folder for what the processes print.

    Raises:
        SideError: It does not start.
    """

    def __init__(self, net: str, side: Side, logs: Path) -> None:
        log_name = f"{net} {side.name}".replace(" ", "_")
        if side.family == "slipstream":
            self._process: _Probe | _Loop = _Probe(net, side, logs, log_name)
        else:
            self._process = _Loop(net, side, logs / f"{log_name}.log")
        try:
            self.start_seconds = self._process.start()
        except BaseException:
            self._process.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.end()

    def window(self, seconds: float) -> Window:
        """Train for about so many seconds; raises SideError when the process fails."""
        return self._process.window(seconds)


class _Probe:
    """Slipstream's engine, as its own runtime search measures it."""

    def __init__(self, net: str, side: Side, logs: Path, log_name: str) -> None:
        try:
            self._plan = plan_of(net, side)
        except PlanError as error:
            raise SideError(str(error)) from error
        launch = Launch(f"{HERE / 'net_tasks.py'}:{net}", log_folder=logs)
        self._worker = launch.worker(side.backend, log_name)

    def start(self) -> float:
        """Return the seconds that building and compiling took."""
        opened = self._worker.open(START_SECONDS)
        if isinstance(opened, Failed):
            raise SideError(opened.message)
        probed = self._worker.probe(self._plan, START_SECONDS)
        if isinstance(probed, Failed):
            raise SideError(probed.message)
        return probed.compile_seconds

    def window(self, seconds: float) -> Window:
        """Measure once."""
        measured = self._worker.measure(seconds, ANSWER_SECONDS)
        if isinstance(measured, Failed):
            raise SideError(measured.message)
        parts = measured.examples_per_second
        # Parts of equal length: their mean is the throughput of the whole.
        throughput = sum(parts) / len(parts)
        return Window(throughput, measured.peak_memory_bytes, measured.peak_device_bytes)

    def end(self) -> None:
        """End the process."""
        self._worker.end()


class _Loop:
    """Keras' fit, the drop-in for it, or a hand-written loop."""

    def __init__(self, net: str, side: Side, log: Path) -> None:
        variables = {
            **os.environ,
            "KERAS_BACKEND": side.backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            # Compiling in several processes would disturb the other sides' windows.
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        order = json.dumps({"net": net, **asdict(side)})
        command = (sys.executable, str(HERE / "side_process.py"), order)
        self._process = ChildProcess(command, variables, log)

    def start(self) -> float:
        """Return the seconds that building and the first epoch took."""
        return float(self._answer(START_SECONDS)["start_seconds"])

    def window(self, seconds: float) -> Window:
        """Measure once."""
        self._process.send(f"{seconds}\n")
        return Window(**self._answer(ANSWER_SECONDS))

    def end(self) -> None:
        """End the process."""
        self._process.end()

    def _answer(self, timeout: float) -> dict[str, float]:
        try:
            line = self._process.receive(timeout)
        except TimeoutError:
            raise SideError(f"said nothing for {timeout:.0f} seconds") from None
        if line is None:
            last = self._process.log_tail(1).strip()
            raise SideError(last[:200] or f"ended with exit code {self._process.exit_code}")
        return json.loads(line)


assert set(STEPS) == set(SHAPES)
