"""Which plans the Learn stage may try, and which it tries first: recipes on the runtimes found."""

from __future__ import annotations

from itertools import cycle
from typing import Any, final

from slipstream.errors import PlanError
from slipstream.plan import Plan, Value
from slipstream.plan.rates import written_out
from slipstream.progress import Step
from slipstream.techniques import Recipe, case_of, get, get_recipe, recipes
from slipstream.tuning.baselines import Baselines
from slipstream.tuning.context import TUNING_SEED, Context, Deadline
from slipstream.tuning.quick_runtimes import quick_runtimes
from slipstream.tuning.rates import RateRange, find_range
from slipstream.tuning.runtime_values import RuntimeResult

# The tuned baseline itself, on the runtimes that were found.
BASELINE_RECIPE = "plain_momentum"
# Shares of the task's own epochs that the first trials take, one for each runtime in turn.
SHARES = (0.35, 0.2)
# Runs of fewer updates than this get a shorter window for BatchNormalization's averages.
MANY_UPDATES = 5_000
# Range tests end after so much of the stage's time, and after a quarter of the recipes.
RANGES_SHARE = 0.2


@final
class Portfolio:
    """Makes plans from recipes, runtimes, batch sizes, rates and lengths.

    Args:
        context: The study.
        baselines: The plan as given, and the tuned one.
        runtime: The fastest runtime at each batch size.
    """

    def __init__(self, context: Context, baselines: Baselines, runtime: RuntimeResult) -> None:
        self._context = context
        self._baselines = baselines
        self._own = written_out(baselines.as_given).adapt({"runtime.loop": "slipstream"})
        self._runtimes = quick_runtimes(runtime) or {self._own.runtime.backend: {}}
        self.batches = runtime.batch_sizes or (self._own.batch.size,)
        self.ranges: dict[str, RateRange] = {}
        case = case_of(context.facts)
        # The safest goes first; the one for this kind of task next.
        first, *others = recipes()
        self.recipes = (first, *([case] if case is not None else []), *others)

    @property
    def runtimes(self) -> list[str]:
        """The names of the runtimes, the one that is quickest off the mark first."""
        return list(self._runtimes)

    @property
    def longest(self) -> int:
        """The epochs of the task as given."""
        return self._baselines.as_given.duration.epochs

    def test_ranges(self, deadline: Deadline) -> None:
        """Run a range test for the optimizers of the first recipes."""
        plan = self._on(self.runtimes[0], self._usual_batch())
        plan = plan.edit({"seeds.seed": TUNING_SEED})
        tested = 0
        for recipe in recipes():
            if tested * 4 > len(recipes()) or deadline.fraction > RANGES_SHARE:
                break
            made = self._applied(recipe.name, plan)
            if made is None or made.optimizer.name in self.ranges:
                continue
            found = find_range(self._context, made)
            tested += 1
            if found is not None:
                self.ranges[made.optimizer.name] = found
                text = f"{made.optimizer.name}: rates up to {found.largest:.3g} are worth trying"
                self._context.listener(Step("learn", text, deadline.fraction))

    def first_trials(self) -> list[dict[str, Any]]:
        """Return the parameters of the trials that come before any that are proposed."""
        return [
            {
                "recipe": recipe.name,
                "runtime": runtime,
                "batch": self._usual_batch(),
                "rate_factor": self._first_factor(recipe),
                "epochs": max(1, round(self.longest * share)),
            }
            for share, runtime in zip(SHARES, cycle(self._runtimes), strict=False)
            for recipe in self.recipes
        ]

    def plan(
        self, recipe: str, runtime: str, batch: int, rate_factor: float, epochs: int
    ) -> Plan | None:
        """Return the plan of a trial, or None where the recipe does not apply."""
        plan = self._applied(recipe, self._on(runtime, batch))
        if plan is None:
            return None
        peak = plan.schedule.peak * rate_factor
        known = self.ranges.get(plan.optimizer.name)
        if known is not None:
            peak = min(peak, known.largest)
        evaluations = 4 if epochs <= 2 else 2 if epochs <= 4 else 1
        return plan.edit(
            {
                "schedule.peak": float(f"{peak:.4g}"),
                "duration.epochs": epochs,
                "duration.evaluations_per_epoch": evaluations,
                "seeds.seed": TUNING_SEED,
                **self._for_a_short_run(plan, epochs),
            }
        )

    def _usual_batch(self) -> int:
        """The batch size at which range tests and the first trials run: not the largest."""
        return self.batches[min(1, len(self.batches) - 1)]

    def _on(self, runtime: str, batch: int) -> Plan:
        """The task's own plan on one of the runtimes, at a batch size."""
        return self._own.adapt({**self._runtimes[runtime], "batch.size": batch})

    def _applied(self, recipe: str, plan: Plan) -> Plan | None:
        try:
            return get_recipe(recipe).apply(plan, self._context.facts)
        except PlanError:
            return None

    def _first_factor(self, recipe: Recipe) -> float:
        """The baseline's best rate for the baseline's own recipe; else the recipe's rate."""
        if recipe.name != BASELINE_RECIPE:
            return 1.0
        factor = self._baselines.tuned.schedule.peak / float(recipe.settings["schedule.peak"])
        return min(10.0, max(0.1, factor))

    def _for_a_short_run(self, plan: Plan, epochs: int) -> dict[str, Value]:
        """BatchNormalization's averages must keep up with weights that move fast."""
        facts = self._context.facts
        updates = epochs * facts.num_train / (plan.batch.size * plan.batch.accumulation)
        technique = get("batch_norm_momentum")
        if updates > MANY_UPDATES or technique.applies(plan, facts) is not None:
            return {}
        changed = technique.apply(plan, facts).flat()
        return {key: changed[key] for key in technique.keys}
