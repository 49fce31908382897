"""The tab Map of the dock Error map: its controls, and how they are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from typing import Any

import numpy.typing as npt
from magicgui.widgets import ComboBox
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QProgressBar, QPushButton, QSizePolicy, QWidget

from napari_drcr.widgets.error_map.measure import Measure, percentile
from napari_drcr.widgets.error_map.pairs import Pair
from napari_drcr.widgets.error_map.tables import ScoreTable
from napari_drcr.widgets.plot import Curve
from napari_drcr.widgets.viewer.choosers import narrow
from napari_drcr.widgets.viewer.controls import Chooser, Message, add_rows, offer
from napari_drcr.widgets.viewer.fitting import beside, form_layout, stack
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

UNIT, PERCENTILE, FIXED = "unit", "percentile", "fixed"


class ColourScale(QWidget):
    """A preset and, beside it, the upper end of the scale.

    Attributes
    ----------
    preset : magicgui.widgets.ComboBox
        "unit" (0 to 1, for relative errors only), "percentile" (95th) or "fixed".
    top : QDoubleSpinBox
        The upper end; can be set if the preset is "fixed".
    changed : Signal()
        Somebody has set another scale.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._signed = False
        self.preset = ComboBox(
            choices=[],
            tooltip="Of all maps together: 0 to 1 ends at an error of 100 % of the true value, 95th percentile at what 95 % of all "
            "errors stay below, fixed at the number beside it.",
        )
        self.top = QDoubleSpinBox(decimals=4, minimum=0.0001, maximum=1e9, singleStep=0.05, value=1.0)
        self.top.setKeyboardTracking(False)
        self.top.setToolTip("The error at the upper end of the colours; to the lower end belongs 0, or as much below 0.")
        self.top.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.top.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.preset.native.setMinimumWidth(120)
        stack(self, beside(narrow(self.preset.native), self.top, stretched=0))
        self.set_metric("relative")
        self.preset.value = PERCENTILE
        self.preset.changed.connect(self._change)
        self.top.valueChanged.connect(self._change)
        self._enable()

    def set_metric(self, metric: str) -> None:
        """Offer what suits a metric: "relative", "absolute", "sam" or "difference"."""
        self._signed = metric == "difference"
        presets = [("95th percentile", PERCENTILE), ("fixed", FIXED)]
        if metric == "relative":
            presets.insert(0, ("0 to 1 (100 %)", UNIT))
        with self.preset.changed.blocked():
            offer(self.preset, presets)
        self._enable()

    def limits(self, maps: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
        """Both ends of the scale, for the percentile that of all maps together; from 0, or centred at 0 for signed metrics."""
        top = self.top.value()
        if self.preset.value == UNIT:
            top = 1.0
        elif self.preset.value == PERCENTILE and maps:
            top = percentile(maps)
        with QSignalBlocker(self.top):
            self.top.setValue(top)
        return (-top if self._signed else 0.0), top

    def take(self, top: float) -> None:
        """Fix the upper end of the scale, which was set elsewhere, by napari's own controls."""
        with self.preset.changed.blocked(), QSignalBlocker(self.top):
            self.preset.value = FIXED
            self.top.setValue(top)
        self._enable()

    def _enable(self) -> None:
        self.top.setEnabled(self.preset.value == FIXED)

    def _change(self) -> None:
        self._enable()
        self.changed.emit()


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
    button, progress : QPushButton, QProgressBar
        Maps the errors, and while they are mapped cancels that; seen while there is work.
    facts, notice, status, legend : Message
        What was compared and left out; what was assumed; the last result, or why there is none; which colour is which estimate.
    plot, table : SpectrumPlot, ScoreTable
        The error per band; the scores.
    """

    def __init__(self) -> None:
        from napari_drcr.widgets.plot.widget import SpectrumPlot

        super().__init__()
        self.metric_choice = ComboBox(
            choices=list(METRICS),
            label="Metric",
            tooltip="Relative: |estimate - truth| / truth. Absolute: |estimate - truth|. Spectral angle: over all bands, so there is no "
            "map by band. Signed: estimate - truth, blue where the estimate is too low.",
        )
        self.floor = QDoubleSpinBox(decimals=3, minimum=0, maximum=1e6, singleStep=0.01, value=0.01)
        self.floor.setKeyboardTracking(False)
        self.floor.setToolTip("Relative errors count where the truth is at least this. The MRAE below is named with it.")
        self.kind = ComboBox(
            choices=[("map of each band", BANDS), ("mean over the bands", MEAN)],
            label="Show",
            tooltip="Which of the two layers is seen. Maps of other estimates are hidden, except in napari's grid mode.",
        )
        self.scale = ColourScale()
        self.button = QPushButton("Map errors")
        self.progress = QProgressBar(minimum=0, maximum=0, textVisible=False)
        self.progress.setMaximumHeight(6)
        self.facts, self.notice, self.status, self.legend = Message(), Message(), Message(), Message()
        self.plot = SpectrumPlot(strip=False)
        self.plot.setFixedHeight(190)
        self.plot.setMinimumWidth(200)
        self.regions = Chooser(
            choices=[("none", None)], label="Regions", tooltip="A Shapes layer: each of its shapes gets a row in the table."
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
        self.facts.say(chosen.summary.describe() if chosen is not None and chosen.summary is not None else "")
        models = [model_of_layer(pair.estimate) or pair.estimate.name for pair in pairs]
        names = [pair.estimate.name if models.count(model) > 1 else model for pair, model in zip(pairs, models, strict=True)]
        entries = (
            f'<span style="color: {pair.colour}">\N{BLACK SQUARE}</span>&nbsp;{escape(name)}'
            for pair, name in zip(pairs, names, strict=True)
        )
        self.legend.say(" &nbsp; ".join(entries))
        curves = [
            Curve(found.curve["wavelength"].values, found.curve.values, pair.colour, "-", name, thick=pair is chosen)
            for (pair, found), name in zip(summaries, names, strict=True)
            # Others are about to be computed again.
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

    def _lay_out(self) -> None:
        form = add_rows(form_layout(), self.metric_choice)
        form.addRow("Floor", self.floor)
        add_rows(form, self.kind)
        form.addRow("Colours", self.scale)
        self.progress.hide()
        said = (self.status, self.facts, self.notice, self.legend)
        regions = add_rows(form_layout(), self.regions)
        column = stack(self, form, self.button, self.progress, *said, self.plot, regions, self.table)
        column.setContentsMargins(0, 4, 4, 0)
        column.addStretch()
