"""Where layers go in the list: points and shapes above images, which would cover them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image, Points, Shapes

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Layer


def add_below_marks(viewer: Viewer, layer: Layer) -> None:
    """Add an image above the others, but below the points and shapes that are on top; it is selected, as napari does it."""
    viewer.layers.insert(below_marks(viewer), layer)


def add_unselected(viewer: Viewer, layer: Layer, place: int | None = None) -> None:
    """Insert a layer at a place of the list, by default the top, and leave the selection as it was."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(len(viewer.layers) if place is None else place, layer)
    viewer.layers.selection = selected


def below_marks(viewer: Viewer) -> int:
    """Where in the list a new topmost image goes: the index of the lowest of the points and shapes on top, or the end."""
    place = len(viewer.layers)
    while place and isinstance(viewer.layers[place - 1], Points | Shapes):
        place -= 1
    return place


def bring_up(viewer: Viewer, layer: Layer) -> None:
    """Make points or shapes visible: show their layer, and move it to the top where an image covers it."""
    if not layer.visible:
        layer.visible = True
    place = viewer.layers.index(layer)
    if any(isinstance(above, Image) for above in viewer.layers[place + 1 :]):
        viewer.layers.move(place, len(viewer.layers))
