"""The panel Figure: the comparison of models that papers print, in one click."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit, QPushButton, QSizePolicy

from napari_drcr.analysis.figures import comparison_figure
from napari_drcr.analysis.figures.comparison import MOST_BANDS, MOST_MODELS
from napari_drcr.errors import InputError
from napari_drcr.widgets.error_map.image_panel import ImagePanel
from napari_drcr.widgets.viewer.background import sentence_of
from napari_drcr.widgets.viewer.choosers import explained, file_to_save
from napari_drcr.widgets.viewer.controls import add_rows
from napari_drcr.widgets.viewer.fitting import beside, form_layout, stack
from napari_drcr.widgets.viewer.layers import layer_to_cube
from napari_drcr.widgets.viewer.lists import CheckList, Entry
from napari_drcr.widgets.viewer.navigation import current_wavelength
from napari_drcr.widgets.viewer.rgb_images import rgb_from_layer, shown_slice

NO_TRUTH = "There is no true cube yet. Open one, and choose it."
NO_ESTIMATE = "No estimate of the true cube's size is marked; reconstruct its image, or mark one."
KINDS = "PDF (*.pdf);;SVG (*.svg);;PNG (*.png)"


class EstimateList(CheckList):
    """Lists cube layers; those of the truth's size can be marked, and the first `most` of them are as they come."""

    def __init__(self, most: int) -> None:
        super().__init__(rows=most)
        self._most = most
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # What tells estimates apart, the model, is at the end of their names.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def show_layers(self, layers: Sequence[Image], fitting: Sequence[Image]) -> None:
        """List other layers, of which the fitting ones can be marked."""
        self.show_entries([self._entry(layer, layer in fitting, layer in fitting[: self._most]) for layer in layers])

    def _entry(self, layer: Image, fits: bool, marked: bool) -> Entry:
        tooltip = layer.name if fits else f"{layer.name}: of another size than the true cube"
        return Entry(layer.name, layer, marked, tooltip, enabled=fits)


