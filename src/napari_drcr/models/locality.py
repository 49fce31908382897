"""How far layers of torch look around a pixel, and how they scale maps."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from napari_drcr.models.extent import Local, WholeMap

POINTWISE = {
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow),
    *(torch.add, torch.sub, torch.mul, torch.div, torch.neg, torch.abs, torch.exp, torch.sqrt, torch.square, torch.clamp),
    *(torch.relu, torch.sigmoid, torch.tanh, torch.maximum, torch.minimum),
    *(F.relu, F.leaky_relu, F.gelu, F.silu, F.elu, F.softplus, F.mish, F.dropout),
    *("add", "sub", "mul", "div", "abs", "neg", "exp", "sqrt", "square", "pow", "clamp", "clamp_min", "clamp_max"),
    *("relu", "sigmoid", "tanh", "contiguous"),
}
"""Functions and methods that treat every value by itself."""
OVER_AN_AXIS = {
    *(torch.softmax, F.softmax, torch.mean, torch.sum, torch.amax, torch.chunk, torch.split, torch.cat),
    *("softmax", "mean", "sum", "amax", "chunk", "split"),
}
"""Those that are local if their axis is that of the channels."""
REDUCING = {torch.mean, torch.sum, torch.amax, "mean", "sum", "amax"}
"""Those of them that must keep the axis."""
POINTWISE_LAYERS = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Mish, nn.Softplus, nn.Sigmoid, nn.Tanh),
    *(nn.Identity, nn.Dropout, nn.Dropout2d, nn.BatchNorm2d),
)


class NotLocal(Exception):
    """A network does something that is not known to be local; says what."""


@dataclass(frozen=True)
class Extent:
    """Where the values of a map come from.

    Attributes
    ----------
    scale : Fraction
        Pixels of the image that a pixel of the map stands for, in each direction.
    reach : Fraction
        How far around them it looks, in pixels of the image.
    loss : Fraction
        By how much the map is smaller than the image on each side, in pixels of the image, as after convolutions without padding.
    """

    scale: Fraction = Fraction(1)
    reach: Fraction = Fraction(0)
    loss: Fraction = Fraction(0)

    def seen(self, radius: int) -> Extent:
        """After something that looks so many pixels of the map around each of them."""
        return replace(self, reach=self.reach + radius * self.scale)

    def scaled(self, factor: int | Fraction) -> Extent:
        """After pixels were merged (above 1) or split (below 1); the parts of a pixel lie at its border, or further inside."""
        scale = self.scale * factor
        return replace(self, scale=scale, reach=self.reach + max(self.scale - scale, Fraction(0)))

    def cut(self, pixels: Fraction) -> Extent:
        """After so many pixels of the map are gone on each side."""
        return replace(self, loss=self.loss + pixels * self.scale)


def after(node: fx.Node, layer: nn.Module | None, extent: Extent) -> Extent:
    """The extent of what a node makes of maps.

    Parameters
    ----------
    node : torch.fx.Node
        A call of a layer, a function or a method.
    layer : torch.nn.Module or None
        What it calls, if it is a layer.
    extent : Extent
        Of its arguments.

    Returns
    -------
    Extent

    Raises
    ------
    NotLocal
        If it is not known to be local.
    """
    if layer is not None:
        return _after_layer(layer, extent)
    if node.target is operator.getitem and (cuts_channels(node) or isinstance(node.args[1], int)):
        return extent
    if node.target in POINTWISE:
        return extent
    if node.target in OVER_AN_AXIS:
        given = [*node.args[1:], *node.kwargs.values()]
        if 1 in given[-2:] and (node.target not in REDUCING or node.kwargs.get("keepdim")):
            return extent
    if node.target in RESAMPLING:
        return RESAMPLING[node.target](extent, *node.args[1:], **node.kwargs)
    raise NotLocal(f"{getattr(node.target, '__name__', node.target)} is not known to be local.")


def cuts_channels(node: fx.Node) -> bool:
    """Whether a node takes some channels of a map, as in ``x[:, a:b]``.

    Parameters
    ----------
    node : torch.fx.Node
        Indexes something.

    Returns
    -------
    bool
    """
    where = node.args[1]
    return isinstance(where, tuple) and len(where) == 2 and where[0] == slice(None) and isinstance(where[1], slice)


def _after_layer(layer: nn.Module, extent: Extent) -> Extent:
    if isinstance(layer, Local):
        return extent.seen(layer.radius)
    if isinstance(layer, (WholeMap, *POINTWISE_LAYERS)) or (isinstance(layer, nn.Softmax) and layer.dim == 1):
        return extent
    if isinstance(layer, nn.PixelShuffle):
        return extent.scaled(Fraction(1, layer.upscale_factor))
    if isinstance(layer, nn.PixelUnshuffle):
        return extent.scaled(layer.downscale_factor)
    if isinstance(layer, nn.Conv2d) and not isinstance(layer.padding, str):
        kernel = _one(layer.dilation) * (_one(layer.kernel_size) - 1) + 1
        return _after_window(extent, kernel, _one(layer.stride), _one(layer.padding))
    if isinstance(layer, nn.AvgPool2d | nn.MaxPool2d):
        dilation = getattr(layer, "dilation", 1)
        return _after_pooling(extent, layer.kernel_size, layer.stride, layer.padding, dilation, layer.ceil_mode)
    if isinstance(layer, nn.ConvTranspose2d) and _one(layer.dilation) == 1:
        sizes = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding)
        return _after_transposed(extent, *(_one(each) for each in sizes))
    raise NotLocal(f"{type(layer).__name__} is not known to be local.")


def _one(sizes: Any) -> int:
    """The size in both directions."""
    both = {sizes} if isinstance(sizes, int) else set(sizes)
    if len(both) > 1:
        raise NotLocal(f"a layer that is not square ({sizes}) is not known to be local.")
    return int(both.pop())


def _after_window(extent: Extent, kernel: int, stride: int, padding: int) -> Extent:
    if stride == 1 and kernel % 2:
        return extent.seen(kernel // 2).cut(Fraction(kernel // 2 - padding))
    # A map of n strides becomes one of n pixels; each sees so many before the first and after the last pixel of its stride.
    if not kernel - stride <= 2 * padding < kernel:
        raise NotLocal(f"windows of {kernel} pixels, {stride} apart, do not cover a map evenly.")
    return extent.seen(max(padding, kernel - stride - padding)).scaled(stride)


def _after_transposed(extent: Extent, kernel: int, stride: int, padding: int, more: int) -> Extent:
    if stride == 1 and kernel % 2 and not more:
        return extent.seen(kernel // 2).cut(Fraction(padding - kernel // 2))
    if kernel - stride - 2 * padding + more:
        raise NotLocal(f"a transposed convolution of {kernel} pixels does not enlarge a map {stride} times.")
    # Of the output, pixel o gets j = 0 ... kernel - 1 from pixel i of the map where o = stride i - padding + j.
    looks = max((stride - 1 + padding) // stride, (kernel - 1 - padding) // stride)
    return extent.seen(looks).scaled(Fraction(1, stride))


def _after_interpolation(
    extent: Extent, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: Any = None, **_: Any
) -> Extent:
    factor = Fraction(scale_factor or 0)
    if (
        size is not None
        or align_corners
        or mode not in ("nearest", "bilinear")
        or 1 not in (factor.numerator, factor.denominator)
    ):
        raise NotLocal("only interpolation by a whole factor, without aligned corners, is known to be local.")
    return extent.seen(int(mode == "bilinear" and factor > 1)).scaled(1 / factor)


def _after_pooling(
    extent: Extent, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False, **_: Any
) -> Extent:
    if _one(dilation) != 1 or ceil_mode:
        raise NotLocal("pooling with dilation or a rounded-up size is not known to be local.")
    return _after_window(extent, _one(kernel_size), _one(stride or kernel_size), _one(padding))


RESAMPLING: dict[Any, Callable[..., Extent]] = {
    F.interpolate: _after_interpolation,
    F.avg_pool2d: _after_pooling,
    F.max_pool2d: _after_pooling,
    F.pixel_shuffle: lambda extent, factor: extent.scaled(Fraction(1, factor)),
    F.pixel_unshuffle: lambda extent, factor: extent.scaled(factor),
}
"""Functions that change how many pixels there are."""
