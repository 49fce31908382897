"""A button that maps how much every pixel of a cube is like a picked spectrum."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtWidgets import QMenu, QPushButton

from napari_drcr.analysis.spectra import spectral_angle_map
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.layers import facts_of_layer, map_to_layer_data, model_of_layer, show_map

if TYPE_CHECKING:
    import xarray as xr
    from napari.layers import Image

Curve = tuple[str, "Image", "xr.DataArray", "xr.DataArray"]
"""A place's name, a cube's layer, the cube, and its spectrum at the place."""

LOOK_ALIKE = (
    "On a measured cube this separates materials that look alike in RGB. On an estimate it cannot: pixels of one RGB are given much the "
    "same spectrum, whatever they are made of."
)
SELECT_FIRST = "Select a curve in the table first"


class SimilarPixels(QPushButton):
    """Adds the spectral angle of every pixel of a cube to a spectrum as a layer; its menu names the cubes.

    `curves` returns what the menu offers: the spectra of the selected place, one per cube. `failed` and `told` take sentences,
    as those of `Background`.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        curves: Callable[[], list[Curve]],
        failed: Callable[[str], object],
        told: Callable[[str], object],
    ) -> None:
        super().__init__("Similar pixels")
        self._viewer, self._curves = viewer, curves
        self._background = Background(self, failed, told, task="The angle map")
        self.setToolTip(f"Adds a layer: the spectral angle of every pixel of a cube to the selected pick. {LOOK_ALIKE}")
        self.setMenu(QMenu(self))
        self.menu().aboutToShow.connect(self._offer)

    def add(self, curve: Curve) -> None:
        """Compute the map of a curve's cube in a thread, and add it."""
        _, _, cube, spectrum = curve
        self._background.run(spectral_angle_map, cube, spectrum, done=partial(self._add, curve))

    def detach(self) -> None:
        """Add nothing more."""
        self._background.detach()

    def _offer(self) -> None:
        menu = self.menu()
        menu.clear()
        for curve in self._curves():
            name, layer = curve[:2]
            kind = "" if model_of_layer(layer) is None else " (an estimate: look-alikes included)"
            menu.addAction(f"to {name} in {layer.name}{kind}", partial(self.add, curve))
        if menu.isEmpty():
            menu.addAction(SELECT_FIRST).setEnabled(False)

    def _add(self, curve: Curve, angles: xr.DataArray) -> None:
        place, layer = curve[:2]
        kind = "" if model_of_layer(layer) is None else "; estimate, look-alikes included"
        facts: dict[str, Any] = {**facts_of_layer(layer), "angle_to": place, "meaning": LOOK_ALIKE}
        name = f"{layer.name} (angle to {place}{kind})"
        values, properties, _ = map_to_layer_data(angles.rename("spectral angle"), layer, name=name, facts=facts)
        show_map(self._viewer, values, properties)
