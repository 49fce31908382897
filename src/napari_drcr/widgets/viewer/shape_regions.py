"""The shapes of a Shapes layer as regions of an image."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from napari.layers import Shapes
from napari.layers.base import ActionType
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, QTimer, Signal

from napari_drcr.widgets.viewer.layers import facts_of_layer
from napari_drcr.widgets.viewer.marks import PALETTE, free_colour, hex_colours, pixels_of

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Layer

REGION_PALETTE = PALETTE[5:] + PALETTE[:5]
"""Begins where the first picks have not been."""
NAPARI_GRAY = "#777777"
"""Edge colour of shapes as napari draws them."""
ENCLOSING = ("rectangle", "polygon", "ellipse")
CORNERS = 64
"""Of the polygon that approximates an ellipse."""
CALM = 100
"""How long, in ms, the shapes must have been unchanged before the signal."""
WHITE_PATCH_KEY = "white_patch"
"""Entry of ``metadata["napari_drcr"]`` of the Shapes layer that outlines a white patch: it holds no regions."""
PLACED_BY = ("scale", "translate", "rotate", "shear", "affine", "units")


class Region(NamedTuple):
    """A region: its name, its colour as ``"#rrggbb"``, and its corners (y, x) in pixels of an image, shape (n, 2)."""

    name: str
    colour: str
    corners: npt.NDArray[np.float64]


def is_outline(layer: Layer) -> bool:
    """Whether a layer is the outline of a white patch."""
    return WHITE_PATCH_KEY in facts_of_layer(layer)


def region_layers(viewer: Viewer) -> list[Shapes]:
    """The layers whose shapes could be regions, the lowest first."""
    return [layer for layer in viewer.layers if isinstance(layer, Shapes) and not is_outline(layer)]


def regions_of(shapes: Shapes, host: Image) -> list[Region]:
    """The regions that shapes enclose in an image or cube, in the order of the shapes; lines and paths enclose nothing.

    The shapes have two axes, or are drawn on one band of a stack: the last two axes count. They may be placed anywhere; what is
    seen on the canvas counts. Colours are those of the edges; names are those of the features' column ``name``, else ``"region
    1"`` for the first shape and so on. Colours and features that napari kept of deleted shapes do not count.
    """
    names = list(shapes.features.get("name", ()))[: shapes.nshapes]
    each = zip_longest(shapes.data, shapes.shape_type, names, _edge_colours(shapes))
    regions = []
    for index, (data, kind, name, colour) in enumerate(each, start=1):
        if kind in ENCLOSING:
            corners = pixels_of(shapes, data, host)
            named = isinstance(name, str) and name
            regions.append(
                Region(name if named else f"region {index}", colour, _outline(corners) if kind == "ellipse" else corners)
            )
    return regions


def tell_apart(shapes: Shapes) -> None:
    """Give shapes other edge colours where their curves could not be told apart.

    Those are shapes in napari's gray, and shapes in a colour of the palette that an earlier shape has: napari draws a new shape
    in the colour of the one that was selected last. Colours that a user chose stay, even where they repeat.
    """
    colours: list[str] = []
    for colour in _edge_colours(shapes):
        repeated = colour in REGION_PALETTE and colour in colours
        colours.append(free_colour(colours, REGION_PALETTE) if colour == NAPARI_GRAY or repeated else colour)
    if len(shapes.edge_color) != shapes.nshapes:
        # The later shapes are then drawn in another colour. No event is emitted, since the next time would be no different.
        with shapes.events.edge_color.blocker():
            shapes.edge_color = colours
        shapes.refresh()
    elif colours != _edge_colours(shapes):
        shapes.edge_color = colours


def _edge_colours(shapes: Shapes) -> list[str]:
    """One colour for each shape: napari 0.9.2 keeps those of polygons that were abandoned with fewer than three corners."""
    colours = hex_colours(shapes.edge_color)[: shapes.nshapes]
    return colours + [NAPARI_GRAY] * (shapes.nshapes - len(colours))


def _outline(box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The ellipse in a box of four corners, one after the other around it, which may be turned."""
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    first, second = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    ellipse: npt.NDArray[np.float64] = box.mean(axis=0) + np.cos(angle) * first + np.sin(angle) * second
    return ellipse


class RegionWatch(QObject):
    """Emits `changed` once drawing or moving has ended that added, moved, deleted, renamed or recoloured shapes of a layer."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layer: Shapes | None = None
        self._timer = QTimer(self, singleShot=True, interval=CALM)
        self._timer.timeout.connect(self.changed)

    def watch(self, layer: Shapes | None) -> None:
        """Watch the shapes of a layer, or None, in place of those watched until now."""
        self.detach()
        self._layer = layer
        if layer is not None:
            layer.events.data.connect(self._data_changed)
            for name in ("features", "edge_color", *PLACED_BY):
                getattr(layer.events, name).connect(self._wait)

    def detach(self) -> None:
        """Disconnect all callbacks, and emit nothing more."""
        self._timer.stop()
        layer, self._layer = self._layer, None
        if layer is not None:
            disconnect_events(layer.events, self)

    def _data_changed(self, event: Any) -> None:
        # The others announce that a shape is about to change: it is still being drawn.
        if event.action in (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED):
            self._wait()

    def _wait(self, _event: Any = None) -> None:
        self._timer.start()
