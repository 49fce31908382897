"""Clicks and the pointer on the canvas of a real viewer."""

from __future__ import annotations

from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from vispy.app.canvas import MouseEvent

from napari_drcr.widgets.viewer.canvas import STILL, Click, ClickListener, PointerListener
from napari_drcr.widgets.viewer.navigation import pixel_at
from viewer_tools import canvas_of, click, drag, move, on_canvas

PLACED: dict[str, dict[str, Any]] = {
    "in pixels": {},
    "scaled": {"scale": (10, 0.5, 0.25), "translate": (400, 30, 40)},
    "in micrometers": {"scale": (10, 0.5, 0.25), "translate": (400, 30, 40), "units": ("nm", "um", "um")},
    "turned": {"scale": (10, 2, 3), "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]], "translate": (400, -7, 9)},
    "mirrored": {"affine": [[1, 0, 0, 0], [0, -1, 0, 5], [0, 0, 2, 1], [0, 0, 0, 1]]},
}
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def viewer(shown_viewer: napari.Viewer) -> napari.Viewer:
    return shown_viewer


def add_cube(viewer: napari.Viewer, **placed: Any) -> Image:
    layer = viewer.add_image(np.random.default_rng(0).random((5, 40, 60)), **placed)
    viewer.reset_view()
    return layer


@pytest.fixture
def cube(viewer: napari.Viewer) -> Image:
    return add_cube(viewer)


def listen(viewer: napari.Viewer) -> tuple[ClickListener, list[Click]]:
    clicks: list[Click] = []
    listener = ClickListener(viewer, clicks.append)
    listener.start()
    return listener, clicks


def point(viewer: napari.Viewer, **options: Any) -> tuple[PointerListener, list[tuple[float, ...] | None]]:
    places: list[tuple[float, ...] | None] = []
    listener = PointerListener(viewer, places.append, **options)
    listener.start()
    return listener, places


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)
@pytest.mark.parametrize("band", [0, 3])
def test_a_click_says_where(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any], band: int) -> None:
    layer = add_cube(viewer, **placed)
    viewer.dims.set_current_step(0, band)
    _, clicks = listen(viewer)
    click(viewer, layer, 20, 30, qtbot)
    (heard,) = clicks
    assert heard.flat
    assert len(heard.position) == 3
    assert pixel_at(viewer, layer, heard.position) == (20, 30)


@pytest.mark.parametrize("away", [0, STILL, STILL + 1])
def test_a_hand_may_tremble_a_little(viewer: napari.Viewer, cube: Image, qtbot: QtBot, away: int) -> None:
    _, clicks = listen(viewer)
    canvas, where = canvas_of(viewer), on_canvas(viewer, cube, 20, 30)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=where)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=where + QPoint(away, 0))
    assert len(clicks) == (away <= STILL)


