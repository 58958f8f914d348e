"""AugMix."""

from __future__ import annotations

from slipstream.techniques._augmentation import HOST_ALONE, of_images
from slipstream.techniques._base import Choice, Technique, set_keys

TECHNIQUE = Technique(
    name="augmix",
    title="AugMix",
    summary=(
        "Averages each image with several chains of operations that it went through, by random "
        "weights."
    ),
    formula=(
        "x' = (1 - m) * x + m * sum_k w_k * chain_k(x);  m from Beta(1, 1), w from Dirichlet(1,"
        " ..., 1)"
    ),
    helps="Robustness against blur, noise and weather that training never saw.",
    hurts=(
        "Accuracy on clean images of a net that is too small for both; there is no loss of "
        "consistency between views here."
    ),
    cost=(
        "On the host: 200 microseconds for an image of 28 x 28 and three chains. Where a core "
        "is free, data.prefetch does it beside the step."
    ),
    reference=(
        "Hendrycks et al., AugMix: a simple data processing method to improve robustness and "
        "uncertainty, 2020, arXiv:1912.02781"
    ),
    keys=("augmentation.augmix", "augmentation.augmix_strength"),
    edit=set_keys({"augmentation.augmix": 3}),
    applies=of_images(host_alone=True),
    after=("own_loop",),
    clashes=HOST_ALONE,
    search={
        "augmentation.augmix": Choice((0, 2, 3)),
        "augmentation.augmix_strength": Choice((0.1, 0.3, 0.6)),
    },
)
