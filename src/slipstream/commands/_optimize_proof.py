"""What the proof of a study takes of its budget, and what the budget is too short for."""

from __future__ import annotations

import math
from dataclasses import dataclass

# The proof is worth as much of the budget as the search.
MOST_SHARE = 0.5
# One that needs more, with its runs as short as they may be, is not begun, ...
LAST_SHARE = 0.6
# ... unless it is over soon in any case.
ALWAYS_SECONDS = 15.0
SHORTEST_RUN_SECONDS = 5.0


@dataclass(frozen=True)
class ProofTime:
    """What the proof takes: starts, two baselines and a winner, for each seed.

    All of it follows from what was measured first, and not from what is left of the budget: a
    study that was interrupted, and has spent more, comes to the same.

    Args:
        num_seeds: Runs of each side.
        start_seconds: What a process takes to start and to load the task.
        full_seconds: What the task as given takes to train, about.
        budget_seconds: The budget of the whole study.
    """

    num_seeds: int
    start_seconds: float
    full_seconds: float
    budget_seconds: float

    @property
    def limit_seconds(self) -> float:
        """The clock seconds of one run: what a baseline takes, if the budget can bear it."""
        share = MOST_SHARE * self.budget_seconds / self.num_seeds
        affordable = (share - 3 * self.start_seconds) / 2.5
        return max(SHORTEST_RUN_SECONDS, min(1.5 * self.full_seconds + 5.0, affordable))

    @property
    def seconds(self) -> float:
        """What all of it takes, about."""
        return self._of_runs(min(self.full_seconds, self.limit_seconds))

    @property
    def enough_minutes(self) -> int:
        """The budget in which no run of it is cut, in whole minutes."""
        return math.ceil(self._of_runs(1.5 * self.full_seconds + 5.0) / MOST_SHARE / 60)

    def why_not(self) -> str:
        """Return why it cannot fit into the budget; "" where it can.

        Example:
            >>> ProofTime(3, 6.0, 20.0, 60.0).why_not()[:36]
            'the proof, 9 runs that each take 6 s'
            >>> ProofTime(3, 6.0, 20.0, 300.0).why_not()
            ''
        """
        if self.seconds <= max(LAST_SHARE * self.budget_seconds, ALWAYS_SECONDS):
            return ""
        return (
            f"the proof, {3 * self.num_seeds} runs that each take {self.start_seconds:.0f} s to "
            f"start, needs {self.seconds:.0f} s or more of the {self.budget_seconds:.0f} s; "
            f"--budget {self.enough_minutes}m is enough"
        )

    def warning(self) -> str:
        """Return what the budget is too short for, to be said before the search; "" for nothing."""
        why = self.why_not()
        if why:
            return f"no gain can be proven: {why}. What is found is written without proof"
        if self.limit_seconds >= self.full_seconds:
            return ""
        return (
            f"the proof ends each run after {self.limit_seconds:.0f} s, where the task as given "
            f"takes about {self.full_seconds:.0f} s: what it reaches in the end will not be known; "
            f"--budget {self.enough_minutes}m is enough"
        )

    def _of_runs(self, run_seconds: float) -> float:
        return self.num_seeds * (3 * self.start_seconds + 2.5 * run_seconds)
