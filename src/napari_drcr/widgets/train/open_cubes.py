"""Cubes that are open in napari as the scenes of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_drcr.widgets.train.batch_preview import BATCH_KEY
from napari_drcr.widgets.train.rows import Fold
from napari_drcr.widgets.train.scene_table import BOX
from napari_drcr.widgets.viewer.layers import facts_of_layer, is_cube_layer, layer_to_cube, model_of_layer
from napari_drcr.widgets.viewer.lists import CheckList, Entry

if TYPE_CHECKING:
    import xarray as xr

ABOUT = "Measured cubes, not estimates. They are written to a folder of their own, so that the run can be repeated when napari is closed."
NO_CUBES = "No measured cube is open in napari."
NONE_CHECKED = "Check the cubes to train with."


class OpenCubes(Fold):
    """A list of cube layers to choose from, folded away.

    Attributes
    ----------
    wanted : Signal
        The checked ones shall be the scenes.
    list : CheckList
        The layers, with check boxes.
    button : QPushButton
        Takes those that are checked.
    """

    wanted = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__("Cubes open in napari", ABOUT)
        self._viewer = viewer
        self.list = CheckList()
        self.list.setMaximumHeight(90)
        self.list.setSpacing(2)
        self.list.setStyleSheet(BOX)
        self.button = QPushButton("Train with these cubes")
        self.form.addRow(self.list)
        self.form.addRow(self.button)
        self.list.toggled.connect(self._update_button)
        self.button.clicked.connect(self.wanted)
        self.refresh()

    @property
    def layers(self) -> list[Image]:
        """Those that are checked."""
        return self.list.marked

    @property
    def cubes(self) -> dict[str, xr.DataArray]:
        """Those that are checked, by the names of their layers; no values are read."""
        return {layer.name: layer_to_cube(layer) for layer in self.layers}

    def refresh(self, _event: Any = None) -> None:
        """Offer the cubes that there are now; what was unchecked stays so."""
        measured = [layer for layer in self._viewer.layers if is_cube_layer(layer) and model_of_layer(layer) is None]
        self.list.show_entries([Entry(layer.name, layer, True) for layer in measured if BATCH_KEY not in facts_of_layer(layer)])
        self.note(str(self.list.count() or "none"))
        self._update_button()

    def detach(self) -> None:
        """Hold no layer any more."""
        self.list.show_entries([])

    def _update_button(self) -> None:
        reason = "" if self.layers else NONE_CHECKED if self.list.count() else NO_CUBES
        self.button.setDisabled(bool(reason))
        self.button.setToolTip(reason or ABOUT)
