"""The part of a script that takes the worst gradient nearby: an update's step, by backend."""

from __future__ import annotations

from slipstream.plan import Plan

TENSORFLOW = '''
def gradients_of(model, x, y, weights):
    """Return the loss, the predictions, and the gradients of the loss."""
    with tf.GradientTape() as tape:
        predictions = model(x, training=True)
        loss = model._compute_loss(x, y, predictions, weights, training=True)
        scaled = model.optimizer.scale_loss(loss)
    gradients = tape.gradient(scaled, model.trainable_variables)
    return loss, predictions, [None if g is None else tf.convert_to_tensor(g) for g in gradients]


def sharp_step(model, data):
    """Make an update with the gradients at w + r * g / ||g||; only the first pass leaves traces."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    weights = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    kept, before = [tf.identity(w) for w in weights], [tf.identity(o) for o in others]
    loss, predictions, gradients = gradients_of(model, x, y, sample_weight)
    size = keras.ops.shape(keras.tree.flatten(x)[0])[0]
    model._loss_tracker.update_state(loss, sample_weight=size)
    logs = model.compute_metrics(x, y, predictions, sample_weight=sample_weight)
    after = [tf.identity(other) for other in others]
    factor = SHARPNESS / (tf.linalg.global_norm(gradients) + 1e-12)
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None:
            weight.assign_add(tf.cast(factor * gradient, weight.dtype))
    for other, value in zip(others, before, strict=True):
        other.assign(value)
    _, _, gradients = gradients_of(model, x, y, sample_weight)
    for variable, value in zip([*others, *weights], [*after, *kept], strict=True):
        variable.assign(value)
    model.optimizer.apply(gradients, model.trainable_variables)
    return logs
'''
JAX = '''
def sharp_step(model, state, data):
    """Make an update with the gradients at w + r * g / ||g||; only the first pass leaves traces."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    trainable, others, optimizer, metrics = state
    differentiate = jax.value_and_grad(
        partial(model.compute_loss_and_updates, training=True), has_aux=True
    )

    def gradients_at(weights):
        return differentiate(
            weights, others, metrics, x, y, sample_weight, optimizer_variables=optimizer
        )

    (_, aux), gradients = gradients_at(trainable)
    loss, predictions, new_others, new_metrics = aux
    logs, new_metrics = model._update_metrics_variables(
        new_metrics, loss, x, y, predictions, sample_weight
    )
    norm = sum((g.astype("float32") ** 2).sum() for g in gradients) ** 0.5
    factor = SHARPNESS / (norm + 1e-12)
    moved = [w + (factor * g).astype(w.dtype) for w, g in zip(trainable, gradients, strict=True)]
    _, gradients = gradients_at(moved)
    trainable, optimizer = model.optimizer.stateless_apply(optimizer, gradients, trainable)
    return logs, (trainable, new_others, optimizer, new_metrics)
'''
TORCH = '''
def differentiated(model, x, y, weights):
    """Leave the gradients of the loss in the variables; return the loss and the predictions."""
    model.zero_grad()
    predictions = model(x, training=True)
    loss = model._compute_loss(x, y, predictions, weights, training=True)
    model.optimizer.scale_loss(loss).backward()
    return loss.detach(), predictions


def sharp_step(model, data):
    """Make an update with the gradients at w + r * g / ||g||; only the first pass leaves traces."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    variables = list(model.trainable_variables)
    others = [variable.value for variable in model.non_trainable_variables]
    before = [other.clone() for other in others]
    loss, predictions = differentiated(model, x, y, sample_weight)
    after = [other.clone() for other in others]
    with torch.no_grad():
        size = keras.tree.flatten(x)[0].shape[0]
        model._loss_tracker.update_state(loss, sample_weight=size)
        logs = model.compute_metrics(x, y, predictions, sample_weight=sample_weight)
        moved = [v.value for v in variables if v.value.grad is not None]
        kept, gradients = [w.detach().clone() for w in moved], [w.grad for w in moved]
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
        for weight, gradient in zip(moved, gradients, strict=True):
            weight.add_(gradient * (SHARPNESS / (norm + 1e-12)))
        for other, value in zip(others, before, strict=True):
            other.copy_(value)
    differentiated(model, x, y, sample_weight)
    with torch.no_grad():
        for variable, value in zip([*others, *moved], [*after, *kept], strict=True):
            variable.copy_(value)
        model.optimizer.apply([v.value.grad for v in variables], variables)
    return logs
'''
_STEPS = {"tensorflow": TENSORFLOW, "jax": JAX, "torch": TORCH}
_IMPORTS = {"tensorflow": "import tensorflow as tf", "jax": "import jax", "torch": "import torch"}


def sharp_definitions(plan: Plan) -> list[str]:
    """Return the step of the plan's backend; nothing where updates take one gradient."""
    if not plan.optimizer.sam:
        return []
    return [f"SHARPNESS = {plan.optimizer.sam!r}", _STEPS[plan.runtime.backend]]


def sharp_imports(plan: Plan) -> set[str]:
    """Return the imports that the step needs."""
    if not plan.optimizer.sam:
        return set()
    return {_IMPORTS[plan.runtime.backend], "from functools import partial"}


def sharp_lines(plan: Plan) -> list[str]:
    """Return the lines that have the model make its updates so."""
    return ["model.train_step = partial(sharp_step, model)"] if plan.optimizer.sam else []
