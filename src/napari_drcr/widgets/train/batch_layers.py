"""A batch of training patches as layers: what the network takes and, beside it, what it should give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import encode_srgb
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.training.config import make_config
from napari_drcr.widgets.viewer.layers import LayerData, cube_to_layer_data

RGB_NAME, CUBE_NAME = "batch (RGB)", "batch (cubes)"
BATCH_KEY = "batch_of"
"""Entry of ``metadata["napari_drcr"]`` of the cubes: the scene of each patch."""
GAP = 2
"""Pixels between two patches."""


def batch_layers(content: dict[str, Any], seed: int | None = None) -> tuple[list[LayerData], list[str]]:
    """Make a batch of a run (as in a YAML file), and lay its patches out on two sheets; runs in a thread.

    The seed is that of `napari_drcr.training.preview.preview_batch`. Returned are RGB and cubes, for ``viewer.add_image``, and
    the scene of each patch, row by row; an `InputError` says what is wrong with the values or the data.
    """
    # Here and not above: torch takes seconds to import.
    from napari_drcr.training.preview import preview_batch

    rgb, cubes, names = preview_batch(make_config(content, source="the form"), seed)
    colours = np.moveaxis(_sheet(encode_srgb(np.moveaxis(rgb, -1, 1).clip(0, 1))), 0, -1).astype(np.float32)
    cube = make_cube(_sheet(cubes), WAVELENGTHS, name=CUBE_NAME, attrs={BATCH_KEY: names})
    values, properties, kind = cube_to_layer_data(cube)
    start, *_ = properties["translate"]
    properties["translate"] = (start, 0.0, float(colours.shape[1] + 4 * GAP))
    return [(colours, {"name": RGB_NAME, "rgb": True}, kind), (values, properties, kind)], names


def _sheet(patches: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Lay patches (n, channels, y, x) out in rows."""
    count, channels, height, width = patches.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros((channels, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), patches.dtype)
    for number, patch in enumerate(patches):
        top, left = number // columns * (height + GAP), number % columns * (width + GAP)
        sheet[:, top : top + height, left : left + width] = patch
    return sheet
