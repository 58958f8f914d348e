"""What a plan's [monitoring] asks for, done between the updates of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from slipstream.backends import Program, start_profile
from slipstream.data.splits import Data
from slipstream.engine.build import Built
from slipstream.engine.layers import LayerLooks
from slipstream.engine.recorder import Recorder
from slipstream.engine.wrong_images import WrongImages
from slipstream.plan import Plan


@final
class Watch:
    """Looks at a model between updates, and tells observers what it sees.

    Args:
        built: The compiled model.
        program: Its program.
        data: The data set.
        plan: The plan.
        recorder: Where events go, and whose folder a profile is written into.
    """

    def __init__(
        self, built: Built, program: Program, data: Data, plan: Plan, recorder: Recorder
    ) -> None:
        wanted = plan.monitoring
        self._wanted = wanted
        self._built = built
        self._program = program
        self._recorder = recorder
        self._backend = plan.runtime.backend
        self._layers: LayerLooks | None = None
        self._images: WrongImages | None = None
        self._evaluations = 0
        self._has_begun = False
        self._stop_profile: Callable[[], None] | None = None
        self._profiled_from = -1
        if wanted.layers_every > 0:
            seed, labels = plan.seeds.seed, built.labels
            self._layers = LayerLooks(built.model, data.train, seed, labels)
            self._state("layers_every", self._layers.applied)
            if wanted.histograms:
                self._state("histograms", "of weights, gradients and activations")
        if wanted.wrong_images > 0:
            self._images = WrongImages(built.model, data.validation, wanted.wrong_images)
            self._state("wrong_images", f"the worst {wanted.wrong_images} at each evaluation")
        if wanted.profile > 0 and recorder.folder is None:
            self._no_profile("the run has no folder to write it into")

    def use(self, program: Program) -> None:
        """Go on with another program of the same model."""
        self._program = program

    def state(self) -> dict[str, Any]:
        """Return what it knows, as plain values."""
        return {
            "evaluations": self._evaluations,
            "profiled_from": self._profiled_from if self._stop_profile is None else -1,
            "has_layers": self._layers is not None,
            "has_images": self._images is not None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was."""
        self._evaluations = state["evaluations"]
        self._profiled_from = state["profiled_from"]
        # What was given up is not tried again.
        self._layers = self._layers if state["has_layers"] else None
        self._images = self._images if state["has_images"] else None

    def before_updates(self, update: int) -> None:
        """Note that updates begin, after `update` of them; the first ones compile."""
        if not self._has_begun:
            self._has_begun = True
            if update == 0:
                self._look(0, 0.0)
        elif self._wanted.profile and self._profiled_from < 0 and self._recorder.folder:
            self._program.synchronize()
            self._stop_profile = start_profile(self._recorder.folder, self._backend)
            self._profiled_from = update

    def after_updates(self, update: int) -> None:
        """Note that `update` updates are made."""
        if update - self._profiled_from >= self._wanted.profile:
            self._end_profile(update)

    def judged(self, step: int, epoch: float) -> None:
        """Look at predictions, while the model holds the weights that are judged."""
        if self._images is None:
            return
        with self._on_the_clock(), self._kept_going("wrong_images"):
            self._recorder.tell(self._images.look(step, epoch))

    def evaluated(self, step: int, epoch: float) -> None:
        """Look into the layers, while the model holds the weights that are trained."""
        self._evaluations += 1
        if self._layers is not None and self._evaluations % self._wanted.layers_every == 0:
            self._look(step, epoch)

    def close(self, update: int) -> None:
        """End what is still going on."""
        self._end_profile(update)
        if self._wanted.profile and self._recorder.folder and self._profiled_from < 0:
            self._no_profile(
                "all updates were made in one call, which compiles; lower "
                "runtime.steps_per_execution"
            )

    def _look(self, step: int, epoch: float) -> None:
        if self._layers is None:
            return
        with self._on_the_clock(), self._kept_going("layers_every"):
            seen = self._layers.look(step, epoch, keep_arrays=self._wanted.histograms)
            self._recorder.looked(seen)

    def _end_profile(self, update: int) -> None:
        if self._stop_profile is None:
            return
        self._program.synchronize()
        self._stop_profile()
        self._stop_profile = None
        self._state("profile", f"updates {self._profiled_from + 1} to {update}, in plugins/profile")

    def _no_profile(self, reason: str) -> None:
        self._state("profile", f"none: {reason}")
        self._built.notes.append(f"No profile was taken: {reason}.")

    def _state(self, key: str, text: str) -> None:
        self._built.applied[f"monitoring.{key}"] = text

    @contextmanager
    def _on_the_clock(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self._recorder.clock.add("monitor", time.perf_counter() - start)

    @contextmanager
    def _kept_going(self, key: str) -> Iterator[None]:
        """Within it a look may fail: training goes on without further ones, and it is noted."""
        try:
            yield
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self._built.notes.append(f"monitoring.{key} was given up: {reason}")
            self._state(key, f"given up: {reason}")
            self._layers = None if key == "layers_every" else self._layers
            self._images = None if key == "wrong_images" else self._images
