"""The benchmark's nets as tasks, for Slipstream's own workers.

slipstream look bench/net_tasks.py:mlp
"""

from __future__ import annotations

from nets import BATCH, BUILDERS, CLIPPING, RATE, WEIGHT_DECAY, arrays
from slipstream import Data, Plan, Split, Task

PLAN = Plan().edit(
    {
        "optimizer.name": "adamw",
        "optimizer.weight_decay": WEIGHT_DECAY,
        "optimizer.decay_norm_and_bias": True,
        "schedule.peak": RATE,
        "clipping.global_norm": CLIPPING,
        "batch.size": BATCH,
        "duration.epochs": 1,
    }
)


def _task(name: str) -> Task:
    def data() -> Data:
        x, y = arrays(name)
        return Data(Split(x, y), Split(x[:BATCH], y[:BATCH]))

    return Task(
        model=BUILDERS[name],
        data=data,
        loss={"class_name": "SparseCategoricalCrossentropy", "config": {"from_logits": True}},
        metrics=("accuracy",),
        monitor="val_loss",
        plan=PLAN,
        name=name,
    )


mlp, cnn, lstm = _task("mlp"), _task("cnn"), _task("lstm")
transformer, resnet18, gru_tagger = _task("transformer"), _task("resnet18"), _task("gru_tagger")
