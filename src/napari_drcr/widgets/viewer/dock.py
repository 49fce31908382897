"""What a dock widget of napari needs: room, a place, the layers to follow, and nothing left behind when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import napari
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_drcr.errors import InputError
from napari_drcr.widgets.viewer.fitting import ScrollArea

DISPLAY_NAME = "DRCR"
"""The plugin's name in napari's menus, which it appends to those of its docks."""

LEAST = QSize(300, 240)
"""Width and height in pixels that no dock asks for more than: two of them fit below each other on a small screen."""
COMFORT = 420
"""Width in pixels that a dock opens with at most, where the window has it."""

SomeDock = TypeVar("SomeDock", bound="Dock")


class _OneInAWindow(type(QWidget)):  # type: ignore[misc]
    """Gives the dock of its kind that a window has, where another is asked for: by the menu, a script, or another dock."""

    def __call__(cls: type[SomeDock], viewer: napari.viewer.Viewer) -> SomeDock:
        # A bare ViewerModel has no window.
        docked = viewer.window.dock_widgets.values() if hasattr(viewer, "window") else ()
        there = next((widget for widget in docked if type(widget) is cls), None)
        return super().__call__(viewer) if there is None else there  # type: ignore[misc]


class Dock(ScrollArea, metaclass=_OneInAWindow):
    """A dock widget, one of each kind in a window, which scrolls and stands beside the plugin's others as a tab.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers it is about.

    Attributes
    ----------
    TITLE : str
        What napari's menus call it; the manifest says the same.
    """

    TITLE: ClassVar[str]
    _frame: Any = None
    """The dock of Qt that napari has put it into."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(LEAST)
        self._viewer = viewer
        self._connections: list[tuple[Any, Callable[..., Any]]] = []

    def follow(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Connect a callback to an event of the viewer until the dock is closed."""
        emitter.connect(callback)
        self._connections.append((emitter, callback))

    def follow_layers(self, callback: Callable[..., Any]) -> None:
        """Call back whenever the list of layers, their order or a name changes."""
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            self.follow(emitter, callback)

    def detach(self) -> None:
        """Leave no callback behind; what else a dock holds in the viewer, it gives up here."""
        while self._connections:
            emitter, callback = self._connections.pop()
            emitter.disconnect(callback)

    def see(self, seen: bool) -> None:
        """Take note that the dock has come into view or gone out of it; what it does only while it is seen, it does here."""
        # Qt moves a tab that is behind another out of the window, where it counts as visible.
        self.content.setVisible(seen)

    def event(self, event: QEvent) -> bool:
        """Follow napari when it puts the dock into a frame, and detach and be deleted when it takes it out to close it."""
        if event.type() == QEvent.Type.ParentChange:
            former, self._frame = self._frame, self.parent()
            if self._frame is None:
                self.detach()
                # Left to Python, it would be deleted by whichever thread collects garbage next, and Qt crashes if that is not its own.
                self.deleteLater()
            elif isinstance(self._frame, QDockWidget) and self._frame is not former:
                self._move_in(self._frame, former)
        return bool(super().event(event))

    def _move_in(self, frame: Any, former: QDockWidget | None) -> None:
        """Name the new frame as the menu does, by whichever way it was opened, and close the one that is empty now."""
        frame.name = dock_name(type(self))
        frame.setObjectName(frame.name)
        frame.setWindowTitle(frame.name)
        frame.dockLocationChanged.connect(self._settle)
        frame.visibilityChanged.connect(self.see)
        if former is not None:
            self._viewer.window.remove_dock_widget(former)

    def _settle(self, area: Qt.DockWidgetArea) -> None:
        """Join the others of the plugin in the area that napari has just opened it in, as wide as suits it if there is room."""
        frame: Any = self.parent()
        frame.dockLocationChanged.disconnect(self._settle)
        window = frame.parent()
        frames = [dock.parent() for dock in window.findChildren(Dock) if dock is not self]
        beside = [other for other in frames if window.dockWidgetArea(other) == area and not other.isFloating()]
        if beside:
            window.tabifyDockWidget(beside[-1], frame)
            frame.show()
            frame.raise_()
        width = max([min(self.sizeHint().width(), COMFORT), *(other.width() for other in beside)])
        window.resizeDocks([frame], [width], Qt.Orientation.Horizontal)


def dock_name(dock: type[Dock]) -> str:
    """What napari calls a dock that its menu opens."""
    return f"{dock.TITLE} ({DISPLAY_NAME})"


def show_dock(dock: type[SomeDock], viewer: napari.viewer.Viewer | None = None) -> SomeDock:
    """Show a dock widget of the viewer, by default the current one: the dock that is there already, or a new one.

    Raises
    ------
    InputError
        If there is no window to show it in.
    """
    viewer = napari.current_viewer() if viewer is None else viewer
    if viewer is None:
        raise InputError(f"There is no napari window to show the widget {dock.TITLE} in.")
    widget = dock(viewer)
    if widget.parent() is None:
        viewer.window.add_dock_widget(widget, name=dock_name(dock), area="right")
    frame: Any = widget.parent()
    frame.show()
    frame.raise_()
    return widget
