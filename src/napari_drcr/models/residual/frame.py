"""The frame of residual networks: a head, a body with skips over it, a tail.

What differs between systems is put into it: the input (`inputs`), the blocks of the body (`blocks`, `attention`), how the outputs of its
groups are joined, and what the output is added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Padding = Literal["zeros", "replicate"]
"""What convolutions see beyond the border."""


def convolution(
    channels_in: int, channels_out: int, kernel: int = 3, *, bias: bool = True, padding_mode: Padding = "zeros"
) -> nn.Conv2d:
    """A convolution that keeps height and width.

    Parameters
    ----------
    channels_in, channels_out : int
    kernel : int
        Odd.
    bias : bool
        Whether a number is added to every channel.
    padding_mode : {"zeros", "replicate"}

    Returns
    -------
    torch.nn.Conv2d
    """
    return nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=bias, padding_mode=padding_mode)


class ResidualNetwork(nn.Module):
    """``tail(activation(body(head(lift(rgb))) + head(lift(rgb)))) + base(rgb)``.

    Parameters
    ----------
    head : torch.nn.Module
        From the lifted image to features.
    body : torch.nn.Module
        From features to features.
    tail : torch.nn.Module
        From features to bands.
    lift : torch.nn.Module, optional
        Derives the channels that the head takes from the image.
    skip : bool
        Whether the output of the head is added to that of the body.
    activation : torch.nn.Module, optional
        Before the tail.
    base : torch.nn.Module, optional
        From the image to what the output is added to.
    """

    def __init__(
        self,
        head: nn.Module,
        body: nn.Module,
        tail: nn.Module,
        *,
        lift: nn.Module | None = None,
        skip: bool = True,
        activation: nn.Module | None = None,
        base: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.lift = lift
        self.head = head
        self.body = body
        self.skip = skip
        self.activation = activation
        self.tail = tail
        self.base = base

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate a cube.

        Parameters
        ----------
        rgb : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
            Not clipped.
        """
        shallow: Tensor = self.head(rgb if self.lift is None else self.lift(rgb))
        deep: Tensor = self.body(shallow)
        if self.skip:
            deep = deep + shallow
        if self.activation is not None:
            deep = self.activation(deep)
        cube: Tensor = self.tail(deep)
        return cube if self.base is None else cube + self.base(rgb)


class Chain(nn.Module):
    """Units one after the other, then a closing convolution.

    Parameters
    ----------
    units : sequence of torch.nn.Module
        Blocks or groups.
    close : torch.nn.Module, optional
        Follows the last.
    skip : bool
        Whether the input is added to the output, as in a group.
    """

    def __init__(self, units: Sequence[nn.Module], close: nn.Module | None = None, *, skip: bool = False) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.close = close
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        y = x
        for unit in self.units:
            y = unit(y)
        if self.close is not None:
            y = self.close(y)
        return x + y if self.skip else y


class Concatenation(nn.Module):
    """Units one after the other, whose outputs are all brought together by a convolution of single pixels.

    Parameters
    ----------
    units : sequence of torch.nn.Module
        Groups.
    channels : int
        Of their maps.
    bias : bool
        Whether the convolution has biases.
    """

    def __init__(self, units: Sequence[nn.Module], channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.fuse = convolution(len(units) * channels, channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, C, y, x) to the same shape."""
        outputs = []
        for unit in self.units:
            x = unit(x)
            outputs.append(x)
        return self.fuse(torch.cat(outputs, dim=1))  # type: ignore[no-any-return]


def start_he_normal(network: nn.Module) -> None:
    """Give convolutions the random weights of He et al. 2015, by fan-out: a deviation of sqrt(2 / (kernel^2 outputs)).

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place; biases stay.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