def test_a_drag_is_no_click_even_if_it_comes_back(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    _, clicks = listen(viewer)
    drag(viewer, cube, (10, 10), (30, 40), qtbot)
    viewer.reset_view()
    where = on_canvas(viewer, cube, 20, 30)
    drag(viewer, cube, (20, 30), (5, 5), qtbot, release=False)
    QTest.mouseMove(canvas_of(viewer), where)
    qtbot.mouseRelease(canvas_of(viewer), Qt.MouseButton.LeftButton, pos=where)
    assert clicks == []


def test_other_buttons_are_no_clicks(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    _, clicks = listen(viewer)
    click(viewer, cube, 20, 30, qtbot, button=Qt.MouseButton.RightButton)
    click(viewer, cube, 20, 30, qtbot, button=Qt.MouseButton.MiddleButton)
    assert clicks == []


def test_a_double_click_is_one(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    _, clicks = listen(viewer)
    canvas, where = canvas_of(viewer), on_canvas(viewer, cube, 20, 30)
    click(viewer, cube, 20, 30, qtbot)
    qtbot.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=where)
    assert len(clicks) == 1


def test_clicks_belong_to_the_tool_in_use(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    points = viewer.add_points(ndim=2)
    _, clicks = listen(viewer)
    points.mode = "add"
    click(viewer, cube, 20, 30, qtbot)
    points.mode = "select"
    click(viewer, cube, 20, 30, qtbot)
    assert len(points.data) == 1
    assert clicks == []
    points.mode = "pan_zoom"
    click(viewer, cube, 20, 30, qtbot)
    assert len(clicks) == 1
    points.mode = "add"
    viewer.layers.selection.active = cube
    click(viewer, cube, 20, 30, qtbot)
    viewer.layers.selection.clear()
    click(viewer, cube, 20, 30, qtbot)
    assert len(clicks) == 3
    assert len(points.data) == 1


def test_in_3d_a_click_says_so(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    _, clicks = listen(viewer)
    viewer.dims.ndisplay = 3
    click(viewer, cube, 20, 30, qtbot)
    assert [heard.flat for heard in clicks] == [False]


def test_a_listener_to_clicks_leaves_nothing_behind(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    before = list(viewer.mouse_drag_callbacks)
    listener, clicks = listen(viewer)
    listener.start()
    assert listener.listening
    assert len(viewer.mouse_drag_callbacks) == len(before) + 1
    canvas, where = canvas_of(viewer), on_canvas(viewer, cube, 20, 30)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=where)
    listener.stop()
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=where)
    listener.stop()
    assert not listener.listening
    assert viewer.mouse_drag_callbacks == before
    assert clicks == []


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)
def test_the_pointer_is_told_while_the_key_is_held(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any]) -> None:
    layer = add_cube(viewer, **placed)
    moves: list[Any] = []
    viewer.mouse_move_callbacks.append(lambda _viewer, event: moves.append(event))
    _, places = point(viewer)
    move(viewer, layer, 10, 10, qtbot, until=lambda: bool(moves))
    assert places == []
    move(viewer, layer, 20, 30, qtbot, SHIFT, until=lambda: bool(places))
    assert places[-1] is not None
    assert pixel_at(viewer, layer, places[-1]) == (20, 30)
    move(viewer, layer, 21, 30, qtbot, until=lambda: places[-1] is None)
    moves.clear()
    move(viewer, layer, 22, 30, qtbot, until=lambda: len(moves) > 2)
    assert places.count(None) == 1


def test_the_key_can_be_another(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    _, places = point(viewer, key="Control")
    move(viewer, cube, 21, 30, qtbot, Qt.KeyboardModifier.ControlModifier, until=lambda: bool(places))
    move(viewer, cube, 20, 30, qtbot, SHIFT, until=lambda: places[-1] is None)


def test_the_pointer_can_always_be_told_until_it_leaves(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    listener, places = point(viewer)
    listener.always = True
    move(viewer, cube, 20, 30, qtbot, until=lambda: bool(places))
    viewer.mouse_over_canvas = True
    QApplication.sendEvent(canvas_of(viewer), QEvent(QEvent.Type.Leave))
    qtbot.waitUntil(lambda: places[-1] is None)
    assert places.count(None) == 1


def test_the_pointer_is_nowhere_in_3d(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    listener, places = point(viewer)
    listener.always = True
    move(viewer, cube, 20, 30, qtbot, until=lambda: bool(places))
    viewer.dims.ndisplay = 3
    move(viewer, cube, 21, 30, qtbot, until=lambda: places[-1] is None)


def test_a_drag_is_no_move(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    listener, places = point(viewer)
    listener.always = True
    drag(viewer, cube, (10, 10), (30, 40), qtbot, release=False)
    assert places == []
    qtbot.mouseRelease(canvas_of(viewer), Qt.MouseButton.LeftButton, pos=on_canvas(viewer, cube, 30, 40))


def rush(viewer: napari.Viewer, layer: Image, row: float, column: float) -> None:
    """Move the pointer behind the place where napari itself leaves out fast moves."""
    where = on_canvas(viewer, layer, row, column)
    event = MouseEvent("mouse_move", pos=(where.x(), where.y()), modifiers=(), buttons=())
    viewer.window._qt_viewer.canvas._on_mouse_move(event)


def test_a_slow_listener_gets_the_newest_place_only(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    listener, places = point(viewer)
    listener.always = True
    for column in range(10, 50):
        rush(viewer, cube, 20, column)
    assert places == []
    qtbot.waitUntil(lambda: bool(places))
    assert [pixel_at(viewer, cube, place) for place in places if place is not None] == [(20, 49)]


def test_a_listener_to_the_pointer_leaves_nothing_behind(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    left = viewer.events.mouse_over_canvas
    before = list(viewer.mouse_move_callbacks), len(left.callbacks)
    listener, places = point(viewer)
    listener.start()
    assert len(viewer.mouse_move_callbacks) == len(before[0]) + 1
    listener.always = True
    rush(viewer, cube, 20, 30)
    listener.stop()
    rush(viewer, cube, 21, 30)
    listener.stop()
    assert not listener.listening
    assert (viewer.mouse_move_callbacks, len(left.callbacks)) == before
    qtbot.wait(50)
    assert places == []
