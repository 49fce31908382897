"""The tab Map of the dock Error map: its controls, and how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest

from magicgui.widgets import ComboBox
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_drcr.widgets.error_map.colour_scale import ColourScale
from napari_drcr.widgets.error_map.measure import Measure
from napari_drcr.widgets.error_map.pairs import Pair
from napari_drcr.widgets.error_map.tables import ScoreTable
from napari_drcr.widgets.plot import Curve, SpectrumPlot
from napari_drcr.widgets.viewer.controls import make_shrinkable, wrapped_label
from napari_drcr.widgets.viewer.fitting import form_layout
from napari_drcr.widgets.viewer.layers import model_of_layer

METRICS = (
    ("relative error (MRAE)", "relative"),
    ("absolute error (RMSE)", "absolute"),
    ("spectral angle (SAM)", "sam"),
    ("signed difference", "difference"),
)
BANDS, MEAN = 3, 2
"""Axes of the two maps."""
NO_CURVE = "A spectral angle is of all bands: there is no curve."


class MapPanel(QWidget):
    """What is mapped, how it is coloured, and what comes out beside the maps.

    Attributes
    ----------
    metric_choice, kind, regions : magicgui.widgets.ComboBox
        The metric; which of the two maps is seen, by its number of axes; the Shapes layer whose regions get scores, or None.
    floor : QDoubleSpinBox
        Of relative errors.
    scale : ColourScale
        Of all maps.
    button : QPushButton
        Maps the errors, and while they are mapped cancels that.
    progress : QProgressBar
        Seen while there is work.
    facts, notice, status : QLabel
        What was compared and left out; what was assumed; the last result, or why there is none.
    legend : QLabel
        Which colour is which estimate.
    plot : SpectrumPlot
        The error per band.
    table : ScoreTable
        The scores.
    """

    def __init__(self) -> None:
        super().__init__()
        self.metric_choice = ComboBox(
            choices=list(METRICS),
            label="Metric",
            tooltip="Relative: |estimate - truth| / truth. Absolute: |estimate - truth|. Spectral angle: over all bands, so there is no "
            "map by band. Signed: estimate - truth, blue where the estimate is too low.",
        )
        self.floor = QDoubleSpinBox(decimals=3, minimum=0, maximum=1e6, singleStep=0.01, value=0.01)
        self.floor.setToolTip("Relative errors count where the truth is at least this. The MRAE below is named with it.")
        self.floor.setKeyboardTracking(False)
        self.kind = ComboBox(
            choices=[("map of each band", BANDS), ("mean over the bands", MEAN)],
            label="Show",
            tooltip="Which of the two layers is seen. Maps of other estimates are hidden, except in napari's grid mode.",
        )
        self.scale = ColourScale()
        self.button = QPushButton("Map errors")
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(6)
        self.facts, self.notice, self.status = (wrapped_label("") for _ in range(3))
        self.legend = wrapped_label("")
        self.plot = SpectrumPlot(strip=False)
        self.plot.setFixedHeight(190)
        self.plot.setMinimumWidth(200)
        self.regions = ComboBox(
            choices=[("none", None)],
            label="Regions",
            tooltip="A Shapes layer: each of its shapes gets a row in the table.",
        )
        self.table = ScoreTable()
        self._lay_out()
        self.enable()

    @property
    def measure(self) -> Measure:
        """What is to be mapped."""
        relative = self.metric_choice.value == "relative"
        return Measure(self.metric_choice.value, self.floor.value() or None if relative else None)

    @property
    def score_floor(self) -> float | None:
        """Of the MRAE in the table, whatever is mapped."""
        return self.floor.value() or None

    def enable(self) -> None:
        """Only relative errors have a floor, and spectral angles no map by band."""
        self.floor.setEnabled(self.metric_choice.value == "relative")
        self.kind.enabled = self.metric_choice.value != "sam"

    def restore(self, measure: Measure, kind: int, top: float) -> None:
        """Set what is mapped, which map is seen and the upper end of the colours, without telling anybody."""
        with self.metric_choice.changed.blocked(), self.kind.changed.blocked(), QSignalBlocker(self.floor):
            self.kind.value = kind
            self.metric_choice.value = measure.metric
            if measure.floor is not None:
                self.floor.setValue(measure.floor)
        self.scale.set_metric(measure.metric)
        self.scale.take(top)
        self.enable()

    def show_pairs(self, pairs: Sequence[Pair], chosen: Pair | None) -> None:
        """Show what is known about mapped pairs, and describe the chosen one."""
        summaries = [(pair, pair.summary) for pair in pairs if pair.summary is not None]
        measure = summaries[-1][1].measure if summaries else self.measure
        self.say(self.facts, chosen.summary.describe() if chosen is not None and chosen.summary is not None else "")
        models = [model_of_layer(pair.estimate) or pair.estimate.name for pair in pairs]
        names = [pair.estimate.name if models.count(model) > 1 else model for pair, model in zip(pairs, models, strict=True)]
        entries = (
            f'<span style="color: {pair.colour}">\N{BLACK SQUARE}</span>&nbsp;{escape(name)}'
            for pair, name in zip(pairs, names, strict=True)
        )
        self.say(self.legend, " &nbsp; ".join(entries))
        curves = [
            Curve(found.curve["wavelength"].values, found.curve.values, pair.colour, "-", name, thick=pair is chosen)
            for (pair, found), name in zip(summaries, names, strict=True)
            # Others are about to be made anew.
            if found.curve is not None and found.measure == measure
        ]
        hint = NO_CURVE if summaries else "Map errors, and the error of each band is drawn here."
        self.plot.show_curves(curves, value_label=f"{measure.mean_name} per band", hint=hint)
        places = zip_longest(*(pair.rows for pair in pairs))
        self.table.show_scores([row for rows in places for row in rows if row is not None])

    def show_running(self, running: bool) -> None:
        """Make the button cancel while there is work, and show that there is."""
        self.progress.setVisible(running)
        self.button.setText("Cancel" if running else "Map errors")
        if running:
            self.button.setToolTip("")
            self.button.setEnabled(True)

    def say(self, label: QLabel, sentence: str) -> None:
        """Write a sentence, or hide the label of an empty one."""
        label.setText(sentence)
        label.setVisible(bool(sentence))

    def _lay_out(self) -> None:
        form = form_layout()
        for chooser in (self.metric_choice, self.kind, self.scale.preset, self.regions):
            make_shrinkable(chooser)
        form.addRow("Metric", self.metric_choice.native)
        form.addRow("Floor", self.floor)
        form.addRow("Show", self.kind.native)
        form.addRow("Colours", self.scale)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 4, 0)
        column.addLayout(form)
        column.addWidget(self.button)
        column.addWidget(self.progress)
        for label in (self.status, self.facts, self.notice, self.legend):
            label.hide()
            column.addWidget(label)
        self.progress.hide()
        column.addWidget(self.plot)
        regions = form_layout()
        regions.addRow("Regions", self.regions.native)
        column.addLayout(regions)
        column.addWidget(self.table)
        column.addStretch()
