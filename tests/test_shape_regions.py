"""Shapes as regions of an image, drawn in a real viewer where that matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Image, Shapes
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_drcr.widgets.viewer.layers import placement
from napari_drcr.widgets.viewer.marks import PALETTE
from napari_drcr.widgets.viewer.shape_regions import REGION_PALETTE, RegionWatch, regions_of, tell_apart
from viewer_tools import canvas_of, drag, on_canvas

BOX = np.array([(2.0, 3.0), (2.0, 11.0), (8.0, 11.0), (8.0, 3.0)])
TURNED = {"scale": (10, 2, 3), "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]], "translate": (400, -7, 9)}
MICROMETERS = {"scale": (10, 0.5, 0.25), "translate": (400, 30, 40), "units": ("nm", "um", "um")}
PLACED: dict[str, dict[str, Any]] = {"in pixels": {}, "in micrometers": MICROMETERS, "turned": TURNED}


def cube_layer(**placed: Any) -> Image:
    return Image(np.random.default_rng(0).random((5, 40, 60)), **placed)


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    return make_napari_viewer(show=True)


@pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)
def test_shapes_over_an_image_are_its_regions(placed: dict[str, Any]) -> None:
    host = cube_layer(**placed)
    shapes = Shapes([BOX], shape_type="rectangle", edge_color="red", **placement(host))
    shapes.add(np.array([(0, 0), (0, 9), (5, 4)]), shape_type="polygon", edge_color="#00ff00")
    rectangle, polygon = regions_of(shapes, host)
    assert (rectangle.name, rectangle.colour) == ("region 1", "#ff0000")
    assert (polygon.name, polygon.colour) == ("region 2", "#00ff00")
    np.testing.assert_allclose(rectangle.corners, BOX, atol=1e-5)
    np.testing.assert_allclose(polygon.corners, [(0, 0), (0, 9), (5, 4)], atol=1e-5)


def test_shapes_that_lie_elsewhere_are_regions_where_they_are_seen() -> None:
    host = cube_layer(scale=(10, 0.5, 0.25), translate=(400, 30, 40))
    shapes = Shapes([BOX], shape_type="rectangle", scale=(2, 2), translate=(30, 40))
    (region,) = regions_of(shapes, host)
    np.testing.assert_allclose(region.corners, BOX * (4, 8), atol=1e-4)
    in_millimeters = Shapes([BOX], shape_type="rectangle", units=("mm", "mm"), scale=(0.001, 0.001))
    (region,) = regions_of(in_millimeters, cube_layer(units=("nm", "um", "um")))
    np.testing.assert_allclose(region.corners, BOX, atol=1e-4)


def test_shapes_on_one_band_of_a_stack_are_regions() -> None:
    shapes = Shapes([np.insert(BOX, 0, 3, axis=1)], shape_type="polygon", scale=(10, 2, 2), translate=(400, 0, 0))
    (region,) = regions_of(shapes, cube_layer())
    np.testing.assert_allclose(region.corners, 2 * BOX, atol=1e-5)


@pytest.mark.parametrize("angle", [0, 30, 90])
def test_ellipses_are_polygons_even_if_turned(angle: float) -> None:
    cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    turn = np.array([(cosine, -sine), (sine, cosine)])
    shapes = Shapes([BOX @ turn], shape_type="ellipse")
    (region,) = regions_of(shapes, cube_layer())
    assert region.corners.shape == (64, 2)
    offset = (region.corners @ turn.T - (5, 7)) / (3, 4)
    np.testing.assert_allclose(np.hypot(*offset.T), 1, atol=1e-5)


def test_lines_and_paths_are_no_regions() -> None:
    shapes = Shapes([[(0, 0), (5, 5)]], shape_type="line")
    shapes.add(np.array([(0, 0), (5, 5), (5, 9)]), shape_type="path")
    shapes.add(BOX, shape_type="rectangle")
    assert [region.name for region in regions_of(shapes, cube_layer())] == ["region 3"]
    assert regions_of(Shapes(ndim=2), cube_layer()) == []


def test_names_come_from_the_features() -> None:
    shapes = Shapes([BOX, BOX + 5, BOX + 9], shape_type="rectangle", features={"name": ["grass", None, ""]})
    assert [region.name for region in regions_of(shapes, cube_layer())] == ["grass", "region 2", "region 3"]


def test_shapes_in_napari_gray_are_told_apart() -> None:
    shapes = Shapes([BOX, BOX + 5, BOX + 9], shape_type="rectangle")
    shapes.edge_color = ["#777777", "red", "#777777"]
    tell_apart(shapes)
    colours = [region.colour for region in regions_of(shapes, cube_layer())]
    assert colours == [REGION_PALETTE[0], "#ff0000", REGION_PALETTE[1]]
    assert not set(colours) & set(PALETTE[:5])
    tell_apart(shapes)
    assert [region.colour for region in regions_of(shapes, cube_layer())] == colours


def test_a_shape_drawn_in_the_colour_of_the_one_before_gets_its_own() -> None:
    shapes = Shapes([BOX], shape_type="rectangle")
    tell_apart(shapes)
    shapes.selected_data = {0}
    shapes.add(BOX + 9, shape_type="rectangle")
    shapes.add([BOX + 5, BOX + 7], shape_type="rectangle", edge_color="red")
    tell_apart(shapes)
    colours = [region.colour for region in regions_of(shapes, cube_layer())]
    assert colours == [*REGION_PALETTE[:2], "#ff0000", "#ff0000"]
    empty = Shapes(ndim=2)
    tell_apart(empty)
    assert empty.nshapes == 0


def test_drawing_and_moving_are_told_when_they_end(viewer: napari.Viewer, qtbot: QtBot) -> None:
    host = viewer.add_layer(cube_layer())
    viewer.reset_view()
    shapes = viewer.add_shapes(ndim=2)
    watch = RegionWatch()
    watch.watch(shapes)
    told: list[int] = []
    watch.changed.connect(lambda: told.append(len(regions_of(shapes, host))))
    for mode, start, end, corner in (("add_rectangle", (5, 5), (20, 30), (20, 30)), ("select", (10, 10), (14, 16), (24, 36))):
        shapes.mode = mode
        told.clear()
        drag(viewer, host, start, end, qtbot, release=False)
        qtbot.wait(200)
        assert told == []
        qtbot.mouseRelease(canvas_of(viewer), Qt.MouseButton.LeftButton, pos=on_canvas(viewer, host, *end))
        qtbot.waitUntil(lambda: told == [1])
        (region,) = regions_of(shapes, host)
        np.testing.assert_allclose(region.corners.max(axis=0), corner, atol=0.5)


@pytest.mark.parametrize(
    "change",
    [
        lambda shapes: shapes.add(BOX + 5, shape_type="ellipse"),
        lambda shapes: shapes.remove([0]),
        lambda shapes: setattr(shapes, "edge_color", "blue"),
        lambda shapes: setattr(shapes, "current_edge_color", "blue"),
        lambda shapes: setattr(shapes, "features", {"name": ["grass"]}),
        lambda shapes: setattr(shapes, "translate", (3, 4)),
        lambda shapes: setattr(shapes, "data", [BOX + 1]),
    ],
    ids=["added", "deleted", "recoloured", "recoloured by hand", "renamed", "layer moved", "replaced"],
)
def test_changes_are_told_once(qtbot: QtBot, change: Callable[[Shapes], None]) -> None:
    shapes = Shapes([BOX], shape_type="rectangle")
    shapes.selected_data = {0}
    watch = RegionWatch()
    told: list[bool] = []
    watch.watch(shapes)
    watch.changed.connect(lambda: told.append(True))
    change(shapes)
    assert told == []
    qtbot.waitUntil(lambda: bool(told))
    qtbot.wait(150)
    assert told == [True]


def test_watching_another_layer_leaves_nothing_at_the_first(qtbot: QtBot) -> None:
    first, second = Shapes([BOX], shape_type="rectangle"), Shapes([BOX], shape_type="rectangle")

    def callbacks(shapes: Shapes) -> list[int]:
        return [len(emitter.callbacks) for emitter in shapes.events.emitters.values()]

    before = callbacks(first)
    watch = RegionWatch()
    told: list[bool] = []
    watch.changed.connect(lambda: told.append(True))
    watch.watch(first)
    first.remove([0])
    watch.watch(second)
    assert callbacks(first) == before
    second.remove([0])
    watch.detach()
    watch.watch(None)
    assert callbacks(second) == before
    qtbot.wait(150)
    assert told == []
