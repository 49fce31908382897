"""The white patch and self-ensemble of the widget Reconstruct, in a real viewer with real clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_drcr.inference.preparation import measure_white
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.widgets.reconstruct.white_patch import HINT
from napari_drcr.widgets.viewer.layers import layer_to_cube
from napari_drcr.widgets.viewer.shape_regions import region_layers
from viewer_tools import click, drag, open_widget, run

NETWORK = Path(__file__).parent / "reference" / "official_layout_small.pth"
PLACED = {"scale": (0.5, 0.25), "translate": (30, 40), "units": ("um", "um")}


@pytest.fixture
def viewer(shown_viewer: napari.Viewer) -> napari.Viewer:
    notification_manager.records.clear()
    return shown_viewer


def random_rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(60, 250, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize("placed", [{}, PLACED], ids=["in pixels", "scaled and moved"])
@pytest.mark.parametrize("stack", [False, True], ids=["alone", "beside a stack"])
def test_a_click_takes_the_box_around_it(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any], stack: bool) -> None:
    rgb = random_rgb()
    widget = open_widget(viewer)
    if stack:
        viewer.add_image(np.zeros((5, 4, 4)), visible=False, units=("pixel", *placed.get("units", ("pixel", "pixel"))))
    layer = viewer.add_image(rgb, rgb=True, name="photo", **placed)
    viewer.reset_view()
    patch = widget.white_patch
    patch.button.click()
    assert patch.status.text() == HINT
    click(viewer, layer, 20, 30, qtbot)
    gains = measure_white(rgb, (16, 26, 25, 35))
    assert patch.box == (16, 26, 25, 35)
    assert patch.status.text() == "Rows 16-24, columns 26-34; gains {:.2f} red, {:.2f} green, {:.2f} blue.".format(*gains)
    assert not patch.button.isChecked()
    outline = viewer.layers["photo (white patch)"]
    np.testing.assert_allclose(outline.data[0], [(15.5, 25.5), (15.5, 34.5), (24.5, 34.5), (24.5, 25.5)])
    np.testing.assert_allclose(outline.data_to_world((1, 2)), layer.data_to_world((1, 2)))
    assert widget.layer.value is layer
    assert viewer.layers.selection.active is layer
    run(widget, qtbot)
    made, above = viewer.layers[-2:]
    assert made.name == "photo (linear estimate)"
    assert above is outline
    assert made.metadata["napari_drcr"]["white"] == [16, 26, 25, 35]
    np.testing.assert_allclose(made.data, reconstruct(rgb, "linear", white=(16, 26, 25, 35)), atol=1e-6)
    assert patch.box == (16, 26, 25, 35)


def test_at_the_border_the_box_is_smaller(viewer: napari.Viewer) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    patch = open_widget(viewer).white_patch
    patch.take((0, 59))
    assert patch.box == (0, 55, 5, 60)


def test_the_patch_of_a_series_is_that_of_the_image_on_the_canvas(viewer: napari.Viewer) -> None:
    first, second = random_rgb(), 255 - random_rgb()
    viewer.add_image(dask.array.from_array(np.stack([first, second])), rgb=True)
    patch = open_widget(viewer).white_patch
    said = []
    for number, image in enumerate((first, second)):
        viewer.dims.set_point(0, number)
        patch.take((number, 20, 59))
        gains = measure_white(image, (16, 55, 25, 60))
        said.append("gains {:.2f} red, {:.2f} green, {:.2f} blue".format(*gains))
        assert said[-1] in patch.status.text()
    assert said[0] != said[1]


def test_a_click_outside_says_so_and_another_is_waited_for(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = viewer.add_image(random_rgb(), rgb=True, name="photo")
    patch = open_widget(viewer).white_patch
    viewer.scene.camera.zoom /= 2
    patch.button.click()
    click(viewer, layer, -5, 30, qtbot)
    assert patch.status.text() == "That is outside the image 'photo'; click inside it."
    assert patch.box is None
    assert patch.button.isChecked()
    click(viewer, layer, 5, 30, qtbot)
    assert patch.box is not None


def test_a_drag_takes_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = viewer.add_image(random_rgb(), rgb=True)
    patch = open_widget(viewer).white_patch
    patch.button.click()
    drag(viewer, layer, (10, 10), (30, 40), qtbot)
    assert patch.box is None
    assert patch.button.isChecked()


def test_3d_view_is_refused(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(np.zeros((5, 40, 60)))
    layer = viewer.add_image(random_rgb(), rgb=True)
    patch = open_widget(viewer).white_patch
    viewer.dims.ndisplay = 3
    patch.button.click()
    click(viewer, layer, 20, 30, qtbot)
    assert "flat view" in patch.status.text()


def test_unfit_patches_say_why_and_take_nothing(viewer: napari.Viewer) -> None:
    rgb = random_rgb()
    rgb[:20] = 255
    rgb[20:] = 3
    viewer.add_image(rgb, rgb=True)
    patch = open_widget(viewer).white_patch
    patch.take((10, 10))
    assert "100% of the white patch's pixels are clipped" in patch.status.text()
    patch.take((30, 30))
    assert "too dark" in patch.status.text()
    assert patch.box is None
    assert len(viewer.layers) == 1
    assert not patch.clear_button.isEnabled()


def test_it_can_be_cleared_in_three_ways(viewer: napari.Viewer, qtbot: QtBot) -> None:
    first = viewer.add_image(random_rgb(), rgb=True)
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer)
    widget.layer.value = first
    patch = widget.white_patch
    for clear in (
        patch.clear_button.click,
        lambda: viewer.layers.remove(viewer.layers[-1]),
        lambda: setattr(widget.layer, "value", viewer.layers[1]),
    ):
        patch.take((20, 30))
        assert patch.box is not None
        assert [layer.visible for layer in viewer.layers] == [True, True, True]
        clear()
        assert patch.box is None
        assert patch.status.text() == ""
        assert not any(layer.visible for layer in viewer.layers[2:])
        assert not patch.clear_button.isEnabled()


def test_the_next_patch_takes_the_hidden_outline(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True, name="photo")
    dock, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")
    widget.white_patch.take((20, 30))
    outline = viewer.layers[-1]
    viewer.window.remove_dock_widget(dock)
    assert not outline.visible
    second = viewer.add_image(random_rgb()[:30], rgb=True, name="second", **PLACED)
    widget = open_widget(viewer)
    assert outline not in widget.layer.choices
    widget.layer.value = second
    widget.white_patch.take(second.data_to_world((10, 12)))
    assert [layer.name for layer in viewer.layers] == ["photo", "second", "second (white patch)"]
    assert viewer.layers[-1] is outline
    assert outline.visible
    np.testing.assert_allclose(outline.data, [[(5.5, 7.5), (5.5, 16.5), (14.5, 16.5), (14.5, 7.5)]])
    np.testing.assert_allclose(outline.data_to_world((1, 2)), second.data_to_world((1, 2)))
    assert viewer.layers.selection.active is second
    assert region_layers(viewer) == []


def test_removing_the_image_clears_it(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = viewer.add_image(random_rgb(), rgb=True)
    patch = open_widget(viewer).white_patch
    patch.take((20, 30))
    viewer.layers.remove(layer)
    assert patch.box is None
    assert [layer.visible for layer in viewer.layers] == [False]


def test_another_encoding_gives_other_gains(viewer: napari.Viewer) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer)
    widget.white_patch.take((20, 30))
    said = widget.white_patch.status.text()
    widget.encoding.value = "linear"
    assert widget.white_patch.status.text().split(";")[0] == said.split(";")[0]
    assert widget.white_patch.status.text() != said


def test_models_it_makes_no_sense_for_refuse_it(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer, NETWORK)
    widget.white_patch.take((20, 30))
    run(widget, qtbot)
    assert "divides each image by its own maximum" in widget.status.text()


def test_nothing_listens_after_release_or_closing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    removed = viewer.layers.events.removed
    before = len(viewer.mouse_drag_callbacks), len(removed.callbacks)
    viewer.add_image(random_rgb(), rgb=True)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")
    patch = widget.white_patch
    patch.button.click()
    assert len(viewer.mouse_drag_callbacks) == before[0] + 1
    patch.button.click()
    assert len(viewer.mouse_drag_callbacks) == before[0]
    assert patch.status.text() == ""
    patch.button.click()
    qtbot.waitUntil(patch.isVisible)
    dock.hide()
    assert not patch.button.isChecked()
    dock.show()
    patch.take((20, 30))
    patch.button.click()
    viewer.window.remove_dock_widget(dock)
    assert (len(viewer.mouse_drag_callbacks), len(removed.callbacks)) == before
    assert [layer.visible for layer in viewer.layers] == [True, False]
    widget.deleteLater()


def test_self_ensemble_adds_its_disagreement_as_a_layer(viewer: napari.Viewer, qtbot: QtBot) -> None:
    rgb = random_rgb()
    source = viewer.add_image(rgb, rgb=True, name="photo", **PLACED)
    widget = open_widget(viewer, NETWORK)
    widget.ensemble.value = True
    run(widget, qtbot)
    expected = reconstruct(rgb, NETWORK, encoding="linear", ensemble=True)
    cube, layer = viewer.layers[1:]
    np.testing.assert_allclose(cube.data, expected, atol=1e-5)
    assert layer.name == "photo (official_layout_small flip disagreement)"
    np.testing.assert_allclose(layer.data, expected["flip_disagreement"], rtol=1e-3)
    assert layer.ndim == 2
    assert layer.scale.tolist() == source.scale.tolist()
    assert layer.translate.tolist() == source.translate.tolist()
    assert layer.units == source.units
    assert layer.contrast_limits[0] == 0
    assert layer.data.mean() < layer.contrast_limits[1] <= layer.data.max()
    made = layer.metadata["napari_drcr"]
    assert made["ensemble"] is True
    assert made["source_layer"] == "photo"
    assert "metamers" in made["meaning"]
    assert "metamers" in widget.ensemble.tooltip
    assert f"flip disagreement {made['flip_disagreement_mean']:.1%} on average" in widget.status.text()
    np.testing.assert_array_equal(layer_to_cube(cube)["flip_disagreement"], layer.data)
    assert viewer.dims.point[0] == 550


def test_per_pixel_maps_say_so_in_place_of_a_layer(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer)
    widget.ensemble.value = True
    run(widget, qtbot)
    assert len(viewer.layers) == 2
    ((severity, message),) = [(str(note.severity), note.message) for note in notification_manager.records]
    assert severity == "info"
    assert "there is no flip disagreement" in message
