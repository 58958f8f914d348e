"""Values to test with: random valid plans, and the facts of a small image task."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from slipstream.plan import Plan, settled
from slipstream.task import AS_GIVEN, TaskFacts

_SHARES = st.floats(0.0, 0.999)
_AMOUNTS = st.one_of(st.just(0.0), st.floats(1e-8, 10.0))
_POSITIVE = st.floats(1e-9, 100.0)
_DECAYS = (
    *("cosine", "linear", "polynomial", "one_cycle", "warmup_stable_decay", "exponential"),
    *("inverse_time", "step_decay", "piecewise_constant", "warm_restarts"),
)
_LENGTHS = st.sampled_from(("40 steps", "1 epoch", "2.5 epochs"))
_PIECES = st.sampled_from(("0.5: 0.1, 0.75: 0.01", "1 epoch: 0.5", "100 steps: 0.3, 0.9: 0.2"))
_ADAPTIVE = (
    *("adam", "adamw", "nadam", "adagrad", "adadelta", "adafactor", "lion", "lamb", "muon"),
    "schedule_free_adamw",
)
_WITH_MOMENTUM = ("sgd", "rmsprop", "lars")

_OF_CLASSES = ("as_task", "focal", "sparse_categorical_crossentropy", "kind=focal, size=mse")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans that agree with themselves, with every key drawn that counts."""
    loss_name = draw(st.sampled_from((*_OF_CLASSES, "mae", "huber", "asymmetric_mse")))
    sections = {
        **draw(_learning()),
        **draw(_execution()),
        "clipping": draw(_clipping()),
        "architecture": draw(_architecture()),
        "regularization": {
            **{key: draw(_AMOUNTS) for key in ("l1", "l2")},
            "adaptive_gap": draw(_SHARES),
            "adaptive_step": draw(st.floats(1.01, 10.0)),
            "adaptive_limit": draw(st.floats(1.01, 1000.0)),
            "dropout": draw(st.one_of(st.just("as_model"), _SHARES)),
            **{
                key: draw(st.one_of(st.just(0.0), _SHARES))
                for key in ("spatial_dropout", "drop_connect", "stochastic_depth")
            },
            "label_smoothing": draw(_SHARES) if loss_name in _OF_CLASSES else 0.0,
        },
        "loss": {
            "name": loss_name,
            "delta": draw(_POSITIVE),
            "focus": draw(st.floats(1.0, 5.0)),
            "from_logits": draw(st.sampled_from(("auto", "on", "off"))),
            "weights": draw(st.sampled_from(("as_task", "learned", "a=1, b=0.5"))),
            "class_weights": draw(st.sampled_from(("none", "balanced", "0=1, 1=5"))),
        },
        "seeds": {"seed": draw(st.integers(0, 2**31 - 1))},
        "monitoring": {"landscape": draw(st.booleans())},
        "guard": {"spike": draw(st.sampled_from((0.0, 30.0))), "retries": draw(st.integers(0, 9))},
    }
    if sections["runtime"]["loop"] == "slipstream":
        sections["monitoring"] |= {
            "layers_every": draw(st.integers(0, 3)),
            "histograms": draw(st.booleans()),
            "wrong_images": draw(st.integers(0, 64)),
            "profile": draw(st.integers(0, 100)),
        }
    if sections["runtime"]["loop"] == "slipstream":
        sections["transfer"] = draw(_transfer())
    if sections["runtime"]["loop"] == "keras":
        sections["schedule"]["plateau_patience"] = 0
        sections["optimizer"] |= {"sam": 0.0, "swa": 0.0}
        sections["regularization"]["adaptive_gap"] = 0.0
    # Keys that count for nothing beside the others stay at their defaults.
    return settled(sections)


def facts(**changes: Any) -> TaskFacts:
    """The facts of a small image classification, with some changed."""
    values: dict[str, Any] = {
        "reference": "digits",
        "name": "digits",
        "fingerprint": "f" * 12,
        "data_hash": "d" * 12,
        "monitor": "val_accuracy",
        "mode": "max",
        "target": 0.97,
        "as_given": AS_GIVEN,
        "kind": "classification",
        "num_train": 1000,
        "num_validation": 200,
        "num_test": 200,
        "num_classes": 10,
        "input_shapes": {"image": (8, 8, 1)},
        "input_dtypes": {"image": "float32"},
        "output_shapes": {"digit": (10,)},
        "parameters": 5000,
        "multiply_adds": 5000,
        "layers": {"Dense": 2},
    }
    return TaskFacts.model_validate({**values, **changes})


