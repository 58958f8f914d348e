"""Cases of Embedding and Masking; see conformance.py."""

from __future__ import annotations

import keras
from conformance import Case

L = keras.layers

CASES = (
    Case("embedding", lambda: L.Embedding(6, 4), shapes=((3, 5),), dtypes=("int32",), below=6),
    Case("embedding_long", lambda: L.Embedding(6, 4), shapes=((3, 5),), dtypes=("int64",), below=6),
    Case(
        "embedding_mask_zero",
        lambda: L.Embedding(6, 4, mask_zero=True),
        shapes=((3, 5),),
        dtypes=("int32",),
        below=6,
    ),
    Case("embedding_of_floats", lambda: L.Embedding(6, 4), shapes=((3, 5),), scale=0.0),
    Case("masking", L.Masking, shapes=((3, 5, 2),)),
)
