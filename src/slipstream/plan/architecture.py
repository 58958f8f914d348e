"""The plan's sections for what the model is made of, and for training it in two phases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from slipstream.errors import PlanError
from slipstream.plan.lengths import InUnits, as_fraction
from slipstream.plan.section import BelowOne, Section

Factor = Annotated[float, Field(gt=0.0, le=16.0)]
Initialization = Literal[
    "as_model",
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "orthogonal",
    "lsuv",
]
# The models of keras.applications.
BaseName = Literal[
    "as_model",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2S",
    "EfficientNetV2M",
    "EfficientNetV2L",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "NASNetMobile",
    "NASNetLarge",
    "ResNet50",
    "ResNet101",
    "ResNet152",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "VGG16",
    "VGG19",
    "Xception",
]


class Architecture(Section):
    """What is changed in the model, in the order of these keys; weights are kept where they fit."""

    base: BaseName = Field(
        default="as_model",
        description="the model of keras.applications in the place of the one it is built on",
    )
    width: Factor = Field(default=1.0, description="factor on units and filters of hidden layers")
    separable: Literal["off", "fresh", "nearest"] = Field(
        default="off",
        description="separable convolutions in the place of full ones: with fresh kernels, or "
        "those nearest to the old",
    )
    depth: Factor = Field(
        default=1.0, description="factor on the number of blocks of equal shape in a row"
    )
    residual: Literal["off", "plain", "gated"] = Field(
        default="off",
        description="ways around blocks of equal shape: x + f(x), or f(x) + gate * x from gate 0",
    )
    batch_norm: bool = Field(
        default=False, description="BatchNormalization after Dense and convolutional layers"
    )
    init: Initialization = Field(
        default="as_model", description="how kernels are drawn; lsuv scales them by data"
    )
    zero_gamma: bool = Field(
        default=False, description="residual branches begin with nothing: their last gamma is 0"
    )
    freeze_batch_norm: bool = Field(
        default=False, description="BatchNormalization learns nothing and keeps its averages"
    )
    batch_norm_momentum: BelowOne | Literal["as_model"] = Field(
        default="as_model",
        description="BatchNormalization: share of the moving averages kept at each update",
    )


class Transfer(Section):
    """Two phases: first the head alone learns, on a frozen base; then all of it."""

    frozen: Annotated[float, Field(ge=0.0, le=1.0)] | InUnits = Field(
        default=0.0, description="the first part of the run, in which the base is frozen; 0 is off"
    )
    base: str = Field(
        default="",
        description="regular expression for the names of the base's layers; '' is the model within "
        "the model, or else all but the layers that make the outputs",
    )
    rate: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.1, description="factor on the learning rate after that"
    )
    batch_norm: Literal["frozen", "trained"] = Field(
        default="frozen", description="BatchNormalization of the base after that"
    )

    @property
    def is_on(self) -> bool:
        """Whether the base is frozen at first."""
        return self.frozen != 0.0

    def num_frozen(self, epochs: int, updates_per_epoch: int) -> int:
        """Return how many updates the base is frozen for.

        Raises:
            PlanError: A length in steps or epochs is longer than the run.

        Example:
            >>> Transfer(frozen="2 epochs").num_frozen(10, 50)
            100
        """
        if not self.is_on:
            return 0
        total = epochs * updates_per_epoch
        part = as_fraction(self.frozen, total, updates_per_epoch, "transfer.frozen")
        if part > 1:
            raise PlanError(
                f"transfer.frozen within the run of {total} updates",
                f"'{self.frozen}'",
                "Shorten it, or give it as a fraction of the run.",
                code="SLP-112",
            )
        return max(1, round(part * total))
