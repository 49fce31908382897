"""Picked pixels and regions computed again in float32, in a real viewer with a real network."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.layers import Image
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.io import read_cube, write_cube
from napari_drcr.system.devices import precisions
from napari_drcr.widgets.spectrum import Spectrum
from napari_drcr.widgets.spectrum.refine import ALREADY, NO_ESTIMATE, NOTHING_PICKED, OUTSIDE
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, layer_to_cube
from napari_drcr.widgets.viewer.passes import pass_of_layer
from viewer_tools import open_widget, run

HALF = pytest.mark.skipif("bf16" not in precisions("cpu"), reason="this processor has no bf16")
RGB = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
REGION = [(9.7, 20.2), (9.7, 30.1), (15.3, 30.1), (15.3, 20.2)]


@pytest.fixture
def viewer(shown_viewer: napari.Viewer) -> napari.Viewer:
    notification_manager.records.clear()
    return shown_viewer


def reconstruct_in(viewer: napari.Viewer, rgb: np.ndarray, qtbot: QtBot) -> Image:
    viewer.add_image(rgb, rgb=True)
    widget = open_widget(viewer, "photo-drcr")
    qtbot.waitUntil(lambda: len(widget.device.choices) > 1, timeout=30_000)
    widget.device.value, widget.precision.value = "cpu", "bf16"
    run(widget, qtbot)
    return viewer.layers[-1]


def open_spectrum(viewer: napari.Viewer) -> Spectrum:
    _, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Spectrum")
    QApplication.processEvents()
    return widget


def refined(layer: Image) -> list[Any]:
    return [
        (tuple(entry["box"]), entry["precision"], entry["statistics"]) for entry in layer.metadata["napari_drcr"]["refined"]
    ]


@HALF
def test_a_pick_and_a_region_become_those_of_a_float32_cube(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = reconstruct_in(viewer, RGB, qtbot)
    viewer.layers.pop(0)
    widget = open_spectrum(viewer)
    widget.refine.click()
    assert widget.status.text().startswith(NOTHING_PICKED)
    widget.pick(layer, -1, 8)
    widget.refine.click()
    assert widget.status.text().startswith(OUTSIDE)
    widget.pick(layer, 7, 8)
    shapes = viewer.add_shapes([REGION], shape_type="polygon")
    widget.places.shapes.value = shapes
    qtbot.waitUntil(lambda: len(widget.drawing.curves) == 2)
    rough = layer.data.copy()
    exact = reconstruct(RGB, "photo-drcr", precision="fp32").values
    largest = np.abs(exact).max()
    told: list[tuple[list[Any], float, str]] = []

    def note(_event: Any) -> None:
        told.append((refined(layer), np.abs(layer.data[:, 7, 8] - exact[:, 7, 8]).max() / largest, widget.refine.said))

    layer.events.data.connect(note)
    widget.refine.changed.connect(lambda: told and told.append((*told.pop()[:2], widget.refine.said)))
    widget.refine.click()
    assert widget.refine.text() == "Cancel"
    qtbot.waitUntil(lambda: not widget.refine.running, timeout=60_000)
    boxes = [(7, 8, 8, 9), (10, 21, 16, 31)]
    (before, far, first), (after, near, last) = told
    assert before == [(box, "fp32", "bf16") for box in boxes]
    assert after == refined(layer) == [(box, "fp32", "fp32") for box in boxes]
    assert near <= 1e-5 < far
    assert "with the image statistics of the bf16 pass, not exact" in first
    assert "with the image statistics of a float32 pass, exact but for rounding" in last
    changed = (layer.data != rough).any(axis=0)
    assert changed[7, 8]
    changed[7, 8] = changed[10:16, 21:31] = False
    assert not changed.any()
    np.testing.assert_allclose(layer.data[:, 10:16, 21:31], exact[:, 10:16, 21:31], atol=1e-5 * largest)
    np.testing.assert_array_equal(widget.drawing.curves[0].values, layer.data[:, 7, 8])
    assert widget.status.text().startswith(widget.refine.said)
    assert widget.refine.progress.isHidden()
    assert layer_to_cube(layer).attrs["refined"][0]["statistics"] == "fp32"
    # Another place says no longer what was refined before; a whole region covers what lies in it.
    widget.refine.click()
    assert widget.status.text().startswith(ALREADY)
    shapes.data = [np.array([(-5, -5), (-5, 60), (60, 60), (60, -5)])]
    qtbot.waitUntil(lambda: widget.refine.said == "")
    widget.refine.click()
    qtbot.waitUntil(lambda: not widget.refine.running, timeout=60_000)
    assert refined(layer) == [((0, 0, 40, 50), "fp32", "fp32")]
    np.testing.assert_allclose(layer.data, exact, atol=1e-5 * largest)
    assert notification_manager.records == []
    # Other values are not those of the pass.
    shapes.data = [np.array(REGION)]
    layer.data = layer.data.copy()
    widget.refine.click()
    assert "reconstruct it again to refine it" in widget.status.text()


@HALF
def test_cancelling_leaves_what_is_not_exact_and_says_so(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = reconstruct_in(viewer, np.tile(RGB, (8, 6, 1)), qtbot)
    widget = open_spectrum(viewer)
    widget.pick(layer, 100, 100)
    qtbot.waitUntil(lambda: len(widget.drawing.curves) == 1)
    widget.refine.click()
    qtbot.waitUntil(lambda: "is running" in widget.status.text(), timeout=60_000)
    widget.refine.click()
    assert not widget.refine.isEnabled()
    qtbot.waitUntil(lambda: not widget.refine.running, timeout=60_000)
    assert refined(layer) == [((100, 100, 101, 101), "fp32", "bf16")]
    assert widget.refine.said.startswith("Cancelled. ")
    assert widget.refine.said.endswith("with the image statistics of the bf16 pass, not exact.")
    assert widget.refine.isEnabled()
    made = weakref.ref(pass_of_layer(layer))
    # The dock closed in the midst of the next run: nothing more is written.
    widget.refine.run()
    values = layer.data.copy()
    viewer.window.remove_dock_widget(widget.parent())
    QApplication.processEvents()
    qtbot.wait(300)
    np.testing.assert_array_equal(layer.data, values)
    viewer.layers.clear()
    del layer
    widget = open_spectrum(viewer)
    qtbot.waitUntil(lambda: gc.collect() >= 0 and made() is None)


def test_what_cannot_be_refined_is_told_in_a_sentence(viewer: napari.Viewer) -> None:
    widget = open_spectrum(viewer)

    def said() -> str:
        widget.refine.click()
        assert not widget.refine.running
        return widget.refine.said

    def add(name: str, **facts: Any) -> Image:
        values, properties, _ = cube_to_layer_data(
            make_cube(np.ones((31, 8, 8), np.float32), WAVELENGTHS, name=name, attrs=facts)
        )
        return viewer.add_image(values, **properties)

    assert said() == NO_ESTIMATE
    add("truth")
    assert said() == NO_ESTIMATE
    estimate = add("linear", model="linear", precision="fp32")
    assert said() == "'linear' is in fp32 already: there is nothing to refine."
    viewer.layers.remove(estimate)
    estimate = add("mean", model="photo-drcr", precision="bf16", ensemble=True)
    assert "cannot be refined in parts: reconstruct it in fp32 instead" in said()
    viewer.layers.remove(estimate)
    add("from a file", model="photo-drcr", precision="bf16")
    assert said() == "'from a file' no longer has the pass that its values came from: reconstruct it again to refine it."


@pytest.mark.parametrize("name", ["cube.mat", "cube.nc", "cube.hdr"])
def test_files_carry_what_was_refined(tmp_path: Path, name: str) -> None:
    what = [{"box": [7, 8, 8, 9], "precision": "fp32", "statistics": "bf16"}]
    cube = make_cube(np.ones((31, 8, 9), np.float32), WAVELENGTHS, attrs={"refined": what})
    values, properties, _ = cube_to_layer_data(cube)
    write_cube(tmp_path / name, layer_to_cube(Image(values, **properties)))
    assert read_cube(tmp_path / name).attrs["refined"] == what
