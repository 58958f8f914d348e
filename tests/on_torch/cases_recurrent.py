"""Cases of the recurrent layers; see conformance.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from conformance import Case

L = keras.layers
X = ((5, 7, 3),)


def with_states(layer: Any, x: Sequence[Any]) -> Any:
    return layer(x[0], initial_state=list(x[1:]))


def family(name: str, layer: Any, num_states: int) -> list[Case]:
    """Return what every recurrent layer must do."""
    states = ((5, 4),) * num_states
    return [
        Case(name, lambda: layer(4), X),
        Case(f"{name}_sequences", lambda: layer(4, return_sequences=True), X),
        Case(f"{name}_state", lambda: layer(4, return_state=True), X),
        Case(
            f"{name}_all_backwards",
            lambda: layer(4, return_sequences=True, return_state=True, go_backwards=True),
            X,
        ),
        Case(f"{name}_no_bias", lambda: layer(4, use_bias=False), X),
        Case(f"{name}_unrolled", lambda: layer(4, unroll=True, return_sequences=True), X),
        Case(
            f"{name}_first_states",
            lambda: layer(4, return_sequences=True, return_state=True),
            (*X, *states),
            call=with_states,
        ),
        Case(f"{name}_masked", lambda: layer(4), X, masked=(0,)),
        Case(
            f"{name}_masked_all",
            lambda: layer(4, return_sequences=True, return_state=True),
            X,
            masked=(0,),
        ),
        Case(
            f"{name}_masked_backwards",
            lambda: layer(4, return_sequences=True, return_state=True, go_backwards=True),
            X,
            masked=(0,),
        ),
        Case(
            f"{name}_masked_zeros",
            lambda: layer(4, return_sequences=True, zero_output_for_mask=True),
            X,
            masked=(0,),
        ),
        Case(
            f"{name}_masked_first_states",
            lambda: layer(4, return_sequences=True),
            (*X, *states),
            masked=(0,),
            call=with_states,
        ),
        Case(
            f"{name}_given_mask",
            lambda: layer(4, return_sequences=True, return_state=True),
            (*X, (5, 7)),
            dtypes=("float32", "bool"),
            below=2,
            call=lambda layer, x: layer(x[0], mask=x[1]),
        ),
        Case(f"{name}_dropout", lambda: layer(4, dropout=0.3), X, random=True, advances=True),
        Case(
            f"{name}_recurrent_dropout",
            lambda: layer(4, recurrent_dropout=0.3),
            X,
            lowered=False,
            random=True,
        ),
        Case(f"{name}_activation", lambda: layer(4, activation="elu"), X, lowered=False),
        Case(f"{name}_bidirectional", lambda: L.Bidirectional(layer(4, return_sequences=True)), X),
        Case(
            f"{name}_bidirectional_masked",
            lambda: L.Bidirectional(layer(4, return_sequences=True)),
            X,
            masked=(0,),
        ),
    ]


# What is the same code for every cell is tried with one of them.
FOR_GRU = (
    "gru",
    "gru_all_backwards",
    "gru_no_bias",
    "gru_first_states",
    "gru_masked_all",
    "gru_dropout",
    "gru_activation",
)
CASES = (
    *family("lstm", L.LSTM, 2),
    *(case for case in family("gru", L.GRU, 1) if case.name in FOR_GRU),
    Case("gru_reset_before", lambda: L.GRU(4, reset_after=False), X, lowered=False),
    Case("simple_rnn", lambda: L.SimpleRNN(4, return_sequences=True), X),
    Case("simple_rnn_relu", lambda: L.SimpleRNN(4, activation="relu", return_state=True), X),
    Case("simple_rnn_masked", lambda: L.SimpleRNN(4, return_sequences=True), X, masked=(0,)),
    Case("lstm_one_step", lambda: L.LSTM(4), ((3, 1, 2),)),
    Case(
        "bidirectional_last_masked",
        lambda: L.Bidirectional(L.LSTM(4, return_state=True)),
        X,
        masked=(0,),
    ),
    Case(
        "bidirectional_two_layers",
        lambda: L.Bidirectional(
            L.LSTM(4, return_sequences=True),
            backward_layer=L.GRU(4, return_sequences=True, go_backwards=True),
            merge_mode="sum",
        ),
        X,
    ),
    *(
        Case(
            f"bidirectional_{mode}",
            lambda mode=mode: L.Bidirectional(
                L.LSTM(4, return_sequences=True, return_state=True), merge_mode=mode
            ),
            X,
        )
        for mode in ("ave", "mul", None)
    ),
    Case(
        "bidirectional_first_states",
        lambda: L.Bidirectional(L.LSTM(4)),
        (*X, *((5, 4),) * 4),
        call=with_states,
    ),
    Case("bidirectional_other", lambda: L.Bidirectional(L.RNN(L.LSTMCell(4))), X, lowered=False),
)
