"""The control of the error maps' one colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
from magicgui.widgets import ComboBox
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSizePolicy, QWidget

from napari_drcr.widgets.error_map.measure import percentile
from napari_drcr.widgets.viewer.controls import offer

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
        self.top.setToolTip("The error at the upper end of the colours; to the lower end belongs 0, or as much below 0.")
        self.top.setKeyboardTracking(False)
        self.top.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
        self.top.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.preset.native.setMinimumWidth(120)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.preset.native, 1)
        layout.addWidget(self.top)
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
        """Both ends of the scale for maps, whose joint percentile may be taken; centred at 0 for signed metrics, else from 0."""
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
