"""The docks in a window of 1024 x 700: alone and in pairs, by menu and by script, narrow and low."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import napari
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, QSize, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit, QPushButton, QScrollArea, QTabWidget, QVBoxLayout, QWidget

from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.widgets.reconstruct import Reconstruct
from napari_drcr.widgets.train import Train
from napari_drcr.widgets.viewer.dock import Dock, show_dock
from napari_drcr.widgets.viewer.fitting import BreakingRow
from napari_drcr.widgets.viewer.layers import cube_to_layer_data
from viewer_tools import canvas_of, click

pytestmark = pytest.mark.usefixtures("own_folders")
COMMANDS = {"Reconstruct": "reconstruct", "Spectrum": "spectrum", "Error map": "error_map", "Train": "train"}
SCREEN = QSize(1024, 700)
LONG = "a photo with a name that nobody would call short (true cube)"


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer], qtbot: QtBot) -> napari.Viewer:
    """A window of that size, with an image and a cube in it."""
    viewer = make_napari_viewer(show=True)
    values, properties, _ = cube_to_layer_data(synthetic_scene(32, 48))
    viewer.add_image(values, **properties | {"name": LONG})
    viewer.add_image(np.zeros((32, 48, 3), np.uint8), rgb=True, name=LONG)
    resize(viewer, SCREEN, qtbot)
    return viewer


def resize(viewer: napari.Viewer, size: QSize, qtbot: QtBot) -> None:
    window = viewer.window._qt_window
    window.resize(size)
    qtbot.waitUntil(lambda: window.size() == size)
    QApplication.processEvents()


def open_by_menu(viewer: napari.Viewer, title: str) -> Dock:
    from napari._app_model import get_app_model

    get_app_model().commands.execute_command(f"napari-drcr.{COMMANDS[title]}").result()
    return viewer.window.dock_widgets[f"{title} (DRCR)"]


def open_by_script(viewer: napari.Viewer, title: str) -> Dock:
    _, widget = viewer.window.add_plugin_dock_widget("napari-drcr", title)
    return widget


def tabs_with(dock: Dock) -> set[Dock]:
    window, frame = dock.parent().parent(), dock.parent()
    return {other.widget() for other in window.tabifiedDockWidgets(frame)}


def stand_below(upper: Dock, lower: Dock) -> None:
    """Drag a tab below another, and the line between them upwards."""
    window = upper.parent().parent()
    window.addDockWidget(window.dockWidgetArea(upper.parent()), lower.parent())
    window.resizeDocks([upper.parent(), lower.parent()], [1, 5], Qt.Orientation.Vertical)


@pytest.mark.parametrize("open_dock", [open_by_menu, open_by_script])
def test_each_dock_and_each_pair_fits(viewer: napari.Viewer, open_dock: Callable[..., Dock], qtbot: QtBot) -> None:
    window = viewer.window._qt_window
    for titles in [*combinations(COMMANDS, 1), *combinations(COMMANDS, 2), tuple(COMMANDS)]:
        docks = [open_dock(viewer, title) for title in titles]
        qtbot.waitUntil(lambda last=docks[-1]: last.content.isVisible())
        QApplication.processEvents()
        assert window.size() == SCREEN, titles
        assert window.minimumSizeHint().boundedTo(SCREEN) == window.minimumSizeHint(), titles
        for dock in docks:
            assert dock.minimumSizeHint().boundedTo(QSize(300, 400)) == dock.minimumSizeHint(), titles
        assert tabs_with(docks[-1]) == set(docks[:-1])
        assert [dock.content.isVisible() for dock in docks] == [False] * (len(docks) - 1) + [True], titles
        viewer.window.remove_dock_widget("all")
        qtbot.wait(10)  # They are deleted by an event loop, and must not be left to the garbage collection of another thread.


def turn(widget: QWidget) -> None:
    """Turn the wheel down by a notch."""
    window = widget.window()
    QTest.wheelEvent(window.windowHandle(), QPointF(widget.mapTo(window, widget.rect().center())), QPoint(0, -120))
    QApplication.processEvents()


def test_docks_that_a_user_stacks_fit_and_scroll(viewer: napari.Viewer, qtbot: QtBot) -> None:
    spectrum = open_by_menu(viewer, "Spectrum")
    QApplication.processEvents()
    # It shrinks before it scrolls.
    assert spectrum.sizeHint().height() > spectrum.height()
    assert spectrum.verticalScrollBar().maximum() == 0
    train = open_by_menu(viewer, "Train")
    stand_below(spectrum, train)
    qtbot.waitUntil(lambda: spectrum.content.isVisible() and spectrum.height() < 300)
    assert not tabs_with(spectrum)
    assert train.content.isVisible()
    assert viewer.window._qt_window.size() == SCREEN
    assert spectrum.plot.height() >= 200
    assert spectrum.table.height() >= 60
    turn(spectrum.plot)
    assert spectrum.verticalScrollBar().value() > 0


def test_nothing_is_cut_off_in_300_pixels(viewer: napari.Viewer, qtbot: QtBot) -> None:
    for title in COMMANDS:
        dock = open_by_menu(viewer, title)
        if isinstance(dock, Train):
            for fold in dock.form.folds.values():
                fold.open()
        viewer.window._qt_window.resizeDocks([dock.parent()], [300], Qt.Orientation.Horizontal)
        qtbot.waitUntil(lambda dock=dock: dock.width() == 300)
        for tabs in dock.findChildren(QTabWidget) or [None]:
            for page in range(1 if tabs is None else tabs.count()):
                if tabs is not None:
                    tabs.setCurrentIndex(page)
                QApplication.processEvents()
                for area in (dock, *dock.findChildren(QScrollArea)):
                    assert not area.isVisible() or area.widget().width() == area.viewport().width(), (title, page)


def test_wheel_keyboard_and_clicks_in_a_low_dock(viewer: napari.Viewer, qtbot: QtBot) -> None:
    dock = show_dock(Reconstruct, viewer)
    stand_below(dock, show_dock(Train, viewer))
    bar, encoding, last = dock.verticalScrollBar(), dock.encoding.native, dock.colour_exact.native
    dock.activateWindow()
    qtbot.waitUntil(lambda: bar.maximum() > 0 and dock.isActiveWindow())

    canvas_of(viewer).setFocus()
    qtbot.mouseClick(dock.content, Qt.MouseButton.LeftButton, pos=QPoint(2, 2))
    assert not dock.isAncestorOf(QApplication.focusWidget())

    turn(encoding)
    assert dock.encoding.value == "srgb"
    assert bar.value() > 0
    encoding.setFocus()
    turn(encoding)
    assert dock.encoding.value == "linear"

    last.setFocus()
    bar.setValue(0)
    assert dock.button.visibleRegion().isEmpty()
    qtbot.keyClick(last, Qt.Key.Key_Tab)
    assert dock.button.hasFocus()
    assert dock.button.visibleRegion().boundingRect().height() == dock.button.height()


def test_only_a_dock_that_is_seen_takes_clicks(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = viewer.layers[0]
    spectrum, reconstruct = open_by_menu(viewer, "Spectrum"), open_by_menu(viewer, "Reconstruct")
    qtbot.waitUntil(lambda: spectrum.parent().x() < 0)
    viewer.reset_view()
    click(viewer, cube, 10, 10, qtbot)
    assert not spectrum.places.picks.all()
    spectrum.parent().raise_()
    qtbot.waitUntil(spectrum.content.isVisible)
    assert not reconstruct.content.isVisible()
    click(viewer, cube, 10, 20, qtbot)
    assert [(pick.y, pick.x) for pick in spectrum.places.picks.all()] == [(10, 20)]


def test_a_dock_that_the_menu_shows_again_comes_to_the_front(viewer: napari.Viewer, qtbot: QtBot) -> None:
    spectrum, reconstruct = open_by_menu(viewer, "Spectrum"), open_by_menu(viewer, "Reconstruct")
    qtbot.waitUntil(lambda: spectrum.parent().x() < 0)
    open_by_menu(viewer, "Spectrum")
    assert spectrum.parent().isHidden()
    QApplication.processEvents()
    assert open_by_menu(viewer, "Spectrum") is spectrum
    qtbot.waitUntil(lambda: spectrum.content.isVisible() and not reconstruct.content.isVisible())


def test_a_row_breaks_where_it_does_not_fit_and_joins_again(qtbot: QtBot) -> None:
    left, middle, right = QPushButton("first"), QPushButton("second"), QLineEdit("third")
    row = BreakingRow(left, middle, right, stretched=2)
    around = QWidget()
    qtbot.addWidget(around)
    layout = QVBoxLayout(around)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(row)
    wide = row.sizeHint()
    around.resize(wide)
    around.show()
    assert left.y() == middle.y() == right.y()
    around.resize(row.minimumSizeHint().width(), 2 * wide.height() + 10)
    qtbot.waitUntil(lambda: left.y() < middle.y())
    assert middle.y() + middle.height() // 2 == pytest.approx(right.y() + right.height() // 2, abs=2)
    assert row.minimumSizeHint().height() > wide.height()
    assert row.sizeHint().width() == wide.width()
    around.resize(wide)
    qtbot.waitUntil(lambda: left.y() == middle.y())
