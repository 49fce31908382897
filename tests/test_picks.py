"""Picked pixels in a real viewer: added from code and with the mouse, changed with napari's tools, saved and opened again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Image, Points
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_drcr.errors import InputError
from napari_drcr.widgets.spectrum.picks import Pick, Picks
from napari_drcr.widgets.viewer.canvas import ClickListener
from napari_drcr.widgets.viewer.layers import placement
from napari_drcr.widgets.viewer.marks import PALETTE
from napari_drcr.widgets.viewer.navigation import pixel_at
from viewer_tools import canvas_of, click, drag, on_canvas, world_of

MICROMETERS = {"scale": (10, 0.5, 0.25), "translate": (400, 30, 40), "units": ("nm", "um", "um")}
TURNED = {"scale": (10, 2, 3), "rotate": [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]], "translate": (400, -7, 9)}
PLACED: dict[str, dict[str, Any]] = {"in pixels": {}, "in micrometers": MICROMETERS, "turned": TURNED}
everywhere = pytest.mark.parametrize("placed", PLACED.values(), ids=PLACED)


@pytest.fixture
def viewer(shown_viewer: napari.Viewer) -> napari.Viewer:
    return shown_viewer


def add_cube(viewer: napari.Viewer, **placed: Any) -> Image:
    layer = viewer.add_image(np.random.default_rng(0).random((5, 40, 60)), name="cube", **placed)
    viewer.reset_view()
    return layer


@pytest.fixture
def cube(viewer: napari.Viewer) -> Image:
    return add_cube(viewer)


@pytest.fixture
def picks(viewer: napari.Viewer, cube: Image) -> Picks:
    picks = Picks(viewer)
    for y, x in ((10, 12), (20, 30), (30, 50)):
        picks.add(cube, y, x)
    return picks


def use_tool(viewer: napari.Viewer, layer: Points, mode: str, qtbot: QtBot) -> None:
    viewer.layers.selection.active = layer
    layer.mode = mode
    qtbot.wait(1)


def pixels(picks: Picks) -> list[tuple[int, int]]:
    return [(pick.y, pick.x) for pick in picks.all()]


def test_picks_are_points_with_names_and_colours_of_their_own(viewer: napari.Viewer, cube: Image, picks: Picks) -> None:
    assert picks.all() == [
        Pick("pick 1", 10, 12, PALETTE[0]),
        Pick("pick 2", 20, 30, PALETTE[1]),
        Pick("pick 3", 30, 50, PALETTE[2]),
    ]
    layer = viewer.layers["picked spectra"]
    assert layer is picks.layer
    assert layer.ndim == 2
    np.testing.assert_array_equal(layer.data, [(10, 12), (20, 30), (30, 50)])
    assert list(layer.features["name"]) == ["pick 1", "pick 2", "pick 3"]
    assert list(layer.features["colour"]) == list(PALETTE[:3])
    assert list(viewer.layers.selection) == [cube]
    assert viewer.layers.selection.active is cube


def test_names_and_colours_come_back_only_when_they_are_free(cube: Image, picks: Picks) -> None:
    picks.remove(1)
    picks.add(cube, 5, 5)
    assert [pick.name for pick in picks.all()] == ["pick 1", "pick 3", "pick 4"]
    assert [pick.colour for pick in picks.all()] == [PALETTE[0], PALETTE[2], PALETTE[1]]
    for x in range(10):
        picks.add(cube, 0, x)
    assert len({pick.name for pick in picks.all()}) == 13
    assert {pick.colour for pick in picks.all()} == set(PALETTE)


@everywhere
@pytest.mark.parametrize("band", [0, 4])
def test_a_click_picks_the_pixel_under_it(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any], band: int) -> None:
    layer = add_cube(viewer, **placed)
    picks = Picks(viewer)
    viewer.dims.set_current_step(0, band)

    def clicked(heard: Any) -> None:
        picks.add(layer, *pixel_at(viewer, layer, heard.position))

    ClickListener(viewer, clicked).start()
    with qtbot.waitSignal(picks.changed):
        click(viewer, layer, 20, 30, qtbot)
    assert pixels(picks) == [(20, 30)]
    np.testing.assert_allclose(world_of(viewer, picks.layer, 20, 30), world_of(viewer, layer, 20, 30))
    for band in range(5):
        viewer.dims.set_current_step(0, band)
        assert len(picks.layer._view_data) == 1


def test_the_layer_goes_where_the_pixels_are(viewer: napari.Viewer, picks: Picks) -> None:
    other = viewer.add_image(np.zeros((5, 40, 60)), scale=(1, 3, 2), translate=(0, 7, 8))
    picks.add(other, 5, 6)
    assert pixels(picks) == [(10, 12), (20, 30), (30, 50), (5, 6)]
    np.testing.assert_allclose(picks.layer.data_to_world((5, 6)), (22, 20))


@everywhere
def test_a_point_dragged_with_napari_is_told_as_it_moves(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any]) -> None:
    layer = add_cube(viewer, **placed)
    picks = Picks(viewer)
    for y, x in ((10, 12), (20, 30)):
        picks.add(layer, y, x)
    qtbot.waitUntil(lambda: picks.layer.size[0] < 5)
    use_tool(viewer, picks.layer, "select", qtbot)
    told: list[list[Pick]] = []
    picks.changed.connect(lambda: told.append(picks.all()))
    drag(viewer, layer, (20, 30), (24, 33), qtbot, release=False)
    qtbot.waitUntil(lambda: bool(told) and told[-1] == [Pick("pick 1", 10, 12, PALETTE[0]), Pick("pick 2", 24, 33, PALETTE[1])])
    canvas = canvas_of(viewer)
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=on_canvas(viewer, layer, 24, 33))
    assert pixels(picks) == [(10, 12), (24, 33)]


def test_a_point_added_with_napari_is_named_and_coloured(
    viewer: napari.Viewer, cube: Image, picks: Picks, qtbot: QtBot
) -> None:
    picks.select(0)
    use_tool(viewer, picks.layer, "add", qtbot)
    heard: list[Any] = []
    ClickListener(viewer, heard.append).start()
    with qtbot.waitSignal(picks.changed):
        click(viewer, cube, 5, 45, qtbot)
    assert heard == []
    assert picks.all()[3] == Pick("pick 4", 5, 45, PALETTE[3])
    assert len(picks.all()) == 4


def test_points_pasted_with_napari_are_named_and_coloured(viewer: napari.Viewer, picks: Picks, qtbot: QtBot) -> None:
    layer = picks.layer
    use_tool(viewer, layer, "select", qtbot)
    layer.selected_data = {0, 1}
    layer._copy_data()
    with qtbot.waitSignal(picks.changed):
        layer._paste_data()
    assert [pick.name for pick in picks.all()] == [f"pick {number}" for number in range(1, 6)]
    assert len({pick.colour for pick in picks.all()}) == 5
    assert picks.all()[3:] == [Pick("pick 4", 10, 12, PALETTE[3]), Pick("pick 5", 20, 30, PALETTE[4])]


def test_points_deleted_with_napari_are_gone(viewer: napari.Viewer, picks: Picks, qtbot: QtBot) -> None:
    use_tool(viewer, picks.layer, "select", qtbot)
    picks.select(1)
    with qtbot.waitSignal(picks.changed):
        picks.layer.remove_selected()
    assert pixels(picks) == [(10, 12), (30, 50)]
    with qtbot.waitSignal(picks.changed):
        picks.clear()
    assert picks.all() == []
    assert picks.layer in viewer.layers


def test_points_recoloured_or_renamed_with_napari_stay_so(cube: Image, picks: Picks, qtbot: QtBot) -> None:
    layer = picks.layer
    picks.select(1)
    with qtbot.waitSignal(picks.changed):
        layer.current_face_color = "red"
    assert picks.all()[1].colour == layer.features["colour"][1] == "#ff0000"
    layer.features = layer.features.assign(name=["grass", "skin", "sky"], colour=["#00ff00", "blue", "#123456"])
    assert picks.all() == [
        Pick("grass", 10, 12, "#00ff00"),
        Pick("skin", 20, 30, "#0000ff"),
        Pick("sky", 30, 50, "#123456"),
    ]
    picks.add(cube, 1, 2)
    assert picks.all()[3] == Pick("pick 1", 1, 2, PALETTE[0])


def test_what_did_not_change_is_not_told(viewer: napari.Viewer, cube: Image, picks: Picks, qtbot: QtBot) -> None:
    qtbot.wait(20)
    told: list[int] = []
    picks.changed.connect(lambda: told.append(len(picks.all())))
    picks.select(0)
    viewer.dims.set_current_step(0, 3)
    viewer.layers.selection.active = picks.layer
    qtbot.wait(20)
    assert told == []
    picks.add(cube, 1, 1)
    picks.add(cube, 2, 2)
    assert told == []
    qtbot.waitUntil(lambda: bool(told))
    assert told == [5]


def test_the_selected_point_stands_out(viewer: napari.Viewer, picks: Picks) -> None:
    picks.select(1)
    assert picks.layer.selected_data == {1}
    assert picks.layer.border_width.argmax() == 1
    picks.select(None)
    assert len(set(picks.layer.border_width)) == 1


@everywhere
def test_points_keep_their_size_on_the_screen(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any]) -> None:
    layer = add_cube(viewer, **placed)
    picks = Picks(viewer)
    picks.add(layer, 20, 30)
    before = picks.layer.size[0]
    viewer.scene.camera.zoom *= 4
    qtbot.waitUntil(lambda: picks.layer.size[0] == pytest.approx(before / 4))
    picks.add(layer, 21, 30)
    assert picks.layer.size[1] == pytest.approx(before / 4)


@everywhere
def test_saved_with_napari_and_opened_again(
    make_napari_viewer: Callable[..., napari.Viewer], tmp_path: Path, placed: dict[str, Any]
) -> None:
    first = make_napari_viewer()
    picks = Picks(first)
    for y, x in ((10, 12), (20, 30)):
        picks.add(add_cube(first, **placed), y, x)
    picks.layer.features = picks.layer.features.assign(name=["12", "skin"])
    picks.select(1)
    picks.layer.current_face_color = "red"
    before = picks.all()
    assert picks.layer.save(str(tmp_path / "picks.csv"))

    second = make_napari_viewer()
    host = add_cube(second, **placed)
    (opened,) = second.open(tmp_path / "picks.csv", plugin="napari")
    assert Picks.find(second) is None
    again = Picks(second)
    again.use(opened, host)
    assert again.all() == before
    np.testing.assert_allclose(world_of(second, opened, 20, 30), world_of(second, host, 20, 30))
    assert Picks.find(second) is opened


@everywhere
def test_foreign_points_stay_where_they_are_seen(viewer: napari.Viewer, placed: dict[str, Any]) -> None:
    host = add_cube(viewer, **placed)
    foreign = viewer.add_points(
        np.zeros((2, 2)),
        translate=host.data_to_world((0, 20, 30))[-2:],
        units=host.units[-2:],
        border_width=3,
        border_width_is_relative=False,
    )
    foreign.data = [(0, 0), (0.1, 0)]
    seen = [world_of(viewer, foreign, *place) for place in foreign.data]
    picks = Picks(viewer)
    picks.use(foreign, host)
    assert picks.all()[0] == Pick("pick 1", 20, 30, PALETTE[0])
    assert picks.all()[1].name == "pick 2"
    np.testing.assert_allclose([world_of(viewer, foreign, *place) for place in foreign.data], seen)
    picks.use(foreign, viewer.add_image(np.zeros((5, 40, 60)), scale=(1, 9, 9)))
    assert pixels(picks)[0] == (20, 30)


def test_foreign_points_in_other_units_do_too(viewer: napari.Viewer) -> None:
    host = viewer.add_image(np.zeros((40, 60, 3), np.uint8), rgb=True, units=("um", "um"), scale=(0.5, 0.5))
    foreign = viewer.add_points([(0.010, 0.020)], units=("mm", "mm"))
    picks = Picks(viewer)
    picks.use(foreign, host)
    assert pixels(picks) == [(20, 40)]


def test_points_without_a_host_are_placed_when_there_is_one(viewer: napari.Viewer) -> None:
    foreign = viewer.add_points([(4, 6)], scale=(10, 10))
    picks = Picks(viewer)
    picks.use(foreign, None)
    assert pixels(picks) == [(4, 6)]
    picks.use(foreign, add_cube(viewer))
    assert pixels(picks) == [(40, 60)]
    picks.use(None, None)
    assert picks.layer is None
    assert picks.all() == []
    with pytest.raises(InputError, match="have 3 coordinates, not two"):
        picks.use(viewer.add_points([(1, 2, 3)]), None)


def test_only_flat_points_are_candidates(viewer: napari.Viewer, cube: Image) -> None:
    flat = viewer.add_points(ndim=2)
    viewer.add_points(ndim=3)
    viewer.add_shapes(ndim=2)
    assert Picks.candidates(viewer) == [flat]
    assert Picks.find(viewer) is None


def test_removing_the_layer_removes_the_picks(viewer: napari.Viewer, cube: Image, picks: Picks, qtbot: QtBot) -> None:
    with qtbot.waitSignal(picks.changed):
        viewer.layers.remove(picks.layer)
    assert picks.layer is None
    assert picks.all() == []
    picks.remove(0)
    picks.clear()
    picks.select(0)
    picks.add(cube, 1, 2)
    assert picks.all() == [Pick("pick 1", 1, 2, PALETTE[0])]


def test_later_picks_find_the_layer_again(viewer: napari.Viewer, cube: Image, picks: Picks) -> None:
    before, layer = picks.all(), picks.layer
    picks.detach()
    later = Picks(viewer)
    assert later.all() == []
    later.use(Picks.find(viewer), cube)
    assert later.layer is layer
    assert later.all() == before


def test_picks_work_in_the_3d_view(viewer: napari.Viewer, cube: Image, picks: Picks) -> None:
    viewer.dims.ndisplay = 3
    picks.add(cube, 1, 2)
    picks.select(3)
    picks.remove(0)
    assert pixels(picks) == [(20, 30), (30, 50), (1, 2)]


def test_letting_go_leaves_the_layer_and_no_callback(viewer: napari.Viewer, cube: Image, qtbot: QtBot) -> None:
    layer = Points(np.empty((0, 2)), **placement(cube))
    viewer.add_layer(layer)

    def callbacks() -> list[int]:
        events = [*layer.events.emitters.values(), viewer.layers.events.removed, viewer.scene.camera.events.zoom]
        return [*(len(emitter.callbacks) for emitter in events), len(layer.selected_data.events.items_changed)]

    before = callbacks()
    picks = Picks(viewer)
    told: list[bool] = []
    picks.changed.connect(lambda: told.append(True))
    picks.use(layer, cube)
    picks.add(cube, 3, 4)
    assert callbacks() != before
    picks.detach()
    assert callbacks() == before
    assert layer in viewer.layers
    layer.add((1, 1))
    viewer.scene.camera.zoom *= 2
    qtbot.wait(150)
    assert told == []
