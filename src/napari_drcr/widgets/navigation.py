"""Where a place or a wavelength of a layer is in the viewer, and how to get there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_drcr.widgets.layers import layer_wavelengths

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image


def pixel_at(layer: Image, position: Sequence[float]) -> tuple[int, int] | None:
    """The pixel of an image at a place of the world.

    Parameters
    ----------
    layer : napari.layers.Image
        An RGB image, or a cube.
    position : sequence of float
        World coordinates, as mouse events have them, the last two of them y and x.

    Returns
    -------
    tuple of (int, int) or None
        Row and column; None outside the image.
    """
    height, width = layer.data.shape[:2] if layer.rgb else layer.data.shape[-2:]
    row, column = (int(pixel) for pixel in np.floor(np.asarray(layer.world_to_data(position))[-2:] + 0.5))
    return (row, column) if 0 <= row < height and 0 <= column < width else None


def current_wavelength(viewer: Viewer, layer: Image) -> float | None:
    """The wavelength of the band of a cube that the slider is at.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose slider.
    layer : napari.layers.Image
        A cube layer.

    Returns
    -------
    float or None
        Band centre in nm; None where the slider is beyond the bands.
    """
    nm = layer_wavelengths(layer)
    band = round(float(np.asarray(layer.world_to_data(viewer.dims.point))[0]))
    return float(nm[band]) if 0 <= band < nm.size else None


def go_to_wavelength(viewer: Viewer, layer: Image, nanometres: float) -> None:
    """Move the slider to the band of a cube that is nearest to a wavelength.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose slider.
    layer : napari.layers.Image
        A cube layer of the viewer.
    nanometres : float
        Wanted wavelength in nm.
    """
    band = int(np.argmin(np.abs(layer_wavelengths(layer) - nanometres)))
    viewer.dims.set_point(viewer.dims.ndim - layer.ndim, layer.data_to_world((band, 0, 0))[0])


def fly_to(viewer: Viewer, layer: Image, y: float, x: float) -> None:
    """Bring a pixel of a layer to the middle of the canvas; the zoom stays.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose canvas.
    layer : napari.layers.Image
        An RGB image, or a cube.
    y, x : float
        Where, in pixels.
    """
    world = layer.data_to_world((*(0,) * (layer.ndim - 2), y, x))
    viewer.scene.camera.center = tuple(world[-2:])
