"""One dock of a kind in a window, whichever way it is opened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

import napari
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QApplication, QDockWidget, QMenu

from napari_drcr.widgets.error_map import ErrorMap
from napari_drcr.widgets.reconstruct import Reconstruct
from napari_drcr.widgets.spectrum import Spectrum
from napari_drcr.widgets.train import Train
from napari_drcr.widgets.viewer.dock import Dock, show_dock

DOCKS = [Reconstruct, Spectrum, ErrorMap, Train]
MakeViewer = Callable[..., napari.Viewer]


def menu_action(viewer: napari.Viewer, title: str) -> QAction:
    """Find the entry of napari's own menu Plugins."""
    menus: list[QMenu] = [viewer.window.plugins_menu]
    while menus:
        menu = menus.pop()
        menu.aboutToShow.emit()
        for action in menu.actions():
            if action.text() == title:
                return action
            if action.menu() is not None:
                menus.append(action.menu())
    raise LookupError(title)


def by_menu(viewer: napari.Viewer, dock: type[Dock]) -> None:
    menu_action(viewer, f"{dock.TITLE} (DRCR)").trigger()


def by_script(viewer: napari.Viewer, dock: type[Dock]) -> None:
    frame, widget = viewer.window.add_plugin_dock_widget("napari-drcr", dock.TITLE)
    assert frame.widget() is widget


def by_dock(viewer: napari.Viewer, dock: type[Dock]) -> None:
    show_dock(dock, viewer)


def docks_of(viewer: napari.Viewer, dock: type[Dock]) -> list[Dock]:
    """All of a kind that are in the window, once what is closed has gone."""
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    frames = viewer.window._qt_window.findChildren(QDockWidget)
    assert all(frame.widget() is not None for frame in frames)
    return [frame.widget() for frame in frames if isinstance(frame.widget(), dock)]


WAYS = {
    "script, menu": (by_script, by_menu),
    "menu, script": (by_menu, by_script),
    "script twice": (by_script, by_script),
    "script, dock": (by_script, by_dock),
    "dock, script, menu": (by_dock, by_script, by_menu),
    "menu, dock": (by_menu, by_dock),
}


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_every_way_leads_to_the_one_dock(
    make_napari_viewer: MakeViewer, ways: Sequence[Callable[[napari.Viewer, type[Dock]], None]]
) -> None:
    viewer = make_napari_viewer()
    ways[0](viewer, Reconstruct)
    (first,) = docks_of(viewer, Reconstruct)
    for way in ways[1:]:
        way(viewer, Reconstruct)
        assert docks_of(viewer, Reconstruct) == [first]
    assert [*viewer.window.dock_widgets.items()] == [("Reconstruct (DRCR)", first)]
    assert first.parent().windowTitle() == "Reconstruct (DRCR)"


@pytest.mark.parametrize("dock", DOCKS)
def test_the_menu_hides_and_shows_what_a_script_opened(make_napari_viewer: MakeViewer, qtbot: QtBot, dock: type[Dock]) -> None:
    viewer = make_napari_viewer(show=True)
    by_script(viewer, dock)
    (widget,) = docks_of(viewer, dock)
    qtbot.waitUntil(widget.isVisible)
    by_menu(viewer, dock)
    assert not widget.isVisible()
    by_menu(viewer, dock)
    assert widget.isVisible()
    assert docks_of(viewer, dock) == [widget]


def test_moved_to_another_frame_a_dock_still_follows_the_viewer(make_napari_viewer: MakeViewer) -> None:
    viewer = make_napari_viewer()
    by_menu(viewer, Reconstruct)
    frame, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")
    layer = viewer.open_sample("napari-drcr", "photo")[0]
    assert widget.layer.value is layer
    viewer.window.remove_dock_widget(frame)
    assert docks_of(viewer, Reconstruct) == []
    show_dock(Reconstruct, viewer)
    assert docks_of(viewer, Reconstruct) != [widget]


def test_each_window_has_its_own(make_napari_viewer: MakeViewer) -> None:
    viewers = [make_napari_viewer() for _ in range(2)]
    widgets = [viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")[1] for viewer in viewers]
    assert widgets[0] is not widgets[1]
    assert [docks_of(viewer, Reconstruct) for viewer in viewers] == [[widgets[0]], [widgets[1]]]


def test_nothing_heavy_is_imported_with_the_docks() -> None:
    names = ("reconstruct", "spectrum", "error_map", "train.config_form", "train.runs_panel")
    code = f"import sys, {', '.join(f'napari_drcr.widgets.{name}' for name in names)}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "lightning", "colour", "h5py", "matplotlib", "napari_drcr.training.run"} & set(imported)
