"""What the dock Reconstruct says about images that are unlike those the model learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtWidgets import QPushButton, QWidget

from napari_drcr.cubes.cube import UNFAMILIARITY
from napari_drcr.models.familiarity import MEANING
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import stack
from napari_drcr.widgets.viewer.layers import (
    PROVENANCE_KEY,
    LayerData,
    facts_of_layer,
    show_alone,
    show_map,
    unfamiliarity_to_layer_data,
)

if TYPE_CHECKING:
    import napari
    import xarray as xr

AMBER = "#e08a00"


class FamiliarityNote(QWidget):
    """A sentence on how much of the image is unlike what the model learned from, and a button for the map; hidden without statistics.

    Attributes
    ----------
    sentence : Message
        Amber where the image as a whole is unlike.
    button : QPushButton
        Adds the map as a layer, or shows the one that is there.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(toolTip=MEANING)
        self._viewer = viewer
        self._map: LayerData | None = None
        self.sentence = Message()
        self.button = QPushButton("Show where")
        stack(self, self.sentence, self.button, margin=0)
        self.button.clicked.connect(self._show_map)
        self.clear()

    def clear(self) -> None:
        """Say nothing."""
        self._map = None
        self.hide()

    def take(self, cube: xr.DataArray, source: Image) -> None:
        """Say how familiar the image of an estimate was to its model."""
        self.clear()
        if UNFAMILIARITY not in cube.coords:
            return
        self._map = unfamiliarity_to_layer_data(cube, source)
        facts = cube.attrs
        advice = ": its scores do not hold there" if facts["unfamiliar"] else ""
        self.sentence.setStyleSheet(f"color: {AMBER}" if facts["unfamiliar"] else "")
        self.sentence.say(
            f"{facts['unfamiliar_share']:.0%} of the image is unlike what {facts['model']} learned from, in colour or texture{advice}."
        )
        self.show()

    def _show_map(self) -> None:
        if self._map is None:
            return
        values, properties, _ = self._map
        made = properties["metadata"][PROVENANCE_KEY]
        layer = next((layer for layer in self._viewer.layers if facts_of_layer(layer) == made), None)
        if layer is None:
            show_map(self._viewer, values, properties)
        else:
            show_alone(self._viewer, layer)
