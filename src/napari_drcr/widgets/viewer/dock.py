"""What a dock widget of napari needs: room, a place, the layers to follow, and a clean end when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import napari
from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_drcr.errors import InputError
from napari_drcr.widgets.viewer.fitting import ScrollArea
from napari_drcr.widgets.viewer.navigation import current_wavelength, go_to_wavelength

if TYPE_CHECKING:
    from napari.layers import Image

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
    """A dock widget, one of each kind in a window, which scrolls and is a tab beside the plugin's others.

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

    def link_plot(self, plot: Any, cube: Callable[[], Image | None]) -> None:
        """Keep a `SpectrumPlot` in the viewer's theme, and its line at the slider's band of a cube; clicks move both."""
        self._plot, self._plotted = plot, cube
        plot.wavelength_clicked.connect(self._go_to)
        self.follow(self._viewer.dims.events.point, self.mark_wavelength)
        self.follow(self._viewer.events.theme, self._change_theme)
        self._change_theme()

    def mark_wavelength(self, _event: object = None) -> None:
        """Move the line in the linked plot, whose cube may be another."""
        layer = self._plotted()
        # The slider is told of a removal before the dock is.
        known = layer is not None and layer in self._viewer.layers
        self._plot.set_wavelength(current_wavelength(self._viewer, layer) if known else None)

    def _go_to(self, nanometres: float) -> None:
        if (layer := self._plotted()) is not None:
            go_to_wavelength(self._viewer, layer, nanometres)

    def _change_theme(self, _event: object = None) -> None:
        self._plot.set_theme(self._viewer.theme)

    def detach(self) -> None:
        """Disconnect all callbacks; a dock releases here what else it holds in the viewer."""
        while self._connections:
            emitter, callback = self._connections.pop()
            emitter.disconnect(callback)

    def see(self, seen: bool) -> None:
        """Called when the dock becomes visible or hidden; what it does only while visible starts and stops here."""
        # Qt moves a tab that is behind another out of the window, where it counts as visible.
        self.content.setVisible(seen)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Come to the front when it is shown, also by the menu after it was hidden."""
        super().showEvent(event)
        if isinstance(self._frame, QDockWidget) and not event.spontaneous():
            self._frame.raise_()

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
        # Left to napari, docks that are opened at once would be shown, and so come to the front, in another order.
        frame.show()
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
