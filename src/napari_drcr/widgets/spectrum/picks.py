"""Picked pixels: the points of a Points layer, which holds all there is to know about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Image, Points
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_drcr.errors import InputError
from napari_drcr.widgets.spectrum.pick_layer import (
    NAME,
    PICKS_KEY,
    dress,
    fit_size,
    is_marked,
    mark,
    outline_selected,
    prepare,
    put_over,
    settle,
    text_of,
)
from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY
from napari_drcr.widgets.viewer.marks import hex_colours
from napari_drcr.widgets.viewer.placement import tool_placement
from napari_drcr.widgets.viewer.stacking import add_unselected, bring_up

if TYPE_CHECKING:
    from napari import Viewer

LAYER_NAME = "picked spectra"
CALM = 100
"""How long, in ms, zooming must have ended before the size of the points is fitted to it."""
LAYER_EVENTS = ("data", "features", "face_color", "current_face_color")


class Pick(NamedTuple):
    """A picked pixel: its name, row and column, and colour as ``"#rrggbb"``."""

    name: str
    y: int
    x: int
    colour: str


class Picks(QObject):
    """The picked pixels of a viewer.

    They are the points of a layer of two axes, in pixels, and are changed with napari's tools as well as from here. New points
    get a name and a colour of their own, whoever adds them.

    Attributes
    ----------
    changed : Signal
        Something that `all` gives, or the layer, is another. Sent in the next turn of the event loop, also while a point is
        dragged.
    """

    changed = Signal()
    _touched = Signal()

    def __init__(self, viewer: Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Points | None = None
        self._count = 0
        self._told: tuple[Points | None, list[Pick]] = (None, [])
        self._telling = False
        # Unlike a timer's, such a call comes before the canvas is painted again.
        self._touched.connect(self._tell, Qt.ConnectionType.QueuedConnection)
        self._fitting = QTimer(self, singleShot=True, interval=CALM)
        self._fitting.timeout.connect(self._fit)
        viewer.layers.events.removed.connect(self._layer_removed)
        viewer.scene.camera.events.zoom.connect(self._zoomed)

    @property
    def layer(self) -> Points | None:
        """The layer; None before the first pick, and after it was removed."""
        return self._layer

    @staticmethod
    def candidates(viewer: Viewer) -> list[Points]:
        """The layers that could hold picks: points of two axes, the lowest first."""
        return [layer for layer in viewer.layers if isinstance(layer, Points) and layer.ndim == 2]

    @staticmethod
    def find(viewer: Viewer) -> Points | None:
        """The topmost layer with picks that an earlier widget left in a viewer."""
        return next((layer for layer in reversed(Picks.candidates(viewer)) if is_marked(layer)), None)

    def all(self) -> list[Pick]:
        """The picks, in the order in which they were added; some may be outside an image."""
        if self._layer is None or not len(self._layer.data):
            return []
        pixels = np.floor(self._layer.data + 0.5).astype(int)
        colours = hex_colours(self._layer.face_color)
        rows = zip(self._layer.features[NAME], pixels.tolist(), colours, strict=True)
        return [Pick(text_of(name), y, x, colour) for name, (y, x), colour in rows]

    def add(self, host: Image, y: int, x: int) -> None:
        """Pick a pixel (y, x) of an image where it is seen, above all images; the active layer stays what it was."""
        layer = self._layer
        if layer is None:
            layer = self._make(host)
        mark(layer, host)
        put_over(layer, host)
        bring_up(self._viewer, layer)
        prepare(layer)
        layer.add((y, x))

    def use(self, layer: Points | None, host: Image | None) -> None:
        """Take the points of a layer of the viewer as picks; None for no picks.

        One that held picks before is taken as it is. Of one from a file, the coordinates are taken as pixels of `host`. The
        points of another stay where they are on the canvas, and their coordinates become pixels. Without `host` they stay as
        they are until there is one. Names and colours are those of the features; missing ones are filled in.

        Raises
        ------
        InputError
            If the layer has other than two axes.
        """
        if layer is not None and layer.ndim != 2:
            raise InputError(
                f"the points of the layer {layer.name!r} have {layer.ndim} coordinates, not two; choose another layer."
            )
        # What a plugin is given may be a proxy of the layer.
        own = next((found for found in self._viewer.layers if found == layer), None)
        if own is not self._layer:
            self._release()
        if own is not None and host is not None:
            mark(own, host)
        if own is not None and own is not self._layer:
            self._hold(own)

    def remove(self, index: int) -> None:
        """Delete a pick, by its index in `all`."""
        if self._layer is not None:
            self._layer.remove([index])

    def clear(self) -> None:
        """Delete all picks; the layer stays."""
        if self._layer is not None:
            self._layer.remove(list(range(len(self._layer.data))))

    def select(self, index: int | None) -> None:
        """Make a pick stand out in the image, by its index in `all`; None for none."""
        if self._layer is not None:
            self._layer.selected_data = set() if index is None else {index}

    def detach(self) -> None:
        """Disconnect all callbacks, and emit nothing more; the layer stays in the viewer."""
        self._release()
        self._fitting.stop()
        self._telling = False
        self._viewer.layers.events.removed.disconnect(self._layer_removed)
        self._viewer.scene.camera.events.zoom.disconnect(self._zoomed)

    def _make(self, host: Image) -> Points:
        layer = Points(np.empty((0, 2)), name=LAYER_NAME, metadata={PROVENANCE_KEY: {PICKS_KEY: True}}, **tool_placement(host))
        add_unselected(self._viewer, layer)
        self._hold(layer)
        return layer

    def _hold(self, layer: Points) -> None:
        settle(layer, len(layer.data), by_features=True)
        dress(layer)
        self._layer, self._count = layer, len(layer.data)
        self._fit()
        for name in LAYER_EVENTS:
            getattr(layer.events, name).connect(self._layer_changed)
        layer.events.scale.connect(self._zoomed)
        layer.selected_data.events.items_changed.connect(self._selection_changed)
        self._tell_soon()

    def _release(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None:
            disconnect_events(layer.events, self)
            layer.selected_data.events.items_changed.disconnect(self._selection_changed)
            self._tell_soon()

    def _layer_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._release()

    def _layer_changed(self, event: Any) -> None:
        self._settle(by_features=event.type == "features")
        self._tell_soon()

    def _selection_changed(self) -> None:
        # That they are selected is all that napari says of points that were pasted.
        self._settle(by_features=False)
        if self._layer is not None:
            outline_selected(self._layer)
        self._tell_soon()

    def _settle(self, *, by_features: bool) -> None:
        if self._layer is not None:
            known, self._count = self._count, len(self._layer.data)
            settle(self._layer, known, by_features=by_features)

    def _zoomed(self, _event: Any) -> None:
        self._fitting.start()

    def _fit(self) -> None:
        if self._layer is not None:
            fit_size(self._layer, self._viewer)

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._touched.emit()

    def _tell(self) -> None:
        telling, self._telling = self._telling, False
        now = (self._layer, self.all())
        if telling and now != self._told:
            self._told = now
            self.changed.emit()
