"""Which of napari's tools is in use: to it belong the clicks on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer

PAN_ZOOM = "pan_zoom"
"""Mode of a layer in which none of its tools is in use."""


def tool_of(viewer: Viewer) -> str | None:
    """The tool in use: the mode of the active layer; None where that pans and zooms, or no layer is active."""
    active = viewer.layers.selection.active
    return None if active is None or active.mode == PAN_ZOOM else str(active.mode)


def end_tool(viewer: Viewer) -> None:
    """Let the active layer, if there is one, pan and zoom again."""
    if tool_of(viewer) is not None:
        viewer.layers.selection.active.mode = PAN_ZOOM


class ToolWatch(QObject):
    """Emits `changed` when another of napari's tools is in use, so that `tool_of` may give another, or another layer active."""

    changed = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Layer | None = None
        viewer.layers.selection.events.active.connect(self._follow)
        self._follow()

    def detach(self) -> None:
        """Disconnect all callbacks."""
        self._viewer.layers.selection.events.active.disconnect(self._follow)
        self._watch(None)

    def _follow(self, _event: object = None) -> None:
        self._watch(self._viewer.layers.selection.active)
        self.changed.emit()

    def _watch(self, layer: Layer | None) -> None:
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._tell)
        self._layer = layer
        if layer is not None:
            layer.events.mode.connect(self._tell)

    def _tell(self, _event: object = None) -> None:
        self.changed.emit()
