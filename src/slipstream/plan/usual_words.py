"""What decisions of a plan are called elsewhere, and the keys that are meant by it."""

from __future__ import annotations

import re

# In Keras, PyTorch Lightning, Hugging Face's Trainer, timm, and in people's own scripts.
USUAL_WORDS: dict[str, str] = {
    "schedule.peak": "lr learning_rate learningrate initial_learning_rate initial_lr init_lr "
    "base_lr max_lr peak_lr eta rate optimizer.lr optimizer.rate schedule.lr",
    "schedule.name": "scheduler lr_scheduler lr_schedule lr_scheduler_type learning_rate_schedule "
    "cosine onecycle one_cycle",
    "schedule.warmup": "warmup_steps warmup_epochs warmup_ratio warm_up lr_warmup",
    "schedule.floor": "min_lr lr_min eta_min end_learning_rate final_lr",
    "schedule.decay_rate": "gamma lr_decay decay",
    "schedule.plateau_patience": "reduce_lr_on_plateau reduce_on_plateau plateau schedule.patience",
    "duration.epochs": "epoch num_epochs n_epochs max_epochs nb_epoch num_train_epochs steps "
    "iterations max_steps training train trainer",
    "duration.patience": "early_stopping early_stopping_patience early_stop es_patience",
    "duration.restore_best": "restore_best_weights load_best_model_at_end save_best_only",
    "batch.size": "batchsize batch_size bs train_batch_size per_device_train_batch_size minibatch",
    "batch.accumulation": "accumulate gradient_accumulation gradient_accumulation_steps accum "
    "grad_accum accumulate_grad_batches",
    "optimizer.name": "optim optimiser adam adamw sgd rmsprop lion",
    "optimizer.weight_decay": "wd weightdecay decoupled_weight_decay",
    "optimizer.beta_1": "beta1 betas adam_beta1",
    "optimizer.beta_2": "beta2 adam_beta2",
    "optimizer.epsilon": "eps adam_epsilon",
    "optimizer.ema": "use_ema ema_decay ema_momentum model_ema polyak",
    "clipping.global_norm": "clip clipnorm clip_norm grad_clip gradient_clip max_grad_norm "
    "gradient_clip_val global_clipnorm clip_grad gradient_clipping",
    "clipping.value": "clipvalue clip_value",
    "loss.name": "loss_fn loss_function criterion objective keras_loss",
    "loss.class_weights": "class_weight classweights",
    "precision.policy": "fp16 bf16 half amp mixed_precision dtype float16 bfloat16 dtype_policy",
    "precision.tf32": "allow_tf32",
    "regularization.l2": "l2_penalty regularizer kernel_regularizer",
    "regularization.dropout": "dropout_rate drop_rate",
    "regularization.label_smoothing": "smoothing label_smooth",
    "runtime.backend": "keras_backend framework device engine library",
    "runtime.jit": "jit_compile xla compile torch_compile",
    "runtime.eager": "run_eagerly eagerly debug",
    "data.threads": "num_workers workers dataloader_num_workers",
    "seeds.seed": "random_seed random_state manual_seed rng",
    "transfer.frozen": "freeze frozen_epochs freeze_backbone",
    "architecture.base": "backbone model arch pretrained",
    "augmentation.flip": "horizontal_flip augment random_flip hflip",
}
USUAL_VALUES: dict[str, str] = {
    "tensorflow": "tf tf.keras tensorflow.keras",
    "torch": "pytorch pt",
    "mixed_float16": "fp16 float16 half amp mixed mixed_precision",
    "mixed_bfloat16": "bf16 bfloat16",
    "float32": "fp32 full single",
    "cosine": "cosine_decay cosine_annealing cosineannealing",
    "warm_restarts": "cosine_restarts cosine_decay_restarts sgdr",
    "step_decay": "step multistep",
    "one_cycle": "onecycle 1cycle",
}
_VALUES = {word: value for value, words in USUAL_VALUES.items() for word in words.split()}
_KEYS = {word: key for key, words in USUAL_WORDS.items() for word in words.split()}
# Shorter ones are a slip of the finger away from another key of a section.
LEAST_LETTERS = 5


def usual_value_for(given: str) -> str:
    """Return the word of a plan for what is called like that elsewhere; "" where there is none.

    Example:
        >>> usual_value_for("TF"), usual_value_for("x")
        ('tensorflow', '')
    """
    return _VALUES.get(re.sub(r"[\s-]", "_", given.strip().lower()), "")


def usual_word_for(given: str) -> str:
    """Return the key that is called like that elsewhere; "" where none is.

    Args:
        given: A word, or a word behind a section's name, as "optimizer.learning_rate".

    Example:
        >>> usual_word_for("LR"), usual_word_for("optimizer.learning-rate"), usual_word_for("x")
        ('schedule.peak', 'schedule.peak', '')
    """
    word = re.sub(r"[\s-]", "_", given.strip().lower())
    last = word.rpartition(".")[2]
    return _KEYS.get(word) or (_KEYS.get(last, "") if len(last) >= LEAST_LETTERS else "")
