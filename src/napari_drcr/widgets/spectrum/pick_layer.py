"""What a Points layer of picked pixels is like: its placement, its look, and the names and colours of its points."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtGui import QColor

from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY, facts_of_layer
from napari_drcr.widgets.viewer.marks import PALETTE, free_colour, hex_colours, pixels_of
from napari_drcr.widgets.viewer.placement import tool_placement, unit_factor

if TYPE_CHECKING:
    from napari import Viewer
    from napari.layers import Image, Points

PICKS_KEY = "picks"
"""Entry of ``metadata["napari_drcr"]`` of Points layers whose coordinates are pixels."""
NAME, COLOUR = "name", "colour"
"""Columns of the layer's features, which napari saves with the points."""
DIAMETER = 11
"""Of a point, in pixels of the screen."""
THIN, THICK = 0.15, 0.35
"""Width of the border of a point, and of a selected one, in diameters."""


def is_marked(layer: Points) -> bool:
    """Whether a layer's coordinates are known to be pixels."""
    return PICKS_KEY in facts_of_layer(layer)


def mark(layer: Points, host: Image) -> None:
    """Make a layer's two coordinates pixels of an image, and say so in its metadata; nothing happens if they are already.

    If it comes from a file, its coordinates are pixels, since napari saves those without their placement. The points of another
    stay where they are on the canvas.
    """
    if is_marked(layer):
        return
    if layer.source.path is None and len(layer.data):
        layer.data = pixels_of(layer, layer.data, host)
    _place(layer, host)
    layer.metadata = {**layer.metadata, PROVENANCE_KEY: {PICKS_KEY: True}}


def put_over(layer: Points, host: Image) -> None:
    """Show picks of a marked layer where their pixels are in an image."""
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    if not np.allclose(pixels_of(layer, corners, host), corners):
        _place(layer, host)


def _place(layer: Points, host: Image) -> None:
    for name, value in tool_placement(host).items():
        setattr(layer, name, value)


def dress(layer: Points) -> None:
    """Give a layer with names and colours in its features the look of picks, with a border that shows on anything.

    Their names are not written beside them: napari 0.9.2 crashes when it next draws after a layer of points with texts was
    removed.
    """
    layer.feature_defaults = {NAME: "", COLOUR: PALETTE[0]}
    layer.border_color = layer.current_border_color = "white"
    layer.border_width = layer.current_border_width = THIN
    layer.border_width_is_relative = True
    # Their true size follows the zoom a little late. The lower limit is as it is by default: it is the least border, doubled.
    layer.canvas_size_limits = (2, DIAMETER)
    outline_selected(layer)


def outline_selected(layer: Points) -> None:
    """Thicken the border of selected points, since napari's own highlight shows on the active layer only."""
    widths = np.full(len(layer.data), THIN)
    widths[[row for row in layer.selected_data if row < widths.size]] = THICK
    if not np.array_equal(widths, layer.border_width):
        # Setting the whole property would have napari cut and paint the layer twice.
        layer.border_width[:] = widths
        layer.events.border_width()


def fit_size(layer: Points, viewer: Viewer) -> None:
    """Keep the size of points on the screen, for eye and mouse: napari measures it in pixels of the layer."""
    world = viewer.layers.units
    factor = 1.0 if world is None else unit_factor(layer.units[-1], world[-1])
    size = DIAMETER / (viewer.scene.camera.zoom * abs(layer.scale[-1]) * factor)
    with layer.block_update_properties():
        layer.current_size = size
    layer.size = size


def settle(layer: Points, known: int, *, by_features: bool) -> None:
    """Name and colour new points, and make the colours seen and those in the features the same.

    The first `known` points are not new; the others have from napari what is another point's. `by_features` says that the
    colours in the features count, and not those seen.
    """
    count = len(layer.data)
    features = layer.features
    names = [text_of(name) for name in features.get(NAME, [""] * count)]
    colours = hex_colours(layer.face_color)
    if by_features:
        stated = [QColor(text_of(colour)) for colour in features.get(COLOUR, [""] * count)]
        colours = [colour.name() if colour.isValid() else "" for colour in stated]
    for row in range(known, count):
        names[row] = colours[row] = ""
    for row in range(count):
        names[row] = names[row] or _next_name(names)
        colours[row] = colours[row] or free_colour(colours)
    if any(key not in features or list(features[key]) != column for key, column in ((NAME, names), (COLOUR, colours))):
        layer.features = features.assign(**{NAME: np.array(names, object), COLOUR: np.array(colours, object)})
    if hex_colours(layer.face_color) != colours:
        layer.face_color = colours


def prepare(layer: Points) -> None:
    """Tell napari the name and the colour of the point that is added next, which is faster than to `settle` it afterwards."""
    colour = free_colour(hex_colours(layer.face_color))
    layer.feature_defaults = {NAME: _next_name([text_of(name) for name in layer.features[NAME]]), COLOUR: colour}
    with layer.block_update_properties():
        layer.current_face_color = colour


def text_of(value: Any) -> str:
    """What a feature says, empty where it is missing; a name that is a number comes back from a file as one."""
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    return "" if missing else f"{value:g}" if isinstance(value, float) else str(value)


def _next_name(names: list[str]) -> str:
    numbers = [int(found[1]) for name in names if (found := re.fullmatch(r"pick (\d+)", name))]
    return f"pick {max(numbers, default=0) + 1}"