@st.composite
def _learning(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    name = draw(st.sampled_from((*_WITH_MOMENTUM, *_ADAPTIVE)))
    momentum = draw(_SHARES) if name in _WITH_MOMENTUM else 0.0
    own_average = name == "schedule_free_adamw"
    shape = "constant" if own_average else draw(st.sampled_from(("constant", *_DECAYS)))
    beta_1 = draw(_SHARES)
    cycled = {"sgd": momentum, "adam": beta_1, "adamw": beta_1}.get(name, 0.0)
    low = cycled / 2 if cycled > 1e-3 else 0.0
    return {
        "optimizer": {
            "name": name,
            "momentum": momentum,
            "nesterov": name == "sgd" and momentum > 0 and draw(st.booleans()),
            "beta_1": beta_1,
            "beta_2": draw(_SHARES),
            "rho": draw(_SHARES),
            "epsilon": draw(_POSITIVE),
            "weight_decay": draw(_AMOUNTS),
            "decay_norm_and_bias": draw(st.booleans()),
            "trust": draw(_POSITIVE),
            "sam": draw(_AMOUNTS),
            "lookahead": 0 if own_average else draw(st.integers(0, 9)),
            "lookahead_share": draw(st.floats(0.01, 1.0)),
            "norm_batches": draw(st.integers(0, 99)),
            **draw(st.just({}) if own_average else _average()),
        },
        "groups": draw(_groups()),
        "schedule": {
            "name": shape,
            "peak": draw(_POSITIVE),
            "warmup": draw(
                st.floats(1e-3, 0.99) if shape == "one_cycle" else st.one_of(_SHARES, _LENGTHS)
            ),
            "momentum_low": draw(st.sampled_from((0.0, low))) if shape == "one_cycle" else 0.0,
            **draw(_shape()),
            **{key: value for key, value in draw(_plateau()).items() if not own_average},
        },
    }


@st.composite
def _architecture(draw: st.DrawFn) -> dict[str, Any]:
    """Rewrites of the model."""
    freezes = draw(st.booleans())
    return {
        "base": draw(st.sampled_from(("as_model", "MobileNetV2", "VGG16"))),
        "width": draw(st.floats(0.1, 4.0)),
        "depth": draw(st.floats(0.1, 4.0)),
        "separable": draw(st.sampled_from(("off", "fresh", "nearest"))),
        "residual": draw(st.sampled_from(("off", "plain", "gated"))),
        "batch_norm": not freezes and draw(st.booleans()),
        "init": draw(st.sampled_from(("as_model", "he_normal", "orthogonal", "lsuv"))),
        "zero_gamma": not freezes and draw(st.booleans()),
        "freeze_batch_norm": freezes,
        "batch_norm_momentum": "as_model"
        if freezes
        else draw(st.one_of(st.just("as_model"), _SHARES)),
    }


@st.composite
def _transfer(draw: st.DrawFn) -> dict[str, Any]:
    """Two phases, or one."""
    frozen = draw(st.sampled_from((0.0, 0.3, 1.0, "40 steps", "2 epochs")))
    ends = frozen not in (0.0, 1.0)
    return {
        "frozen": frozen,
        "base": draw(st.sampled_from(("", "^base"))) if frozen else "",
        "rate": draw(st.floats(0.01, 1.0)) if ends else 0.1,
        "batch_norm": draw(st.sampled_from(("frozen", "trained"))) if ends else "frozen",
    }


@st.composite
def _average(draw: st.DrawFn) -> dict[str, Any]:
    """One average of the weights, or none."""
    kind = draw(st.sampled_from(("", "ema", "swa")))
    return {kind: draw(_SHARES)} if kind else {}


@st.composite
def _groups(draw: st.DrawFn) -> dict[str, Any]:
    """Rates that differ from layer to layer."""
    pattern = draw(st.sampled_from(("", "kernel", "^a/|b$")))
    return {
        "layer_decay": draw(st.floats(0.01, 1.0)),
        "pattern": pattern,
        "rate": draw(_AMOUNTS) if pattern else 1.0,
    }


@st.composite
def _shape(draw: st.DrawFn) -> dict[str, Any]:
    """What the shapes of schedules are set by."""
    return {
        "floor": draw(st.floats(0.0, 1.0)),
        "decay_rate": draw(st.floats(1e-3, 1.0)),
        "decay_every": draw(st.one_of(st.floats(1e-3, 1.0), _LENGTHS)),
        "staircase": draw(st.booleans()),
        "power": draw(st.floats(0.1, 5.0)),
        "decay_last": draw(st.one_of(st.floats(1e-3, 1.0), _LENGTHS)),
        "decay_shape": draw(st.sampled_from(("linear", "sqrt"))),
        "pieces": draw(_PIECES),
        "cycles": draw(st.integers(1, 9)),
    }


@st.composite
def _plateau(draw: st.DrawFn) -> dict[str, Any]:
    """What lowers the rate where the watched value gets no better."""
    return {
        "plateau_patience": draw(st.integers(0, 9)),
        "plateau_factor": draw(st.floats(0.01, 0.99)),
        "plateau_floor": draw(_SHARES),
        "plateau_cooldown": draw(st.integers(0, 5)),
        "plateau_min_delta": draw(_AMOUNTS),
    }


@st.composite
def _clipping(draw: st.DrawFn) -> dict[str, Any]:
    """One bound on the gradient, or none."""
    kind = draw(st.sampled_from(("", "value", "norm", "global_norm", "adaptive", "quantile")))
    bound = {kind: draw(_SHARES if kind == "quantile" else _AMOUNTS)} if kind else {}
    return {**bound, "window": draw(st.integers(2, 500))}


@st.composite
def _augmentation(draw: st.DrawFn, on_device: bool) -> dict[str, Any]:
    """What is done to examples, and where."""
    values = {
        "shift": draw(st.integers(0, 4)),
        "flip": draw(st.booleans()),
        "flip_vertical": draw(st.booleans()),
        "resized_crop": draw(st.sampled_from((0.0, 0.3))),
        "rand_ops": 0 if on_device else draw(st.integers(0, 3)),
        "augmix": 0 if on_device else draw(st.integers(0, 3)),
        "erase": draw(st.sampled_from((0.0, 0.5))),
        "mixup": draw(st.sampled_from((0.0, 0.2))),
        "cutmix": draw(st.sampled_from((0.0, 1.0))),
    }
    settings = {"rand_ops": "rand_strength", "augmix": "augmix_strength", "erase": "erase_area"}
    for switch, key in settings.items():
        if values[switch]:
            values[key] = draw(st.floats(0.01, 1.0))
    if any(values.values()):
        places = ["auto", *(["device"] if not values["rand_ops"] + values["augmix"] else [])]
        values["place"] = draw(st.sampled_from(places if on_device else [*places, "host"]))
    return values


@st.composite
def _pipeline(draw: st.DrawFn, own: bool) -> dict[str, Any]:
    """Where examples rest, and how they are read."""
    cache = draw(st.sampled_from(("host", "disk", "hybrid", "none", *(["device"] * own))))
    prefetch = draw(st.sampled_from(("auto", 0, 3)))
    sized = cache in ("host", "hybrid")
    return {
        "cache": cache,
        "memory_budget": draw(st.sampled_from(("auto", "64MiB"))) if sized else "auto",
        "prefetch": "auto" if cache == "device" else prefetch,
        "threads": draw(st.integers(0, 9)) if prefetch or cache == "device" else 0,
    }


@st.composite
def _execution(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    loop = draw(st.sampled_from(("slipstream", "keras")))
    backend = draw(st.sampled_from(("tensorflow", "jax", "torch")))
    own = loop == "slipstream"
    jit = draw(
        st.sampled_from(
            {
                "tensorflow": ("auto", "on", "off"),
                "jax": ("auto", "on"),
                "torch": ("auto", "off"),
            }[backend]
        )
    )
    policies = ["float32", "mixed_bfloat16", "mixed_float16"]
    if backend == "tensorflow" and jit == "off":
        policies.append("graph_bfloat16")
    pipeline = draw(_pipeline(own))
    cache = pipeline["cache"]
    eager = jit != "on" and "graph_bfloat16" not in policies and draw(st.booleans())
    one_step = eager or (not own and backend == "torch")
    return {
        "batch": {
            "size": draw(st.integers(1, 4096)),
            "accumulation": draw(st.integers(1, 8)) if own else 1,
            "remainder": draw(st.sampled_from(("keep", "drop"))) if own else "keep",
            "rate_scaling": draw(st.sampled_from(("none", "linear", "sqrt"))),
            "rate_base": draw(st.integers(1, 4096)),
        },
        "precision": {
            "policy": draw(st.sampled_from(policies)),
            "float32_layers": draw(st.sampled_from(("", "a, b/c", "auto" if own else "a"))),
            "tf32": draw(st.sampled_from(("as_backend", "on", "off"))),
        },
        "augmentation": draw(_augmentation(on_device=cache == "device")) if own else {},
        "data": pipeline,
        "runtime": {
            "backend": backend,
            "jit": jit,
            "eager": eager,
            "steps_per_execution": 1 if one_step else draw(st.integers(1, 64)),
            "lowering": draw(st.booleans()),
            "loop": loop,
        },
        "duration": {
            "epochs": draw(st.integers(1, 300)),
            "evaluations_per_epoch": draw(st.integers(1, 5)) if own else 1,
            "patience": draw(st.integers(0, 20)),
            "stop_at_target": draw(st.booleans()),
            "restore_best": draw(st.booleans()),
        },
    }
