"""Hands for tests in a real viewer: what a user does with mouse and widgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_drcr.widgets.reconstruct import Reconstruct
from napari_drcr.widgets.viewer.placement import unit_factor

Place = tuple[float, float]


def open_widget(viewer: napari.Viewer, model: str | Path = "linear") -> Reconstruct:
    _, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")
    if isinstance(model, Path):
        widget.add_checkpoint(model)
        widget.encoding.value = "linear"
    else:
        widget.model.value = model
    return widget


def run(widget: Reconstruct, qtbot: QtBot) -> None:
    widget.run()
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)


def canvas_of(viewer: napari.Viewer) -> QWidget:
    return viewer.window._qt_viewer.canvas.native


def world_of(viewer: napari.Viewer, layer: Layer, row: float, column: float) -> np.ndarray:
    """Where a pixel of a layer is in the world, in the units that napari measures it in."""
    world = np.asarray(layer.data_to_world((*(0,) * (layer.ndim - 2), row, column)))[-2:]
    return world * [unit_factor(own, shown) for own, shown in zip(layer.units[-2:], viewer.layers.units[-2:], strict=True)]


def on_canvas(viewer: napari.Viewer, layer: Layer, row: float, column: float) -> QPoint:
    """Where on the canvas a pixel of a layer is seen."""
    canvas = canvas_of(viewer)
    offset = world_of(viewer, layer, row, column) - np.asarray(viewer.scene.camera.center[-2:])
    y, x = np.array([canvas.height(), canvas.width()]) / 2 + offset * viewer.scene.camera.zoom
    return QPoint(round(x), round(y))


def click(
    viewer: napari.Viewer,
    layer: Layer,
    row: float,
    column: float,
    qtbot: QtBot,
    button: Qt.MouseButton = Qt.MouseButton.LeftButton,
) -> None:
    qtbot.mouseClick(canvas_of(viewer), button, pos=on_canvas(viewer, layer, row, column))


def drag(viewer: napari.Viewer, layer: Layer, start: Place, end: Place, qtbot: QtBot, *, release: bool = True) -> None:
    canvas = canvas_of(viewer)
    from_, to = on_canvas(viewer, layer, *start), on_canvas(viewer, layer, *end)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=from_)
    QTest.mouseMove(canvas, to)
    qtbot.wait(50)
    if release:
        qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=to)


def move(
    viewer: napari.Viewer,
    layer: Layer,
    row: float,
    column: float,
    qtbot: QtBot,
    held: Any = Qt.KeyboardModifier.NoModifier,
    until: Callable[[], bool] = lambda: True,
) -> None:
    """Move the pointer to a pixel, with keys held down, and about it until something happens: napari leaves out fast moves."""
    canvas = canvas_of(viewer)
    where = QPointF(on_canvas(viewer, layer, row, column))
    none = Qt.MouseButton.NoButton

    def happened() -> bool:
        event = QMouseEvent(QEvent.Type.MouseMove, where, QPointF(canvas.mapToGlobal(where)), none, none, held)
        QApplication.sendEvent(canvas, event)
        return until()

    qtbot.waitUntil(happened)
    # napari holds a move back for 5 ms, and must not be left with one when its window is closed.
    qtbot.wait(10)
