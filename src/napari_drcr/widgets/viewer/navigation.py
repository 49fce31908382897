"""Where a place or a wavelength of a layer is in the viewer, and how to get there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_drcr.widgets.viewer.layers import is_cube_layer, layer_wavelengths
from napari_drcr.widgets.viewer.placement import unit_factor

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

GREEN = 550.0
"""Where, in nm, scenes are bright and eyes sensitive: a band to begin with."""


def pixel_at(viewer: Viewer, layer: Image, position: Sequence[float]) -> tuple[int, int] | None:
    """Row and column of the pixel at a position of the world, as mouse events have it; None outside the image."""
    height, width = image_size(layer)
    row, column = (int(pixel) for pixel in np.floor(data_at(viewer, layer, position)[-2:] + 0.5))
    return (row, column) if 0 <= row < height and 0 <= column < width else None


def current_wavelength(viewer: Viewer, layer: Image) -> float | None:
    """Wavelength in nm of the band of a cube that the slider is at; None where the slider is beyond the bands."""
    nm = layer_wavelengths(layer)
    band = round(float(data_at(viewer, layer, viewer.dims.point)[0]))
    return float(nm[band]) if 0 <= band < nm.size else None


def go_to_wavelength(viewer: Viewer, layer: Image, nanometres: float) -> None:
    """Move the slider to the band of a cube that is nearest to a wavelength in nm."""
    band = int(np.argmin(np.abs(layer_wavelengths(layer) - nanometres)))
    viewer.dims.set_point(viewer.dims.ndim - layer.ndim, _world_at(viewer, layer, (band, 0, 0))[0])


def go_to_green(viewer: Viewer, layer: Image) -> None:
    """Move the slider to a cube's band nearest to 550 nm, else the middle one: the first is in most scenes the darkest."""
    nm = layer_wavelengths(layer)
    go_to_wavelength(viewer, layer, GREEN if nm[0] <= GREEN <= nm[-1] else float(nm[nm.size // 2]))


def begin_at_green(viewer: Viewer | None) -> None:
    """Have the slider begin at a useful band, if the layer that is added next is the first to bring an axis of bands.

    napari begins in the middle if that layer is alone, but at the first band beside a photo. A slider that is there already may
    have been moved by hand, and stays. Without a viewer nothing happens.
    """
    if viewer is None or viewer.dims.ndim > 2:
        return

    def begin(event: Any) -> None:
        viewer.layers.events.inserted.disconnect(begin)
        if is_cube_layer(event.value):
            go_to_green(viewer, event.value)

    # The axis is there once napari itself has handled the event.
    viewer.layers.events.inserted.connect(begin, position="last")


def fly_to(viewer: Viewer, layer: Image, y: float, x: float) -> None:
    """Bring a pixel (y, x) of a layer to the middle of the canvas; the zoom stays."""
    viewer.scene.camera.center = tuple(_world_at(viewer, layer, (*(0,) * (layer.ndim - 2), y, x))[-2:])


def image_size(layer: Image) -> tuple[int, int]:
    """Height and width of an image layer in pixels, at full resolution."""
    height, width = layer.data.shape[-3:-1] if layer.rgb else layer.data.shape[-2:]
    return height, width


def data_at(viewer: Viewer, layer: Layer, position: Sequence[float]) -> npt.NDArray[np.float64]:
    """Where in the values of a layer a position of the world is: one coordinate for each axis of the layer."""
    # While napari removes its last stack, the viewer has fewer axes than the layer.
    filled = [*[0.0] * (layer.ndim - len(position)), *position][-layer.ndim :]
    return np.asarray(layer.world_to_data(filled / _world_units(viewer, layer)))


def _world_at(viewer: Viewer, layer: Layer, place: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.asarray(layer.data_to_world(place)) * _world_units(viewer, layer)


def _world_units(viewer: Viewer, layer: Layer) -> npt.NDArray[np.float64]:
    """How many units of the world one unit of a layer is, axis by axis.

    napari measures all lengths in the smallest unit among them, beside wavelengths in nm, but a layer uses its own.
    """
    world = viewer.layers.units
    if world is None or len(world) < layer.ndim:
        return np.ones(layer.ndim)
    return np.array([unit_factor(own, other) for own, other in zip(layer.units, world[-layer.ndim :], strict=True)])
