"""What a dock widget of napari needs: it follows the layers, and leaves nothing behind in the viewer when it is closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import napari
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget

from napari_drcr.errors import InputError

DISPLAY_NAME = "DRCR"
"""The plugin's name in napari's menus, which it appends to those of its docks."""

SomeDock = TypeVar("SomeDock", bound="Dock")


class Dock(QWidget):
    """A dock widget that lets go of the viewer when napari closes it.

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

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._connections: list[tuple[Any, Callable[..., Any]]] = []

    def follow(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Connect a callback to an event of the viewer until the dock is closed.

        Parameters
        ----------
        emitter : napari.utils.events.EventEmitter
            The event.
        callback : callable
            A method of this widget or of one of its parts.
        """
        emitter.connect(callback)
        self._connections.append((emitter, callback))

    def follow_layers(self, callback: Callable[..., Any]) -> None:
        """Call back whenever the list of layers, their order or a name changes.

        Parameters
        ----------
        callback : callable
            Takes the event.
        """
        events = self._viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            self.follow(emitter, callback)

    def let_go(self) -> None:
        """Leave no callback behind; what else a dock holds in the viewer, it gives up here."""
        while self._connections:
            emitter, callback = self._connections.pop()
            emitter.disconnect(callback)

    def event(self, event: QEvent) -> bool:
        """Let go and be deleted when napari closes the dock, which it does by taking the parent away."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.let_go()
            # Left to Python, it would be deleted by whichever thread collects garbage next, and Qt crashes if that is not its own.
            self.deleteLater()
        return bool(super().event(event))


def show_dock(dock: type[SomeDock], viewer: napari.viewer.Viewer | None = None) -> SomeDock:
    """Show a dock widget, the one that is there already or a new one.

    Parameters
    ----------
    dock : type
        Which.
    viewer : napari.viewer.Viewer, optional
        By default the current one.

    Returns
    -------
    Dock
        The widget.

    Raises
    ------
    InputError
        If there is no window to show it in.
    """
    viewer = napari.current_viewer() if viewer is None else viewer
    if viewer is None:
        raise InputError(f"There is no napari window to show the widget {dock.TITLE} in.")
    name = f"{dock.TITLE} ({DISPLAY_NAME})"
    widget = viewer.window.dock_widgets.get(name)
    if widget is None:
        widget = dock(viewer)
        viewer.window.add_dock_widget(widget, name=name, area="right", tabify=True)
    frame = widget.parent()
    frame.show()
    frame.raise_()
    return widget
