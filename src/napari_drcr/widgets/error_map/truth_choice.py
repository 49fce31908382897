"""Which estimate is compared with which truth: two choosers, the likeliest pair first, and a file button."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QSizePolicy, QWidget

from napari_drcr.io import CUBE_SUFFIXES
from napari_drcr.widgets.error_map.likely_pairs import likeliest_pair, likeliest_truth
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained, narrow
from napari_drcr.widgets.viewer.controls import Chooser, add_rows, offer_layers
from napari_drcr.widgets.viewer.fitting import beside, form_layout
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, is_cube_layer, model_of_layer, open_cube, show_wavelength
from napari_drcr.widgets.viewer.navigation import begin_at_green
from napari_drcr.widgets.viewer.stacking import add_below_marks

if TYPE_CHECKING:
    import xarray as xr


class PairChoice(QWidget):
    """Choosers of an estimate and of its truth.

    Until one is chosen, the likeliest pair is; an estimate is chosen with its likeliest truth, unless
    `known_truth` returns one that it is already compared with.

    Attributes
    ----------
    estimate, truth : magicgui.widgets.ComboBox
        None, and all cube layers, estimates first in the one, last in the other.
    file_button : QPushButton
        Opens a file as the truth.
    changed : Signal()
        Another pair is chosen.
    said, failed : Signal(str)
        How the opening of a file goes; why it failed.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(str)

    def __init__(self, viewer: napari.viewer.Viewer, known_truth: Callable[[Image], Image | None]) -> None:
        super().__init__()
        self._viewer, self._known_truth = viewer, known_truth
        self._notices: dict[str, None] = {}
        self._background = Background(self, self.failed.emit, self._notices.setdefault, task="Reading the file")
        self._chosen = False
        self.estimate = Chooser(choices=[], label="Reconstruction", tooltip="The cube whose errors are looked for.")
        self.truth = Chooser(choices=[], label="Ground truth", tooltip="The cube that is taken as right.")
        self.file_button = explained(
            QPushButton("File\N{HORIZONTAL ELLIPSIS}"), f"Open a true cube: {', '.join(CUBE_SUFFIXES)}"
        )
        self.file_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        form = add_rows(form_layout(self), self.estimate)
        form.addRow(self.truth.label, beside(narrow(self.truth.native), self.file_button))
        self.estimate.changed.connect(self._choose_estimate)
        self.truth.changed.connect(self._choose_truth)
        for chooser in (self.estimate, self.truth):
            chooser.changed.connect(lambda _: self.changed.emit())
        self.file_button.clicked.connect(self._ask_for_file)
        self.refresh()

    @property
    def pair(self) -> tuple[Image | None, Image | None]:
        """The chosen estimate and truth."""
        return self.estimate.value, self.truth.value

    def refresh(self) -> None:
        """Offer the cube layers that there are now."""
        layers = self._viewer.layers
        cubes = [layer for layer in reversed(layers) if is_cube_layer(layer)]
        before = self.pair
        with self.estimate.changed.blocked(), self.truth.changed.blocked():
            for chooser, last in ((self.estimate, False), (self.truth, True)):
                ordered = sorted(cubes, key=lambda layer: (model_of_layer(layer) is None) is not last)
                offer_layers(chooser, ordered, "none")
            gone = any(layer is not None and layer not in cubes for layer in before)
            if not self._chosen or gone:
                self._chosen = False
                self._set(*likeliest_pair(layers))
            self._tell_names()
        if self.pair != before:
            self.changed.emit()

    def choose(self, estimate: Image, truth: Image | None = None) -> None:
        """Choose an estimate and its truth: by default the one it is compared with already, else the likeliest."""
        before = self.pair
        self._chosen = True
        with self.estimate.changed.blocked(), self.truth.changed.blocked():
            self._set(estimate, truth or self._known_truth(estimate) or likeliest_truth(estimate, self._viewer.layers))
        if self.pair != before:
            self.changed.emit()

    def open_truth(self, path: str | Path) -> None:
        """Read a cube from a file in a thread, add it as a layer and choose it as the truth."""
        self.said.emit(f"Reading {Path(path).name}\N{HORIZONTAL ELLIPSIS}")
        self._notices.clear()
        self._background.run(open_cube, Path(path), done=self._add_truth)

    @property
    def reading(self) -> bool:
        """Whether a file is being read."""
        return self._background.running

    def detach(self) -> None:
        """Add no file that is still being read."""
        self._background.detach()

    def _set(self, estimate: Image | None, truth: Image | None) -> None:
        for chooser, layer in ((self.estimate, estimate), (self.truth, truth)):
            if layer in chooser.choices:
                chooser.value = layer
        self._tell_names()

    def _tell_names(self) -> None:
        for chooser in (self.estimate, self.truth):
            chooser.native.setToolTip(chooser.tooltip if chooser.value is None else chooser.value.name)

    def _choose_estimate(self, layer: Image | None) -> None:
        if layer is not None:
            self.choose(layer)

    def _choose_truth(self, _layer: Image | None) -> None:
        self._chosen = True
        self._tell_names()

    def _ask_for_file(self) -> None:
        kinds = f"Cubes ({' '.join('*' + suffix for suffix in CUBE_SUFFIXES)});;All files (*)"
        path, _ = QFileDialog.getOpenFileName(self, "Open the true cube", "", kinds)
        if path:
            self.open_truth(path)

    def _add_truth(self, cube: xr.DataArray) -> None:
        values, properties, _ = cube_to_layer_data(cube)
        layer = Image(values, **properties)
        selected = set(self._viewer.layers.selection)
        begin_at_green(self._viewer)
        add_below_marks(self._viewer, layer)
        self._viewer.layers.selection = selected or {layer}
        show_wavelength(self._viewer)
        self.said.emit(" ".join(self._notices))
        if self.estimate.value is not None:
            self.choose(self.estimate.value, layer)
