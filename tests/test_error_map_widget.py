"""The dock Error map in a real viewer, with real maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array
import napari
import numpy as np
import pytest
import xarray as xr
from napari.layers import Image, Shapes
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import napari_drcr as nd
from napari_drcr.analysis.metrics import error_cube, mean_map
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.widgets.error_map import ErrorMap
from napari_drcr.widgets.error_map.layers import GRAY
from napari_drcr.widgets.error_map.likely_pairs import NO_ESTIMATE, NO_TRUTH, likeliest_pair
from napari_drcr.widgets.error_map.measure import map_facts, percentile
from napari_drcr.widgets.error_map.panel import BANDS, MEAN
from napari_drcr.widgets.error_map.truth_choice import PairChoice
from napari_drcr.widgets.spectrum import Spectrum
from napari_drcr.widgets.viewer.dock import show_dock
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, map_to_layer_data, show_map
from viewer_tools import on_canvas

MakeViewer = Callable[..., napari.Viewer]
SHAPE = (31, 24, 32)
TRUTH = np.random.default_rng(0).uniform(0.05, 1, SHAPE).astype(np.float32)


@pytest.fixture
def viewer(make_napari_viewer: MakeViewer) -> napari.Viewer:
    return make_napari_viewer()


def add_cube(
    viewer: napari.Viewer,
    values: Any = TRUTH,
    name: str = "scene",
    *,
    model: str | None = None,
    wavelengths: Any = WAVELENGTHS,
    quantity: str = "reflectance",
    clipped: Any = None,
    **placed: Any,
) -> Image:
    cube = make_cube(values, wavelengths, quantity=quantity, attrs={} if model is None else {"model": model}, name=name)
    if clipped is not None:
        cube = cube.assign_coords(clipped=(("y", "x"), clipped))
    data, properties, _ = cube_to_layer_data(cube)
    return viewer.add_image(data, **properties | placed)


def guess(model: str) -> np.ndarray:
    """An estimate that is the worse the longer the name of its model."""
    random = np.random.default_rng(len(model))
    return (TRUTH * random.uniform(1 - 0.02 * len(model), 1 + 0.02 * len(model), SHAPE)).astype(np.float32)


def add_estimate(viewer: napari.Viewer, model: str = "photo", values: Any = None, **settings: Any) -> Image:
    return add_cube(viewer, guess(model) if values is None else values, f"scene ({model} estimate)", model=model, **settings)


def open_dock(viewer: napari.Viewer) -> ErrorMap:
    dock = ErrorMap(viewer)
    viewer.window.add_dock_widget(dock, name="Error map (DRCR)", area="right")
    return dock


def settled(dock: ErrorMap, qtbot: QtBot) -> None:
    qtbot.waitUntil(
        lambda: not dock.running and not dock._later.isActive() and not dock._watch._timer.isActive(), timeout=30_000
    )


def run(dock: ErrorMap, qtbot: QtBot) -> None:
    dock.panel.button.click()
    settled(dock, qtbot)


def choose(dock: ErrorMap, metric: str, qtbot: QtBot) -> None:
    dock.panel.metric_choice.value = metric
    settled(dock, qtbot)


@pytest.fixture
def mapped(viewer: napari.Viewer, qtbot: QtBot) -> ErrorMap:
    """A dock that has mapped one estimate."""
    add_cube(viewer)
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    return dock


def table(dock: ErrorMap) -> list[list[str]]:
    cells = dock.panel.table
    return [[cells.item(row, column).text() for column in range(4)] for row in range(cells.rowCount())]


def headings(dock: ErrorMap) -> list[str]:
    return [dock.panel.table.horizontalHeaderItem(column).text() for column in range(4)]


# Choosing


def test_an_empty_viewer_says_what_to_do(viewer: napari.Viewer) -> None:
    dock = open_dock(viewer)
    assert dock.panel.status.text() == NO_ESTIMATE
    assert not dock.panel.button.isEnabled()
    layer = add_estimate(viewer)
    assert dock.choice.pair == (layer, None)
    assert dock.panel.status.text() == NO_TRUTH
    dock.choice.choose(layer, layer)
    assert "same layer" in dock.panel.status.text()
    viewer.layers.remove(layer)
    add_cube(viewer)
    assert dock.panel.status.text() == NO_ESTIMATE
    add_estimate(viewer)
    assert dock.panel.status.text() == ""
    assert dock.panel.button.isEnabled()


def test_the_likeliest_pair_is_of_one_scene_and_the_newest_estimate(viewer: napari.Viewer) -> None:
    other = add_cube(viewer, name="other")
    scene = add_cube(viewer, name="scene")
    add_cube(viewer, np.zeros((31, 8, 8)), name="scene [1]")
    first = add_estimate(viewer, "photo")
    assert likeliest_pair(viewer.layers) == (first, scene)
    second = add_estimate(viewer, "linear")
    assert likeliest_pair(viewer.layers) == (second, scene)
    stranger = add_cube(viewer, name="stranger (photo estimate)", model="photo")
    assert likeliest_pair(viewer.layers) == (second, scene)
    viewer.layers.remove(second)
    viewer.layers.remove(first)
    assert likeliest_pair(viewer.layers) == (stranger, scene)
    viewer.layers.remove(scene)
    assert likeliest_pair(viewer.layers) == (stranger, other)
    viewer.layers.remove(stranger)
    assert likeliest_pair(viewer.layers) == (None, None)


def test_the_scene_of_an_estimate_is_known_from_its_photo(viewer: napari.Viewer) -> None:
    viewer.add_image(np.zeros((24, 32, 3), np.uint8), rgb=True, name="flowers.jpg")
    estimate = add_cube(viewer, name="renamed", model="photo")
    estimate.metadata["napari_drcr"]["source_layer"] = "flowers.jpg"
    flowers = add_cube(viewer, name="flowers")
    add_cube(viewer, name="beads")
    assert likeliest_pair(viewer.layers) == (estimate, flowers)


def test_what_was_chosen_by_hand_stays(viewer: napari.Viewer) -> None:
    add_cube(viewer)
    first, second = add_estimate(viewer, "photo"), add_estimate(viewer, "linear")
    dock = open_dock(viewer)
    assert dock.choice.estimate.value is second
    box = dock.choice.estimate.native
    box.setCurrentIndex(box.findText(first.name))
    box.activated.emit(box.currentIndex())
    add_estimate(viewer, "polynomial")
    assert dock.choice.estimate.value is first
    viewer.layers.remove(first)
    assert dock.choice.estimate.value is viewer.layers["scene (polynomial estimate)"]


def test_another_size_is_refused_in_a_sentence(viewer: napari.Viewer) -> None:
    estimate = add_estimate(viewer)
    small = add_cube(viewer, np.ones((31, 8, 8)), "small")
    dock = open_dock(viewer)
    dock.choice.choose(estimate, small)
    assert "24 x 32 pixels, the ground truth 8 x 8" in dock.panel.status.text()
    assert not dock.panel.button.isEnabled()
    dock.run()
    assert not dock.running


def test_cubes_without_common_bands_are_refused(viewer: napari.Viewer) -> None:
    estimate = add_estimate(viewer)
    infrared = add_cube(viewer, TRUTH[:5], "infrared", wavelengths=[900, 910, 920, 930, 940])
    dock = open_dock(viewer)
    dock.choice.choose(estimate, infrared)
    assert "share no wavelengths" in dock.panel.status.text()


def test_a_truth_is_read_from_a_file(
    viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = add_estimate(viewer)
    nd.write_cube(tmp_path / "measured.mat", make_cube(TRUTH, WAVELENGTHS, quantity="reflectance"))
    dock = open_dock(viewer)
    # In place of the person who would answer the dialog.
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "measured.mat"), ""))
    dock.choice.file_button.click()
    qtbot.waitUntil(lambda: "measured" in viewer.layers, timeout=30_000)
    assert dock.choice.pair == (estimate, viewer.layers["measured"])
    qtbot.waitUntil(lambda: not dock.choice.reading)
    run(dock, qtbot)
    assert len(dock.maps.all()) == 2


def test_a_file_that_is_no_cube_is_refused_in_a_sentence(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "scene.mat").write_text("nothing")
    add_estimate(viewer)
    dock = open_dock(viewer)
    dock.choice.open_truth(tmp_path / "scene.mat")
    qtbot.waitUntil(lambda: not dock.choice.reading, timeout=30_000)
    assert dock.panel.status.text().startswith("scene.mat: this is no MATLAB file")
    assert len(viewer.layers) == 1


# Mapping


def test_a_pair_becomes_a_stack_and_a_mean(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer)
    estimate = add_estimate(viewer, scale=(10, 0.5, 0.25), translate=(400, 3, 4), units=("nm", "um", "um"))
    dock = open_dock(viewer)
    run(dock, qtbot)
    stack, mean = dock.maps.all()
    errors = error_cube(TRUTH, guess("photo"), "relative", 0.01)
    np.testing.assert_allclose(stack.data, errors, rtol=1e-5)
    np.testing.assert_allclose(mean.data, mean_map(errors), rtol=1e-5)
    assert stack.name == "relative error (floor 0.01) by band: scene (photo estimate)"
    assert mean.name == "MRAE@0.01: scene (photo estimate)"
    assert stack.scale.tolist() == [10, 0.5, 0.25]
    assert mean.translate.tolist() == [3, 4]
    assert viewer.dims.nsteps[0] == 31
    facts = map_facts(mean)
    assert facts is not None
    wanted = {"metric": "relative", "floor": 0.01, "truth": "scene", "estimate": estimate.name, "model": "photo"}
    assert wanted.items() <= facts.items()
    assert facts["left_out_share"] == 0
    assert dock.panel.facts.text() == "Compared over 400\N{EN DASH}700 nm, 31 bands."
    assert (stack.visible, mean.visible) == (True, False)
    assert viewer.layers.selection.active is stack


def test_the_other_map_is_seen_on_demand(mapped: ErrorMap) -> None:
    stack, mean = mapped.maps.all()
    mapped.panel.kind.value = MEAN
    assert (stack.visible, mean.visible) == (False, True)
    mapped.panel.kind.value = BANDS
    assert (stack.visible, mean.visible) == (True, False)


def test_only_common_bands_are_compared(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer, TRUTH[:29], wavelengths=np.arange(420, 701, 10))
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    stack = dock.maps.all()[0]
    assert (stack.data.shape[0], stack.translate[0]) == (29, 420)
    assert dock.panel.facts.text() == "Compared over 420\N{EN DASH}700 nm, 29 bands."


def test_uneven_bands_keep_their_numbers(viewer: napari.Viewer, qtbot: QtBot) -> None:
    nm = np.cumsum([400, *range(5, 35)])
    add_cube(viewer, TRUTH[3:], wavelengths=nm[3:])
    estimate = add_estimate(viewer, wavelengths=nm)
    dock = open_dock(viewer)
    run(dock, qtbot)
    stack = dock.maps.all()[0]
    assert stack.axis_labels[0] == estimate.axis_labels[0] == "band"
    assert (stack.data.shape[0], stack.translate[0]) == (28, 3)


def test_what_is_left_out_is_told(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = TRUTH.copy()
    truth[:, 12:, 16:] = 0.001
    clipped = np.zeros(SHAPE[1:], dtype=bool)
    clipped[:, 0] = True
    add_cube(viewer, truth)
    add_estimate(viewer, clipped=clipped)
    dock = open_dock(viewer)
    run(dock, qtbot)
    expected = "28.1\xa0% left out: 25.0\xa0% below the floor 0.01, 3.1\xa0% clipped."
    assert dock.panel.facts.text().endswith(expected)
    stack, mean = dock.maps.all()
    assert np.isnan(stack.data[:, :, 0]).all()
    assert np.isnan(mean.data[12:, 16:]).all()
    assert map_facts(mean)["left_out_share"] == pytest.approx(0.28125)  # type: ignore[index]


def colours_of(viewer: napari.Viewer, layer: Image, *pixels: tuple[int, int]) -> list[list[int]]:
    """What a screenshot of the canvas shows of pixels."""
    shot = viewer.screenshot(canvas_only=True, flash=False)
    places = [on_canvas(viewer, layer, *pixel) for pixel in pixels]
    return [[int(value) for value in shot[place.y(), place.x(), :3]] for place in places]


@pytest.mark.parametrize(("metric", "gray"), [("relative", 217), ("absolute", 217), ("difference", 128)])
def test_what_is_left_out_is_gray(make_napari_viewer: MakeViewer, qtbot: QtBot, metric: str, gray: int) -> None:
    viewer = make_napari_viewer(show=True)
    clipped = np.zeros(SHAPE[1:], dtype=bool)
    clipped[:, :16] = True
    truth = add_cube(viewer, dask.array.from_array(np.full(SHAPE, 0.5, np.float32), chunks=(1, -1, -1)))
    add_estimate(viewer, values=truth.data * 0.999, clipped=clipped)
    dock = open_dock(viewer)
    dock.panel.metric_choice.value = metric
    dock.panel.scale.preset.value = "fixed"
    run(dock, qtbot)
    viewer.reset_view()
    for stack_is_seen, layer in zip((True, False), dock.maps.all(), strict=True):
        dock.panel.kind.value = BANDS if stack_is_seen else MEAN
        left_out, no_error = colours_of(viewer, layer, (18, 8), (18, 24))
        assert left_out == [gray] * 3
        assert max(abs(value - gray) for value in no_error) > 60, no_error
        assert layer.thumbnail[16, 8].tolist() == [gray, gray, gray, 255]


def test_the_canvas_says_how_much_is_gray(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = TRUTH.copy()
    truth[:20, 12:, 16:] = 0.001
    truth[:, :12, 16:] = 0.001
    add_cube(viewer, truth)
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    said = viewer.canvas.overlays[GRAY]
    qtbot.waitUntil(lambda: said.visible)
    assert said.text == "gray: 41.1\xa0% left out"
    dock.panel.kind.value = MEAN
    qtbot.waitUntil(lambda: said.text == "gray: 25.0\xa0% left out")
    dock.maps.all()[1].visible = False
    qtbot.waitUntil(lambda: not said.visible)
    dock.maps.all()[0].visible = True
    qtbot.waitUntil(lambda: said.visible)
    choose(dock, "absolute", qtbot)
    qtbot.waitUntil(lambda: not said.visible)
    choose(dock, "relative", qtbot)
    qtbot.waitUntil(lambda: said.visible)
    viewer.window.remove_dock_widget(dock.parent())
    assert not said.visible


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        ("absolute", ["absolute error by band", "RMSE"]),
        ("difference", ["difference by band", "mean difference"]),
        ("sam", ["SAM"]),
    ],
)
def test_another_metric_replaces_the_maps(mapped: ErrorMap, qtbot: QtBot, metric: str, names: list[str]) -> None:
    stack, mean = mapped.maps.all()
    choose(mapped, metric, qtbot)
    made = [layer for layer in mapped.maps.all() if map_facts(layer)["metric"] == metric]  # type: ignore[index]
    assert [layer.name for layer in made] == [f"{name}: scene (photo estimate)" for name in names]
    assert made == ([mean] if metric == "sam" else [stack, mean])
    assert mapped.maps.all()[-1] is mean
    kind = {"absolute": "rmse", "difference": None, "sam": "sam"}[metric]
    expected = nd.error_map(TRUTH, guess("photo"), kind) if kind else (guess("photo") - TRUTH).mean(axis=0)
    np.testing.assert_allclose(mean.data, expected, rtol=1e-3, atol=1e-5)
    assert not mapped.panel.floor.isEnabled()
    assert [layer.visible for layer in (stack, mean)] == ([False, True] if metric == "sam" else [True, False])
    choose(mapped, "relative", qtbot)
    assert mapped.maps.all() == [stack, mean]
    assert {map_facts(layer)["metric"] for layer in mapped.maps.all()} == {"relative"}  # type: ignore[index]
    assert mapped.panel.floor.isEnabled()
    assert [layer.visible for layer in (stack, mean)] == [True, False]


def test_another_floor_replaces_the_data_in_place(mapped: ErrorMap, qtbot: QtBot) -> None:
    before = mapped.maps.all()
    mapped.panel.floor.setValue(0.2)
    settled(mapped, qtbot)
    assert mapped.maps.all() == before
    assert before[1].name == "MRAE@0.2: scene (photo estimate)"
    np.testing.assert_allclose(before[0].data, error_cube(TRUTH, guess("photo"), "relative", 0.2), rtol=1e-5)
    assert headings(mapped)[1] == "MRAE@0.2"
    run(mapped, qtbot)
    assert mapped.maps.all() == before


def test_a_floor_that_nothing_reaches_is_refused_and_the_maps_stay(mapped: ErrorMap, qtbot: QtBot) -> None:
    mapped.panel.floor.setValue(2)
    settled(mapped, qtbot)
    assert "reaches the floor of 2" in mapped.panel.status.text()
    assert mapped.maps.all()[1].name == "MRAE@0.01: scene (photo estimate)"
    assert headings(mapped)[1] == "MRAE@0.01"


def test_another_truth_of_a_mapped_estimate_maps_it_anew(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> None:
    other = add_cube(viewer, TRUTH[:, ::-1].copy(), "other")
    mapped.choice.truth.value = other
    settled(mapped, qtbot)
    assert len(mapped.maps.all()) == 2
    assert map_facts(mapped.maps.all()[0])["truth"] == "other"  # type: ignore[index]


def test_a_truth_with_other_bands_is_mapped_in_the_same_layers(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> None:
    before = mapped.maps.all()
    mapped.choice.truth.value = add_cube(viewer, TRUTH[5:20], "part", wavelengths=WAVELENGTHS[5:20])
    settled(mapped, qtbot)
    assert mapped.maps.all() == before
    assert before[0].data.shape == (15, 24, 32)
    assert before[0].translate.tolist() == [450, 0, 0]


def test_new_values_of_an_estimate_are_mapped_again(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> None:
    estimate = mapped.estimate
    estimate.data[:] = TRUTH
    estimate.data = estimate.data
    settled(mapped, qtbot)
    assert [layer.data.max() for layer in mapped.maps.all(estimate)] == [0, 0]


def test_lazy_cubes_are_mapped_too(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer, dask.array.from_array(TRUTH, chunks=(1, 24, 32)))
    add_cube(viewer, dask.array.from_array(guess("photo"), chunks=(31, 8, 8)), "scene (photo estimate)", model="photo")
    dock = open_dock(viewer)
    run(dock, qtbot)
    np.testing.assert_allclose(dock.maps.all()[0].data, error_cube(TRUTH, guess("photo"), "relative", 0.01), rtol=1e-5)
    assert table(dock)[0][1] == f"{nd.mrae(TRUTH, guess('photo'), 0.01):.4f}"


def test_another_quantity_is_told_once_in_the_dock(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer, quantity="radiance")
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    assert dock.panel.notice.text() == "One cube holds reflectance, the other radiance: they are not comparable as they stand."


def test_values_that_are_no_numbers_are_refused_in_a_sentence(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer, np.where(TRUTH > 0.9, np.nan, TRUTH))
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    assert "values that are NaN or infinite" in dock.panel.status.text()
    assert dock.maps.all() == []


def test_cancelling_ends_the_work_and_adds_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer)
    add_estimate(viewer)
    dock = open_dock(viewer)
    dock.panel.button.click()
    assert dock.panel.button.text() == "Cancel"
    assert not dock.panel.progress.isHidden()
    dock.panel.button.click()
    settled(dock, qtbot)
    assert dock.maps.all() == []
    assert dock.panel.status.text() == "Cancelled."
    assert dock.panel.progress.isHidden()
    run(dock, qtbot)
    assert len(dock.maps.all()) == 2


# Several estimates


@pytest.fixture
def two(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> ErrorMap:
    """A dock that has mapped two estimates, the second now chosen."""
    add_estimate(viewer, "polynomial")
    run(mapped, qtbot)
    return mapped


def test_maps_of_two_estimates_share_one_colour_scale(two: ErrorMap) -> None:
    maps = two.maps.all()
    assert len(maps) == 4
    top = percentile([layer.data for layer in maps if layer.ndim == 3])
    assert all(layer.contrast_limits == pytest.approx([0, top]) for layer in maps)
    maps[1].contrast_limits = (0, 0.7)
    maps[2].gamma = 0.5
    maps[3].colormap = "viridis"
    assert {(tuple(layer.contrast_limits), layer.gamma, layer.colormap.name) for layer in maps} == {
        ((0, 0.7), 0.5, "viridis, gaps gray")
    }
    assert (two.panel.scale.preset.value, two.panel.scale.top.value()) == ("fixed", 0.7)


def test_presets_of_the_colour_scale(two: ErrorMap, qtbot: QtBot) -> None:
    scale, maps = two.panel.scale, two.maps.all()
    scale.preset.value = "unit"
    assert all(layer.contrast_limits == [0, 1] for layer in maps)
    scale.preset.value = "fixed"
    scale.top.setValue(0.3)
    assert all(layer.contrast_limits == [0, 0.3] for layer in maps)
    choose(two, "difference", qtbot)
    assert "unit" not in scale.preset.choices
    assert all(layer.contrast_limits == [-0.3, 0.3] for layer in maps)
    assert {layer.colormap.name for layer in maps} == {"coolwarm, gaps gray"}
    scale.preset.value = "percentile"
    low, high = maps[0].contrast_limits
    assert (low, high) == (-high, pytest.approx(percentile([layer.data for layer in maps if layer.ndim == 3]), abs=1e-4))


def test_only_the_chosen_estimate_is_seen_and_one_colour_bar(two: ErrorMap, viewer: napari.Viewer, qtbot: QtBot) -> None:
    maps = two.maps.all()
    assert [layer.visible for layer in maps] == [False, False, True, False]
    qtbot.waitUntil(lambda: [layer.colorbar.visible for layer in maps] == [False, False, True, False])
    two.choice.choose(viewer.layers["scene (photo estimate)"])
    assert [layer.visible for layer in maps] == [True, False, False, False]
    qtbot.waitUntil(lambda: [layer.colorbar.visible for layer in maps] == [True, False, False, False])
    maps[0].colorbar.visible = False
    two.panel.kind.value = MEAN
    qtbot.wait(20)
    assert not any(layer.colorbar.visible for layer in maps)


def test_in_the_grid_all_maps_of_a_kind_are_seen(two: ErrorMap, viewer: napari.Viewer) -> None:
    viewer.canvas.grid.enabled = True
    two.panel.kind.value = MEAN
    assert [layer.visible for layer in two.maps.all()] == [False, True, False, True]
    viewer.canvas.grid.enabled = False
    assert [layer.visible for layer in two.maps.all()] == [False, False, False, True]


def test_curves_and_scores_of_both_are_shown(two: ErrorMap) -> None:
    curves = [line for line in two.panel.plot.axes.lines if len(line.get_xdata()) == 31]
    assert len({line.get_color() for line in curves}) == 2
    assert "photo" in two.panel.legend.text()
    assert "polynomial" in two.panel.legend.text()
    assert headings(two) == ["Where", "MRAE@0.01", "RMSE", "SAM"]
    assert table(two) == [
        [
            "image",
            f"{nd.mrae(TRUTH, guess(model), 0.01):.4f}",
            f"{nd.rmse(TRUTH, guess(model)):.4f}",
            f"{nd.sam(TRUTH, guess(model)):.2f}°",
        ]
        for model in ("photo", "polynomial")
    ]


def test_a_removed_estimate_takes_its_curve_along(two: ErrorMap, viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.layers.remove("scene (photo estimate)")
    assert len(table(two)) == 1
    assert two.estimates == [viewer.layers["scene (polynomial estimate)"]]
    choose(two, "absolute", qtbot)
    assert [map_facts(layer)["metric"] for layer in two.maps.all()] == ["relative"] * 2 + ["absolute"] * 2  # type: ignore[index]
    two.maps.all()[0].contrast_limits = (0, 0.123)
    assert two.maps.all()[2].contrast_limits[1] != 0.123


def test_removed_maps_are_forgotten(two: ErrorMap, viewer: napari.Viewer, qtbot: QtBot) -> None:
    for layer in two.maps.all()[:2]:
        viewer.layers.remove(layer)
    assert len(table(two)) == 1
    choose(two, "absolute", qtbot)
    assert len(two.maps.all()) == 2


def test_a_new_name_is_followed(two: ErrorMap, viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.layers["scene (photo estimate)"].name = "mine"
    viewer.layers["scene"].name = "measured"
    assert [layer.name for layer in two.maps.all()[:2]] == ["relative error (floor 0.01) by band: mine", "MRAE@0.01: mine"]
    assert map_facts(two.maps.all()[3])["truth"] == "measured"  # type: ignore[index]
    two.panel.floor.setValue(0.1)
    settled(two, qtbot)
    assert len(two.maps.all()) == 4
    assert two.maps.all()[1].name == "MRAE@0.1: mine"


def test_a_name_given_to_a_map_stays(mapped: ErrorMap, qtbot: QtBot) -> None:
    mapped.maps.all()[1].name = "for the talk"
    choose(mapped, "absolute", qtbot)
    assert [layer.name for layer in mapped.maps.all()] == ["absolute error by band: scene (photo estimate)", "for the talk"]


# Beside the maps


def test_regions_get_rows_and_are_followed(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> None:
    rectangle = np.array([[-0.5, -0.5], [-0.5, 7.5], [3.5, 7.5], [3.5, -0.5]])
    shapes = Shapes([rectangle], shape_type="rectangle", name="areas")
    viewer.add_layer(shapes)
    mapped.panel.regions.value = shapes
    settled(mapped, qtbot)
    part = TRUTH[:, :4, :8], guess("photo")[:, :4, :8]
    assert [row[0] for row in table(mapped)] == ["image", "region 1"]
    assert table(mapped)[1][1:3] == [f"{nd.mrae(*part, 0.01):.4f}", f"{nd.rmse(*part):.4f}"]
    shapes.add_rectangles(rectangle + 500)
    settled(mapped, qtbot)
    assert table(mapped)[2][1:] == ["\N{EN DASH}"] * 3
    assert "holds the centre of no pixel" in mapped.panel.table.item(2, 0).toolTip()
    viewer.layers.remove(shapes)
    settled(mapped, qtbot)
    assert [row[0] for row in table(mapped)] == ["image"]


def test_a_click_on_a_worst_pixel_flies_there_and_tells(viewer: napari.Viewer, mapped: ErrorMap, qtbot: QtBot) -> None:
    mean = mapped.maps.all()[1].data
    worst = mapped.worst
    assert worst.rowCount() == 20
    y, x = np.unravel_index(np.argmax(mean), mean.shape)
    assert [worst.item(0, column).text() for column in range(3)] == [str(y), str(x), f"{mean.max():.4g}"]
    mapped.tabs.setCurrentIndex(1)
    with qtbot.waitSignal(mapped.pixel_chosen) as told:
        worst.cellClicked.emit(0, 1)
    assert told.args == [viewer.layers["scene"], y, x]
    assert viewer.scene.camera.center[-2:] == pytest.approx((y, x))


def test_a_worst_pixel_is_picked_in_spectrum_and_the_table_stays(make_napari_viewer: MakeViewer, qtbot: QtBot) -> None:
    viewer = make_napari_viewer(show=True)
    add_cube(viewer)
    add_estimate(viewer)
    dock = show_dock(ErrorMap, viewer)
    run(dock, qtbot)
    dock.tabs.setCurrentIndex(1)
    dock.worst.cellClicked.emit(0, 1)
    assert len(viewer.window.dock_widgets) == 1
    spectrum = show_dock(Spectrum, viewer)
    dock.parent().raise_()
    qtbot.waitUntil(lambda: spectrum.visibleRegion().isEmpty() and not dock.worst.visibleRegion().isEmpty())
    cell = dock.worst.visualItemRect(dock.worst.item(1, 0)).center()
    for _ in range(2):
        qtbot.mouseClick(dock.worst.viewport(), Qt.MouseButton.LeftButton, pos=cell)
        qtbot.wait(20)
    (pick,) = spectrum.places.picks.all()
    assert [str(pick.y), str(pick.x)] == [dock.worst.item(1, column).text() for column in (0, 1)]
    assert spectrum.visibleRegion().isEmpty()
    assert not dock.worst.visibleRegion().isEmpty()
    assert dock.worst.currentRow() == 1


def test_a_colour_bar_is_seen_as_long_as_its_map(make_napari_viewer: MakeViewer, qtbot: QtBot) -> None:
    viewer = make_napari_viewer(show=True)
    truth, estimate = (
        add_cube(viewer, np.zeros(SHAPE) + 0.5),
        add_cube(viewer, guess("photo") * 0 + 0.4, "guess", model="photo"),
    )
    dock = open_dock(viewer)
    run(dock, qtbot)
    for layer in (truth, estimate):
        layer.visible = False
    viewer.canvas.overlays.current_slice.visible = False
    stack, mean = dock.maps.all()

    def bars() -> int:
        """How many bars are painted: the corner that they are in is empty otherwise."""
        viewer.scene.camera.zoom = 1
        corner = viewer.screenshot(canvas_only=True, flash=False)[:260, -140:, :3].astype(int)
        columns = (corner.max(axis=(0, 2)) > corner.min()).nonzero()[0]
        return 0 if columns.size == 0 else 1 if columns.size < 100 else 2

    qtbot.waitUntil(lambda: bars() == 1)
    stack.visible = False
    qtbot.waitUntil(lambda: bars() == 0)
    stack.visible = True
    qtbot.waitUntil(lambda: bars() == 1)
    stack.visible = False
    mean.visible = True
    qtbot.waitUntil(lambda: bars() == 1 and mean.colorbar.visible)
    values, properties, _ = map_to_layer_data(
        xr.DataArray(np.ones(SHAPE[1:]), dims=("y", "x"), name="residual"), truth, name="residual", facts={}
    )
    show_map(viewer, values, properties)
    qtbot.waitUntil(lambda: bars() == 1)
    assert not mean.visible
    dock.panel.kind.value = MEAN
    assert [layer.name for layer in viewer.layers if layer.visible] == [mean.name]
    qtbot.waitUntil(lambda: bars() == 1)
    viewer.layers.remove(mean)
    qtbot.waitUntil(lambda: bars() == 0)


def test_the_plot_and_the_slider_follow_each_other(make_napari_viewer: MakeViewer, qtbot: QtBot) -> None:
    viewer = make_napari_viewer(show=True)
    add_cube(viewer)
    add_estimate(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    plot = dock.panel.plot
    qtbot.waitUntil(lambda: not plot._settling.isActive())
    plot.wavelength_clicked.emit(612.0)
    assert viewer.dims.point[0] == 610
    there = plot.grab().toImage()
    viewer.dims.set_point(0, 450)
    qtbot.waitUntil(lambda: plot.grab().toImage() != there)
    viewer.dims.ndisplay = 3
    plot.wavelength_clicked.emit(610.0)
    assert viewer.dims.point[0] == 610
    qtbot.waitUntil(lambda: plot.grab().toImage() == there)
    viewer.theme = "light"
    qtbot.waitUntil(lambda: plot.grab().toImage() != there)


# Closing and reopening


def callbacks(viewer: napari.Viewer) -> list[int]:
    events = viewer.layers.events
    emitters = [
        events.inserted,
        events.removed,
        events.reordered,
        events.renamed,
        viewer.dims.events.point,
        viewer.events.theme,
    ]
    for layer in viewer.layers:
        if isinstance(layer, Image):
            emitters += [
                layer.events.data,
                layer.events.contrast_limits,
                layer.events.visible,
                layer.events.gamma,
                layer.events.colormap,
            ]
    return [len(emitter.callbacks) for emitter in emitters]


def test_a_closed_dock_leaves_its_maps_and_no_callback(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer)
    add_estimate(viewer, "photo")
    before = callbacks(viewer)
    dock = open_dock(viewer)
    run(dock, qtbot)
    dock.panel.regions.value = None
    maps = dock.maps.all()
    viewer.window.remove_dock_widget(dock)
    assert callbacks(viewer)[: len(before)] == before
    assert [layer in viewer.layers for layer in maps] == [True, True]
    maps[0].contrast_limits = (0, 0.5)
    assert maps[1].contrast_limits != [0, 0.5]
    dock.deleteLater()


def test_closing_during_the_work_ends_it(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_cube(viewer)
    add_estimate(viewer)
    dock = open_dock(viewer)
    dock.panel.button.click()
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not dock.running, timeout=30_000)
    assert len(viewer.layers) == 2
    dock.deleteLater()


def test_a_reopened_dock_finds_its_maps_and_links_them_again(two: ErrorMap, viewer: napari.Viewer, qtbot: QtBot) -> None:
    maps = two.maps.all()
    two.panel.scale.preset.value = "fixed"
    two.panel.scale.top.setValue(0.25)
    two.panel.floor.setValue(0.1)
    settled(two, qtbot)
    viewer.window.remove_dock_widget(two)
    two.deleteLater()
    dock = open_dock(viewer)
    settled(dock, qtbot)
    assert dock.maps.all() == maps
    assert dock.panel.floor.value() == 0.1
    assert len(table(dock)) == 2
    assert all(layer.contrast_limits == [0, 0.25] for layer in maps)
    maps[0].contrast_limits = (0, 0.5)
    assert all(layer.contrast_limits == [0, 0.5] for layer in maps)


def test_the_choosers_alone_offer_every_cube_estimates_first(viewer: napari.Viewer) -> None:
    scene, estimate = add_cube(viewer), add_estimate(viewer)
    choice = PairChoice(viewer, lambda _: None)
    assert choice.estimate.choices == (None, estimate, scene)
    assert choice.truth.choices == (None, scene, estimate)
    viewer.layers.clear()
    choice.refresh()
    assert choice.pair == (None, None)
    choice.deleteLater()
