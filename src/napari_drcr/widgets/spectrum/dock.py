"""The dock widget Spectrum: spectra of picked pixels and regions, beside the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QPushButton, QTabWidget, QWidget

from napari_drcr.cubes.cube import explain_difference
from napari_drcr.errors import InputError
from napari_drcr.inference.reconstruction import ESTIMATE
from napari_drcr.widgets.spectrum.cube_choice import CubeChoice
from napari_drcr.widgets.spectrum.curve_table import CurveTable
from napari_drcr.widgets.spectrum.curves import REFERENCE_STYLE, CurveMaker, Drawing, Settings, reference_curves, value_label
from napari_drcr.widgets.spectrum.place_choice import PlaceChoice
from napari_drcr.widgets.spectrum.pointer_preview import PointerPreview
from napari_drcr.widgets.spectrum.reader import Place, SpectrumReader
from napari_drcr.widgets.spectrum.reference_choice import ReferenceChoice
from napari_drcr.widgets.spectrum.refine import Refine
from napari_drcr.widgets.spectrum.save_menu import SaveMenu
from napari_drcr.widgets.spectrum.similar_pixels import SimilarPixels
from napari_drcr.widgets.viewer.background import sentence_of
from napari_drcr.widgets.viewer.canvas import Click, ClickListener
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.dock import Dock
from napari_drcr.widgets.viewer.fitting import BreakingRow, beside, form_layout, scrolling, stack
from napari_drcr.widgets.viewer.layers import model_of_layer
from napari_drcr.widgets.viewer.navigation import fly_to, pixel_at
from napari_drcr.widgets.viewer.tools import end_tool, tool_of

if TYPE_CHECKING:
    import xarray as xr
    from napari.layers import Image

NO_CUBE = "There is no cube yet. Open one, or reconstruct one from a photo."
NO_PLACE = "Click a pixel on the canvas."
MATCHED = (
    "Each estimate is multiplied by the factor that fits the truth best (least squares), curve by curve: "
    "errors of brightness are hidden."
)


class Spectrum(Dock):
    """Draw the spectra of picked pixels and regions of several cubes, and compare them with a truth.

    A click on the canvas picks a pixel as long as the dock is seen and `pick_button` is down. The picks are a Points layer;
    their colours are those of the curves, whose line style tells the cube.

    Attributes
    ----------
    plot : SpectrumPlot
        Curves, and under them the relative error of each band.
    cubes, places, references : CubeChoice, PlaceChoice, ReferenceChoice
        What is drawn.
    table : CurveTable
        Where, and how good.
    pick_button, preview_button : QPushButton
        Whether clicks pick, and whether the spectrum under the pointer is drawn without a key.
    refine : Refine
        Computes what is picked again, in float32.
    scaling, floor, match : magicgui.widgets.ComboBox, FloatSpinBox, CheckBox
        How curves are drawn and compared.
    drawing : Drawing
        What is shown.
    """

    TITLE = "Spectrum"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        from napari_drcr.widgets.plot.widget import SpectrumPlot

        super().__init__(viewer)
        self.drawing = Drawing()
        self._maker = CurveMaker()
        self._notes: dict[str, None] = {}
        self._picking = True
        self._layers: list[Image] = []
        self.status = Message()
        self._say, self._fail = self.status.say, self.status.fail
        self.plot = SpectrumPlot()
        self.cubes = CubeChoice(viewer)
        self.places = PlaceChoice(viewer, lambda: self.cubes.host)
        self.references = ReferenceChoice()
        self.table = CurveTable()
        self._reader = SpectrumReader(self, self._fail, self._notes.setdefault)
        self._preview = PointerPreview(viewer, self.cubes, self.plot, lambda: self._settings, self._fail, self)
        self._clicks = ClickListener(viewer, self._click)
        self.pick_button = explained(
            QPushButton("Pick"),
            "While this is down, a click on the canvas picks a pixel. A drag still moves the view. One of napari's tools releases it; "
            "pressing it ends the tool.",
        )
        preview = "Draws the spectrum under the pointer as it moves; so does holding Shift."
        self.preview_button = explained(QPushButton("Preview"), preview)
        for button in (self.pick_button, self.preview_button):
            button.setCheckable(True)
        self.pick_button.setChecked(True)
        self.scaling = ComboBox(
            choices=[("values as they are", "raw"), ("divided by maximum", "maximum"), ("divided by area", "area")],
            label="Values",
            tooltip="How curves are drawn. Scores always compare the values of the cubes.",
        )
        tooltip = "Bands in which the truth is lower do not count in MRAE."
        self.floor = FloatSpinBox(value=0.01, min=0.0001, max=1.0, step=0.01, label="Floor", tooltip=tooltip)
        self.match = CheckBox(text="match the scale of estimates", tooltip=MATCHED)
        self.save_menu = SaveMenu(self.plot, lambda: self.drawing.spectra, self._fail, self._say)
        self.similar = SimilarPixels(viewer, self._selected_curves, self._fail, self._notes.setdefault)
        self.refine = Refine(lambda: self._layers, lambda: self.places.places, show_error, self._notes.setdefault)
        self._refreshing = QTimer(self, singleShot=True, interval=0)
        self._lay_out()
        self._connect()
        self.link_plot(self.plot, lambda: self.cubes.host)
        self._change_cubes()
        self._show_picking()

    def _lay_out(self) -> None:
        self.scaling.native.setMinimumWidth(80)
        tools = beside(self.pick_button, self.preview_button, self.scaling.native, self.save_menu)
        self._remove_button = explained(QPushButton("Remove"), "Removes the selected pick.")
        self._clear_button = explained(QPushButton("Clear"), "Removes all picks.")
        row = BreakingRow(self.similar, self.refine, self._remove_button, self._clear_button)
        compared = QWidget()
        form = form_layout(compared)
        form.addRow("Floor of MRAE", self.floor.native)
        form.addRow("", self.match.native)
        pages: dict[str, list[QWidget]] = {
            "Curves": [self.table, row, self.refine.progress],
            "Cubes": [self.cubes, compared],
            "Places": [self.places],
            "References": [self.references],
        }
        self._tabs = QTabWidget()
        for title, parts in pages.items():
            page = QWidget()
            column = stack(page, *parts, margin=None)
            if title in ("Cubes", "Places"):
                column.addStretch()
            self._tabs.addTab(scrolling(page), title)
        layout = stack(self.content, self.plot, tools, self._tabs, self.status, margin=None)
        layout.setStretchFactor(self.plot, 3)
        layout.setStretchFactor(self._tabs, 2)

    def _connect(self) -> None:
        self.follow_layers(self._layers_changed)
        self.cubes.changed.connect(self._change_cubes)
        self.places.changed.connect(self._change_places)
        self.references.changed.connect(self.update_curves)
        self._reader.arrived.connect(self._refreshing.start)
        self._refreshing.timeout.connect(self.update_curves)
        self.refine.changed.connect(self._explain)
        for setting in (self.scaling, self.floor, self.match):
            setting.changed.connect(self.update_curves)
        self.table.chosen.connect(self._choose)
        self.table.visited.connect(self._fly)
        self.table.removed.connect(self._remove)
        self.pick_button.clicked.connect(self._choose_picking)
        self.places.tools.changed.connect(self._show_picking)
        self.preview_button.toggled.connect(self._listen)
        self._remove_button.clicked.connect(lambda: self._remove(self.table.selected.place if self.table.selected else None))
        self._clear_button.clicked.connect(self.places.picks.clear)

    def detach(self) -> None:
        """Disconnect all callbacks; the layers stay."""
        self._clicks.stop()
        for part in (self._preview, self.places, self.references, self._reader, self.similar, self.refine, self.save_menu):
            part.detach()
        super().detach()

    def pick(self, layer: Image, y: int, x: int) -> None:
        """Pick a pixel of an image of the cubes' size, unless it is picked already."""
        if (y, x) not in [(pick.y, pick.x) for pick in self.places.picks.all()]:
            self.places.picks.add(layer, y, x)

    def update_curves(self, _event: object = None) -> None:
        """Draw what has been read, and read what has not."""
        layers = self._layers
        places = self.places.places
        readings = self._reader.read_all(layers, places, self.places.spread)
        chosen = self.table.selected if self.table.selectedItems() else None
        self.drawing = self._maker.draw(
            places, readings, self.cubes.styles, self.cubes.truth.value, self._settings, chosen.place.name if chosen else None
        )
        self._show()

    def see(self, seen: bool) -> None:
        """Take clicks on the canvas only while the dock is visible."""
        super().see(seen)
        self._listen()

    @property
    def _settings(self) -> Settings:
        return Settings(self.scaling.value, self.floor.value, self.match.value)

    def _show(self) -> None:
        drawing, cubes = self.drawing, self._layers
        references, complaints = reference_curves(self.references.overlays, self.scaling.value)
        drawing.complaints += complaints
        key = [(self.cubes.names[layer], style) for layer, style in self.cubes.styles.items()]
        if references and self.references.library is not None:
            key.append((self.references.library.name, REFERENCE_STYLE))
        hint = "" if drawing.curves or references else (NO_PLACE if cubes else NO_CUBE)
        self.plot.show_curves(
            [*references, *drawing.curves],
            drawing.errors,
            value_label=value_label([self._reader.cube(layer) for layer in cubes], self.scaling.value),
            error_label="relative error",
            key=key,
            hint=hint,
        )
        self.plot.set_common_range(drawing.common_range)
        self.table.show_rows(drawing.rows, self.cubes.names, floor=self.floor.value)
        self.similar.setEnabled(bool(drawing.rows))
        self._remove_button.setEnabled(bool(self.places.picks.all()))
        self._clear_button.setEnabled(bool(self.places.picks.all()))
        self._explain()

    def _explain(self) -> None:
        """Say what has to be known to read the curves."""
        cubes, truth = self._layers, self.cubes.truth.value
        sentences = [self.refine.said, self.cubes.status.text(), *self.drawing.complaints[:1], *self._notes]
        if truth in cubes:
            exact = self._reader.cube(truth)
            sentences += [explain_difference(exact, self._reader.cube(layer)) for layer in cubes if layer is not truth]
        if self.match.value and self.drawing.errors:
            sentences.append(MATCHED)
        if any(model_of_layer(layer) is not None for layer in cubes):
            sentences.append(ESTIMATE)
        self._say(" ".join(dict.fromkeys(sentence for sentence in sentences if sentence)))

    def _layers_changed(self, event: object) -> None:
        self.cubes.refresh(event)
        self.places.refresh(event)

    def _change_places(self) -> None:
        self.refine.clear_message()
        self.update_curves()

    def _change_cubes(self) -> None:
        self._notes.clear()
        self.refine.clear_message()
        self._layers = self.cubes.layers
        try:
            self._reader.use(self._layers)
        except InputError as error:
            # One that says it is a cube, and is none; without it the others are drawn again.
            self._layers = []
            self._reader.use([])
            self._notes[sentence_of(error)] = None
        self._preview.use(self._layers)
        self.mark_wavelength()
        self.update_curves()

    def _choose_picking(self, pressed: bool) -> None:
        self._picking = pressed
        if pressed:
            end_tool(self._viewer)
        self._show_picking()

    def _show_picking(self) -> None:
        """Release the button as long as a tool of napari takes the clicks."""
        self.pick_button.setChecked(self._picking and tool_of(self._viewer) is None)
        self._listen()

    def _listen(self, _pressed: bool = False) -> None:
        seen = self.content.isVisible()
        (self._clicks.start if seen and self.pick_button.isChecked() else self._clicks.stop)()
        if seen:
            self._preview.start(always=self.preview_button.isChecked())
        else:
            self._preview.stop()

    def _click(self, click: Click) -> None:
        host = self.cubes.host
        if host is None:
            return
        if not click.flat:
            self._say("A pixel can only be picked in the flat view; switch the canvas back from 3-D.")
            return
        pixel = pixel_at(self._viewer, host, click.position)
        if pixel is not None:
            self.places.picks.add(host, *pixel)

    def _choose(self) -> None:
        row = self.table.selected
        picks = [pick.name for pick in self.places.picks.all()]
        self.places.picks.select(picks.index(row.place.name) if row is not None and row.place.name in picks else None)
        reading = None if row is None else self._reader.read(row.layer, row.place, self.places.spread)
        self.references.rank(f"{row.place.name}, {row.layer.name}" if row else "", reading.centre if reading else None)
        self.update_curves()

    def _fly(self, place: Place) -> None:
        if self.cubes.host is not None:
            y, x = (place.y, place.x) if place.corners is None else place.corners.mean(axis=0)
            fly_to(self._viewer, self.cubes.host, y, x)

    def _remove(self, place: Place | None) -> None:
        picks = [pick.name for pick in self.places.picks.all()]
        if place is not None and place.corners is None and place.name in picks:
            self.places.picks.remove(picks.index(place.name))

    def _selected_curves(self) -> list[tuple[str, Image, xr.DataArray, xr.DataArray]]:
        row = self.table.selected
        if row is None:
            return []
        readings = self._reader.read_all(self._layers, [row.place], self.places.spread)
        return [(row.place.name, layer, self._reader.cube(layer), found.centre) for (layer, _), found in readings.items()]
