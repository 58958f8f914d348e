"""The part of a script that makes a model drop units, channels, weights and branches."""

from __future__ import annotations

from collections.abc import Mapping

from slipstream.export._copied import copied
from slipstream.plan import Plan

SET_DROPOUT = '''
def set_dropout(model: keras.Model, rate: float{spared}) -> keras.Model:
    """Set the rate of every Dropout layer; where there is none, put one before the outputs."""
    kinds = (
        keras.layers.Dropout,
        keras.layers.SpatialDropout1D,
        keras.layers.SpatialDropout2D,
        keras.layers.SpatialDropout3D,
    )
    found = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, kinds) and not leaves_out_examples(layer){and_not_spared}
    ]
    for layer in found:
        set_rate(layer, rate)
    if found or rate == 0:
        return model
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    outputs = {{tensor._keras_history.operation.name for tensor in model.outputs}}

    def call(layer, *args, **kwargs):
        if layer.name in outputs and args and hasattr(args[0], "shape"):
            args = (keras.layers.Dropout(rate, name=f"{{layer.name}}_dropout")(args[0]), *args[1:])
        return layer(*args, **kwargs)

    return keras.models.clone_model(
        model, clone_function=lambda layer: layer, call_function=call
    )
'''

_DROPOUT = ("slipstream.rewrite.dropout", ("set_rate", "leaves_out_examples"))
GRAPH_BEHIND = '''
def graph_behind(model: Any) -> Any:
    """Return the functional model behind a functional or Sequential model."""
    return model._functional if isinstance(model, keras.Sequential) else model
'''
_GRAPH = ("slipstream.rewrite.graph", ("Functional", "nodes_of"))
_REWIRING = ("slipstream.rewrite.rewiring", ("Step", "steps", "rewired"))
# What each key takes, in the order in which it has to stand.
_PARTS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "spatial_dropout": (
        _DROPOUT,
        _GRAPH,
        _REWIRING,
        (
            "slipstream.rewrite.spatial_dropout",
            (
                *("ConvBlock", "drop_channels", "channel_shape", "conv_blocks", "block_from"),
                *("is_convolution", "goes_on", "channel_dropout", "followed_by"),
            ),
        ),
    ),
    "dropout": (_DROPOUT,),
    "stochastic_depth": (
        _DROPOUT,
        _GRAPH,
        _REWIRING,
        ("slipstream.rewrite.blocks", ("SUMS",)),
        ("slipstream.rewrite.graph", ("NORMALIZATIONS", "learns", "producer")),
        ("slipstream.rewrite.branches", ("PROJECTIONS", "branch_place", "makers_above")),
        (
            "slipstream.rewrite.stochastic_depth",
            ("Branch", "drop_branches", "residual_branches", "with_branch_dropped"),
        ),
    ),
    "drop_connect": (
        (
            "slipstream.rewrite.drop_connect",
            ("DroppedKernels", "kernel_attributes", "drop_weights", "last_layers"),
        ),
    ),
}


# What the script calls these things.
DROP_NAMES = (
    *dict.fromkeys(name for parts in _PARTS.values() for _, names in parts for name in names),
    *("graph_behind", "set_dropout", "spatial"),
)


def drops(plan: Plan) -> bool:
    """Whether the plan makes a model drop anything."""
    return bool(_keys(plan))


def drop_definitions(plan: Plan) -> list[str]:
    """Return the classes and functions that the lines of `drop_lines` need."""
    parts: dict[str, str] = {}
    for key in _keys(plan):
        for module, names in _PARTS[key]:
            parts |= {name: copied(module, name) for name in names}
    if "Step" in parts:
        parts["graph_behind"] = GRAPH_BEHIND
    if "dropout" in _keys(plan):
        beside = "spatial_dropout" in _keys(plan)
        parts["set_dropout"] = SET_DROPOUT.format(
            spared=", spared: list" if beside else "",
            and_not_spared=" and layer not in spared" if beside else "",
        )
    return list(parts.values())


def drop_lines(plan: Plan) -> list[str]:
    """Return the lines that change the model, in the order in which Slipstream does."""
    settings, keys, lines = plan.regularization, _keys(plan), []
    if "spatial_dropout" in keys:
        lines.append(f"model, spatial = drop_channels(model, {settings.spatial_dropout})")
    if "dropout" in keys:
        spared = ", spatial" if "spatial_dropout" in keys else ""
        lines.append(f"model = set_dropout(model, {settings.dropout}{spared})")
    if "stochastic_depth" in keys:
        lines.append(f"model, _ = drop_branches(model, {settings.stochastic_depth})")
    if "drop_connect" in keys:
        lines.append(f"drop_weights(model, {settings.drop_connect})")
    return lines


def _keys(plan: Plan) -> list[str]:
    settings = plan.regularization
    keys = ["spatial_dropout"] if settings.spatial_dropout > 0 else []
    keys += ["dropout"] if settings.dropout != "as_model" else []
    keys += ["stochastic_depth"] if settings.stochastic_depth > 0 else []
    return [*keys, "drop_connect"] if settings.drop_connect > 0 else keys