class FigurePanel(ImagePanel):
    """Write the comparison of estimates with their truth: one row per band, one column per model, one colour scale.

    `truth`, `estimates` and `floor` return the layer of the true cube, or None; the cube layers that can be compared with it;
    the floor of relative errors. Call `refresh` when one of the first two would return another.

    Attributes
    ----------
    estimates : EstimateList
        Those that are marked get a column; the first ones of the truth's size are marked as they come.
    bands : QLineEdit
        Wavelengths in nm, between commas.
    band_button : QPushButton
        Takes the band that the slider is at.
    scale : QDoubleSpinBox
        Relative error at the upper end of the colour scale; 0 for the 95th percentile of what the maps show.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        truth: Callable[[], Image | None],
        estimates: Callable[[], list[Image]],
        floor: Callable[[], float],
    ) -> None:
        super().__init__(
            viewer, self._first, "Write figure\N{HORIZONTAL ELLIPSIS}", "The figure", remedy="choose fewer bands or estimates"
        )
        self._truth, self._estimates, self._floor = truth, estimates, floor
        self.estimates = EstimateList(MOST_MODELS)
        about = f"1 to {MOST_BANDS} wavelengths in nm, between commas: one row per band."
        self.bands = explained(QLineEdit("450, 550, 650"), about)
        self.band_button = explained(QPushButton("Current band"), "Take the band that the slider is at.")
        about = "Relative error where the colour scale of all maps ends; at 0 the 95th percentile of what they show."
        self.scale = explained(QDoubleSpinBox(maximum=9.99, singleStep=0.05), about)
        self.scale.setSpecialValueText("95th percentile")
        self._lay_out()
        self.band_button.clicked.connect(self._take_current_band)
        self.button.clicked.connect(self._ask_for_file)
        self.refresh()

    def _lay_out(self) -> None:
        form = add_rows(form_layout(), self.image)
        form.addRow("Estimates", self.estimates)
        form.addRow("Bands (nm)", beside(self.bands, self.band_button, stretched=0))
        form.addRow("Scale up to", self.scale)
        stack(self, form, self.button, self.status, margin=None).addStretch()

    def write(self, path: str | Path) -> None:
        """Write the figure, in a thread, to a ``.pdf``, ``.svg`` or ``.png``; a file that is already there is replaced."""
        path = Path(path)
        try:
            truth, bands = self._check()
            index = shown_slice(self._viewer, self.image.value, self._first())
        except InputError as error:
            self._say(sentence_of(error))
            return
        choices = {"bands": bands, "floor": self._floor(), "scale": self.scale.value() or None}
        self._background.run(
            partial(_write, path, self.image.value, index, truth, self.estimates.marked, **choices),
            done=partial(self._say, f"Written to {path.absolute()}."),
        )
        self._say(f"Writing {path.name}\N{HORIZONTAL ELLIPSIS}")
        self._update()

    def _fitting(self) -> list[Image]:
        """The estimates of the truth's size."""
        truth = self._truth()
        if truth is None:
            return []
        return [layer for layer in self._estimates() if layer is not truth and layer.data.shape[1:] == truth.data.shape[1:]]

    def _first(self) -> Image | None:
        """The cube that knows best which image the figure is about."""
        return next(iter(self._fitting()), self._truth())

    def _update(self) -> None:
        truth, fitting = self._truth(), self._fitting()
        self.estimates.show_layers([layer for layer in self._estimates() if layer is not truth], fitting)
        missing = NO_TRUTH if truth is None else self._missing or ("" if fitting else NO_ESTIMATE)
        self.band_button.setDisabled(truth is None)
        self.button.setDisabled(self.running or bool(missing))
        self.status.say_missing(missing)

    def _take_current_band(self) -> None:
        truth = self._truth()
        nm = None if truth is None else current_wavelength(self._viewer, truth)
        if nm is None:
            self._say("The slider is at no band of the true cube; move it there first.")
        else:
            self.bands.setText(f"{nm:g}")
            self._say("")

    def _check(self) -> tuple[Image, list[float]]:
        """The truth and the bands, if all choices are such that a figure can be made of them."""
        truth = self._truth()
        if truth is None or self.image.value is None:
            raise InputError(NO_TRUTH if truth is None else self._missing)
        if not self.estimates.marked:
            raise InputError(NO_ESTIMATE)
        if len(self.estimates.marked) > MOST_MODELS:
            raise InputError(
                f"The figure has room for {MOST_MODELS} estimates, but {len(self.estimates.marked)} are marked; take the mark off some."
            )
        return truth, _read_bands(self.bands.text())

    def _ask_for_file(self) -> None:
        try:
            self._check()
        except InputError as error:
            self._say(sentence_of(error))
            return
        if path := file_to_save(self, "Write figure", "comparison.pdf", KINDS, self._say):
            self.write(path)


def _read_bands(text: str) -> list[float]:
    """Wavelengths in nm, with commas, semicolons or spaces between them."""
    words = text.replace(",", " ").replace(";", " ").replace("nm", " ").split()
    try:
        bands = [float(word) for word in words]
    except ValueError:
        raise InputError(f"The bands are wavelengths in nm such as 450, 550, 650, not {text.strip()!r}.") from None
    if not 1 <= len(bands) <= MOST_BANDS:
        raise InputError(f"The figure shows 1 to {MOST_BANDS} bands, not {len(bands)}; name them in nm, such as 450, 550, 650.")
    return bands


def _write(path: Path, image: Image, index: Sequence[int], truth: Image, estimates: Sequence[Image], **choices: Any) -> None:
    """Run in a thread."""
    cubes = [layer_to_cube(layer) for layer in estimates]
    names = [str(cube.attrs.get("model", cube.name)) for cube in cubes]
    if len(set(names)) < len(names):
        names = [layer.name for layer in estimates]
    rgb = rgb_from_layer(image, index)[..., :3]
    comparison_figure(path, rgb, layer_to_cube(truth), dict(zip(names, cubes, strict=True)), **choices)
