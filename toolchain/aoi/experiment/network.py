"""NetworkSpec: the layers of a trainable network, as data. Does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from aoi.choices import Readout
from aoi.netx.description import KERNEL_MAX

Size = Annotated[int, Field(gt=0, le=65_536)]
Kernel = Annotated[int, Field(gt=0, le=KERNEL_MAX)]
Padding = Annotated[int, Field(ge=0, le=KERNEL_MAX)]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NeuronSpec(_Spec):
    """Parameters of a CUBA neuron in SLAYER's units (a weight of 1.0 is 64 on the chip)."""

    threshold: float = Field(
        1.0,
        ge=1 / 64,
        lt=64,
        description="multiple of 1/64; from 64 on, SLAYER and Lava differ where v == threshold",
    )
    current_decay: float = Field(0.5, ge=0, le=1, description="fraction of the current lost each step")
    voltage_decay: float = Field(0.1, ge=0, le=1, description="fraction of the voltage lost each step")
    tau_grad: float = Field(0.003, gt=0, description="width of the surrogate gradient, as in SLAYER")
    scale_grad: float = Field(10.0, gt=0, description="height of the surrogate gradient, as in SLAYER")


class DenseSpec(_Spec):
    """Fully connected layer; its input is flattened."""

    type: Literal["dense"] = "dense"
    neurons: Size
    delay: bool = Field(False, description="learn an axonal delay of 0 to 62 steps per neuron")
    recurrent: bool = Field(False, description="each neuron also gets the layer's spikes of the step before")
    weight_scale: float = Field(1.0, gt=0, description="factor on SLAYER's initial weights")
    recurrent_scale: float = Field(0.3, gt=0, description="factor on SLAYER's initial recurrent weights")

    @model_validator(mode="after")
    def _no_delay_in_recurrent(self) -> DenseSpec:
        if self.recurrent and self.delay:
            raise ValueError("recurrent and delay: Lava executes no delays in a recurrent layer; use two layers")
        return self


class ConvSpec(_Spec):
    """Two-dimensional convolution. Reduce the resolution by ``stride``: NetX has no pooling."""

    type: Literal["conv"] = "conv"
    channels: Size
    kernel: Kernel | tuple[Kernel, Kernel]
    stride: Kernel | tuple[Kernel, Kernel] = 1
    padding: Padding | tuple[Padding, Padding] = 0
    dilation: Kernel | tuple[Kernel, Kernel] = 1
    groups: Kernel = 1
    weight_scale: float = Field(1.0, gt=0, description="factor on SLAYER's initial weights")


HiddenSpec = Annotated[DenseSpec | ConvSpec, Field(discriminator="type")]


class NetworkSpec(_Spec):
    """Hidden layers, followed by a dense readout with one neuron per class."""

    layers: tuple[HiddenSpec, ...] = Field(min_length=1)
    neuron: NeuronSpec = NeuronSpec()
    readout: Readout = Field(
        "spikes", description="spikes: counts of output spikes; voltage: voltages of neurons that never fire"
    )
    readout_weight_scale: float = Field(1.0, gt=0)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width); a single number is used for both."""
    return (value, value) if isinstance(value, int) else value
