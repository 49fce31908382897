"""Image layers as RGB images: which ones are some, and their values; the only place that knows in which shapes they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image

from napari_drcr.errors import InputError
from napari_drcr.io.rgb import read_profile
from napari_drcr.widgets.viewer.layers import MAP_KEY, SLICE_KEY, facts_of_layer, is_cube_layer
from napari_drcr.widgets.viewer.navigation import data_at, image_size

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

    from napari_drcr.inference.white import Box

NO_IMAGE = "There is no RGB image yet"
MOST_NAMED = 2
"""Of the layers that are no RGB images, how many are named."""


def why_no_rgb(layer: Layer) -> str:
    """Why a layer cannot be taken as an RGB image; quick, since docks ask it of every layer whenever one is added.

    What follows its name in a sentence; empty of RGB images, of series and multiscale ones too, and of images (3, y, x).
    """
    if not isinstance(layer, Image):
        return f"is of the kind {type(layer).__name__}, not an RGB image; choose an image layer"
    if layer.rgb or _channels_first(layer):
        return ""
    shape = " x ".join(map(str, layer.data.shape))
    if layer.ndim == 2:
        merge = "select layers of red, green and blue, and choose Merge to RGB in their right-click menu"
        return f"is grayscale ({shape}), not an RGB image: {merge}"
    if layer.data.shape[-1] in (3, 4):
        return f"is a stack ({shape}), not an RGB image: if its last axis is red, green and blue, add it with rgb=True"
    return f"is an array of {shape}, not an RGB image: open it as RGB, its channels last"


def rgb_layers(layers: Iterable[Layer]) -> list[tuple[str, Image]]:
    """Names and layers of the RGB images among the layers of a viewer; those that napari shows in colour first."""
    images: list[Any] = [layer for layer in layers if not why_no_rgb(layer)]
    return [
        *((layer.name, layer) for layer in images if layer.rgb),
        *((f"{layer.name} (channels first)", layer) for layer in images if not layer.rgb),
    ]


def no_image(layers: Iterable[Layer], remedy: str) -> str:
    """Say that there is no RGB image, what the images are that are there, cubes and maps aside, and the remedy, a sentence."""
    others = [layer for layer in layers if isinstance(layer, Image) and not is_cube_layer(layer)]
    reasons = [f"{layer.name!r} {why_no_rgb(layer)}" for layer in others if MAP_KEY not in facts_of_layer(layer)]
    if not reasons:
        return f"{NO_IMAGE}. {remedy}"
    return f"{NO_IMAGE}: {'. '.join(reasons[:MOST_NAMED])}. {remedy}"


def shown_slice(viewer: Viewer, layer: Image, cube: Layer | None = None) -> tuple[int, ...]:
    """Which image of a series is meant, one index per axis before (y, x): the cube's own, else the one that the sliders show.

    Raises
    ------
    InputError
        If the sliders show none of them.
    """
    series = () if _channels_first(layer) else layer.data.shape[: layer.ndim - 2]
    facts = {} if cube is None else facts_of_layer(cube)
    if facts.get("source_layer") == layer.name and len(facts.get(SLICE_KEY, ())) == len(series):
        return tuple(facts.get(SLICE_KEY, ()))
    index = tuple(int(place) for place in np.floor(data_at(viewer, layer, viewer.dims.point)[: len(series)] + 0.5))
    if not all(0 <= place < count for place, count in zip(index, series, strict=True)):
        raise InputError(f"the sliders show no image of the series {layer.name!r}; move them to the one that is meant.")
    return index


def rgb_from_layer(layer: Layer, index: Sequence[int] = (), box: Box | None = None) -> npt.NDArray[Any]:
    """The RGB image (y, x, 3 or 4) that a layer shows, at full resolution, in the layer's own values and type.

    Of a lazy (dask) layer it reads, so call it in a thread, or for a small `box` only: top, left, bottom and right in pixels,
    the last two excluded. The `index` says which image of a series, see `shown_slice`.

    Raises
    ------
    InputError
        If the layer is something else, has no such image, or holds floating values outside [0, 1].
    """
    if reason := why_no_rgb(layer):
        raise InputError(f"the layer {layer.name!r} {reason}.")
    first = _channels_first(layer)
    values = layer.data[0] if layer.multiscale else layer.data
    series = () if first else values.shape[:-3]
    if len(index) != len(series):
        shape = " x ".join(map(str, values.shape))
        raise InputError(f"the layer {layer.name!r} is a series of RGB images ({shape}); say which of them is meant.")
    top, left, bottom, right = (0, 0, *image_size(layer)) if box is None else box
    part = slice(top, bottom), slice(left, right)
    pixels = np.moveaxis(np.asarray(values[(slice(None), *part)]), 0, -1) if first else np.asarray(values[(*index, *part)])
    if pixels.dtype.kind == "f":
        low, high = float(pixels.min()), float(pixels.max())
        # Written so that NaN, which fails every comparison, is refused too.
        if not (low >= 0 and high <= 1):
            raise InputError(
                f"the layer {layer.name!r} holds values from {low:g} to {high:g}; bring them into 0 to 1, or convert to 8 bit."
            )
    return pixels


def profile_of_layer(layer: Layer) -> bytes | None:
    """The ICC profile of the file that a layer came from: napari opens images without applying it.

    None if that file is gone, it has no profile, or its size is not the layer's.
    """
    if layer.source.path is None or not Path(layer.source.path).is_file():
        return None
    try:
        profile, size = read_profile(Path(layer.source.path))
    except InputError:
        return None
    # Some readers turn a picture upright.
    return profile if image_size(layer) in (size, size[::-1]) else None


def _channels_first(layer: Layer) -> bool:
    """Whether it is an image (3, y, x) of red, green and blue, and no cube of three bands or map."""
    return (
        not layer.rgb
        and layer.ndim == 3
        and layer.data.shape[0] == 3
        and not is_cube_layer(layer)
        and not facts_of_layer(layer)
    )
