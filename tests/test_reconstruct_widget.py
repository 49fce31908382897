"""The widget Reconstruct in a real viewer, with real models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array
import imagecodecs
import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import Notice
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.io import write_cube
from napari_drcr.models.store import shipped_models
from napari_drcr.system import devices
from napari_drcr.widgets.reconstruct.reconstruct import OPEN_ONE
from napari_drcr.widgets.viewer.background import threads
from viewer_tools import open_widget, run

NETWORK = Path(__file__).parent / "reference" / "official_layout_small.pth"
MakeViewer = Callable[..., napari.Viewer]


@pytest.fixture
def viewer(make_napari_viewer: MakeViewer) -> napari.Viewer:
    notification_manager.records.clear()
    return make_napari_viewer()


def random_rgb(height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, channels), dtype=np.uint8)


def notifications() -> list[tuple[str, str]]:
    return [(str(note.severity), note.message) for note in notification_manager.records]


def test_empty_viewer_says_what_to_do(viewer: napari.Viewer) -> None:
    widget = open_widget(viewer)
    assert not widget.button.isEnabled()
    assert widget.status.text() == widget.button.toolTip() == f"There is no RGB image yet. {OPEN_ONE}"
    layer = viewer.add_image(random_rgb(), rgb=True)
    assert widget.button.isEnabled()
    assert widget.status.text() == widget.button.toolTip() == ""
    viewer.layers.remove(layer)
    assert widget.status.text() == f"There is no RGB image yet. {OPEN_ONE}"


def test_images_that_are_no_rgb_are_named_with_the_reason(viewer: napari.Viewer) -> None:
    widget = open_widget(viewer)
    viewer.add_image(np.zeros((24, 32)), name="leaf")
    expected = (
        "There is no RGB image yet: 'leaf' is grayscale (24 x 32), not an RGB image: select layers of red, green and blue, and "
        f"choose Merge to RGB in their right-click menu. {OPEN_ONE}"
    )
    assert widget.status.text() == widget.button.toolTip() == expected
    viewer.add_image(np.zeros((4, 24, 32)), name="stack")
    assert "'stack' is an array of 4 x 24 x 32, not an RGB image" in widget.status.text()
    viewer.add_image(np.zeros((3, 24, 32)), name="planes")
    assert widget.layer.native.currentText() == "planes (channels first)"
    assert widget.status.text() == widget.button.toolTip() == ""


def test_channels_may_come_first(viewer: napari.Viewer, qtbot: QtBot) -> None:
    rgb = random_rgb()
    viewer.add_image(np.moveaxis(rgb, -1, 0), name="planes")
    widget = open_widget(viewer)
    widget.white_patch.take((10, 10))
    run(widget, qtbot)
    estimate = viewer.layers["planes (linear estimate)"]
    np.testing.assert_allclose(estimate.data, reconstruct(rgb, "linear", white=widget.white_patch.box), atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2], ids=["series", "multiscale series"])
def test_the_image_of_a_series_that_the_slider_shows_is_taken(viewer: napari.Viewer, qtbot: QtBot, levels: int) -> None:
    series = np.random.default_rng(0).integers(0, 255, (4, 64, 48, 3), dtype=np.uint8)
    lazy = dask.array.from_array(series, chunks=(1, -1, -1, -1))
    viewer.add_image([lazy, series[:, ::2, ::2]] if levels > 1 else lazy, rgb=True, name="days", multiscale=levels > 1)
    widget = open_widget(viewer)
    viewer.dims.set_point(0, 2)
    run(widget, qtbot)
    estimate = viewer.layers["days [2] (linear estimate)"]
    np.testing.assert_allclose(estimate.data, reconstruct(series[2], "linear"), atol=1e-6)
    assert estimate.metadata["napari_drcr"]["source_slice"] == [2]
    assert viewer.dims.point[0] == 550
    run(widget, qtbot)
    assert widget.status.text() == "The sliders show no image of the series 'days'; move them to the one that is meant."


def test_a_multiscale_image_is_taken_at_full_resolution(viewer: napari.Viewer, qtbot: QtBot) -> None:
    rgb = random_rgb(64, 48)
    viewer.add_image([rgb, rgb[::2, ::2]], rgb=True, name="pyramid", multiscale=True)
    run(open_widget(viewer), qtbot)
    np.testing.assert_allclose(viewer.layers[-1].data, reconstruct(rgb, "linear"), atol=1e-6)


def test_only_rgb_images_are_offered_and_names_followed(viewer: napari.Viewer) -> None:
    widget = open_widget(viewer)
    viewer.add_image(np.zeros((24, 32)), name="gray")
    viewer.add_labels(np.zeros((24, 32), int))
    first = viewer.add_image(random_rgb(), rgb=True, name="first")
    second = viewer.add_image(random_rgb(), rgb=True, name="second")
    assert widget.layer.choices == (first, second)
    widget.layer.value = second
    second.name = "renamed"
    assert widget.layer.value is second
    assert widget.layer.native.currentText() == "renamed"


def test_selected_layer_is_chosen_first(viewer: napari.Viewer) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    selected = viewer.add_image(random_rgb(), rgb=True)
    viewer.layers.selection.active = selected
    assert open_widget(viewer).layer.value is selected


@pytest.mark.parametrize("model", ["linear", "polynomial", NETWORK], ids=["linear", "polynomial", "network"])
def test_estimate_is_added_as_a_cube_layer(viewer: napari.Viewer, qtbot: QtBot, model: str | Path) -> None:
    rgb = random_rgb()
    viewer.add_image(rgb, rgb=True, name="photo", scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))
    run(open_widget(viewer, model), qtbot)
    name = getattr(model, "stem", model)
    layer = viewer.layers[f"photo ({name} estimate)"]
    encoding = "linear" if model == NETWORK else "srgb"
    np.testing.assert_allclose(layer.data, reconstruct(rgb, model, encoding=encoding), atol=1e-6)
    assert layer.axis_labels == ("wavelength", "y", "x")
    assert [f"{unit:~}" for unit in layer.units] == ["nm", "µm", "µm"]
    assert layer.scale.tolist() == [10, 0.5, 0.25]
    assert layer.translate.tolist() == [400, 3, 4]
    assert layer.metadata["wavelengths"] == list(range(400, 701, 10))
    made = layer.metadata["napari_drcr"]
    assert made["model"] == name
    assert made["source_layer"] == "photo"
    assert len(made["model_sha256"]) == 64
    assert {"device", "device_name", "precision", "divisor", "white_level", "encoding", "versions"} <= set(made)
    assert viewer.dims.nsteps[0] == 31
    assert viewer.dims.point[0] == 550
    assert viewer.dims.current_step[0] == 15
    assert viewer.canvas.overlays.current_slice.visible


def test_beside_another_stack_the_slider_goes_to_the_cube(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(np.zeros((4, 24, 32)), units=("nm", "pixel", "pixel"))
    viewer.add_image(random_rgb(), rgb=True)
    run(open_widget(viewer, "linear"), qtbot)
    assert viewer.dims.point[0] == 550


def test_opened_photo_and_cube_leave_the_estimate_bright_enough_to_see(
    viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path
) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    write_cube(tmp_path / "truth.mat", make_cube(np.ones((31, 24, 32), np.float32), WAVELENGTHS))
    viewer.open(tmp_path / "truth.mat", plugin="napari-drcr")
    run(open_widget(viewer, "linear"), qtbot)
    assert viewer.dims.point[0] == 550
    viewer.dims.set_point(0, 620)
    run(open_widget(viewer, "linear"), qtbot)
    assert viewer.dims.point[0] == 620


def test_result_line_names_model_device_precision_and_time(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer, NETWORK)
    run(widget, qtbot)
    made = viewer.layers[-1].metadata["napari_drcr"]
    assert widget.status.text() == (
        f"official_layout_small on {devices.devices()['cpu'] if made['device'] == 'cpu' else made['device_name']}, "
        f"{made['precision']}: {made['seconds']:.1f} s; colours none, 0.0% clipped"
    )
    assert widget.button.text() == "Reconstruct"
    assert widget.progress.isHidden()
    assert notifications() == []


def test_sample_to_cube_in_three_steps(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.open_sample("napari-drcr", "synthetic")
    run(open_widget(viewer, "polynomial"), qtbot)
    truth, rgb, estimate = viewer.layers
    assert estimate.data.shape == truth.data.shape
    assert estimate.metadata["napari_drcr"]["source_layer"] == rgb.name


def test_devices_and_precisions_are_offered_by_their_real_names(viewer: napari.Viewer, qtbot: QtBot) -> None:
    widget = open_widget(viewer)
    qtbot.waitUntil(lambda: len(widget.device.choices) > 1, timeout=30_000)
    assert widget.device.choices == ("auto", *devices.devices())
    widget.device.value = "cpu"
    assert widget.device.native.currentText() == f"cpu: {devices.devices()['cpu']}"
    assert widget.precision.choices == ("auto", *devices.precisions("cpu"))


def test_settings_reach_the_result(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer, NETWORK)
    qtbot.waitUntil(lambda: len(widget.device.choices) > 1, timeout=30_000)
    widget.device.value, widget.precision.value = "cpu", "fp32"
    run(widget, qtbot)
    assert viewer.layers[-1].metadata["napari_drcr"]["device"] == "cpu"
    assert viewer.layers[-1].metadata["napari_drcr"]["precision"] == "fp32"


def test_encoding_changes_the_estimate(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True)
    widget = open_widget(viewer)
    run(widget, qtbot)
    widget.encoding.value = "linear"
    run(widget, qtbot)
    assert [layer.metadata["napari_drcr"]["encoding"] for layer in viewer.layers[1:]] == ["srgb", "linear"]
    assert not np.allclose(viewer.layers[1].data, viewer.layers[2].data)


def test_white_level_can_be_chosen(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb().astype(np.uint16) * 16, rgb=True)
    widget = open_widget(viewer)
    widget.white_level.value = 4095
    run(widget, qtbot)
    assert viewer.layers[-1].metadata["napari_drcr"]["white_level"] == 4095
    assert notifications() == []


def test_a_wide_gamut_file_opened_by_napari_is_converted(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    profile = imagecodecs.cms_profile("adobergb")
    Image.fromarray(random_rgb(48, 64)).save(tmp_path / "photo.png", icc_profile=profile)
    viewer.open(tmp_path / "photo.png", plugin="napari")
    widget = open_widget(viewer)
    run(widget, qtbot)
    assert viewer.layers[-1].metadata["napari_drcr"]["input_profile"] == "Adobe RGB (compatible), converted"
    assert "colours Adobe RGB (compatible), converted" in widget.status.text()
    ((_, told),) = notifications()
    assert "was converted to sRGB" in told
    with pytest.warns(Notice, match="was converted to sRGB"):
        expected = reconstruct(tmp_path / "photo.png", "linear")
    np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-6)


def test_checkpoint_files_join_the_models(viewer: napari.Viewer) -> None:
    widget = open_widget(viewer)
    widget.add_checkpoint(NETWORK)
    widget.add_checkpoint(NETWORK)
    box = widget.model.box
    choose = "Choose file\N{HORIZONTAL ELLIPSIS}"
    assert [box.itemText(row) for row in range(box.count())] == [*shipped_models(), NETWORK.name, choose]
    assert box.currentText() == NETWORK.name
    assert box.toolTip() == widget.model.value == str(NETWORK)


@pytest.mark.parametrize("answer", [str(NETWORK), ""], ids=["a file", "cancelled"])
def test_choose_file_asks_for_a_checkpoint(viewer: napari.Viewer, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    # In place of the person who would answer the dialog.
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (answer, ""))
    widget = open_widget(viewer, "polynomial")
    box = widget.model.box
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.currentIndex())
    assert widget.model.value == (str(NETWORK) if answer else "polynomial")


def test_progress_is_shown_and_cancel_adds_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(700, 700), rgb=True)
    widget = open_widget(viewer, NETWORK)
    widget.run()
    qtbot.waitUntil(lambda: 0 < widget.progress.value() < widget.progress.maximum(), timeout=30_000)
    assert widget.button.text() == "Cancel"
    assert not widget.progress.isHidden()
    widget.button.click()
    assert not widget.button.isEnabled()
    qtbot.waitUntil(lambda: not widget.running, timeout=30_000)
    assert len(viewer.layers) == 1
    assert widget.status.text() == "Cancelled; nothing was added."
    assert widget.button.isEnabled()
    assert notifications() == []


def test_source_removed_during_the_run_leaves_the_result_in_its_place(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(), rgb=True, name="photo", translate=(3, 4))
    widget = open_widget(viewer, NETWORK)
    widget.run()
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not widget.running, timeout=30_000)
    assert viewer.layers[0].translate.tolist() == [400, 3, 4]
    assert not widget.button.isEnabled()


def test_closed_widget_cancels_and_disconnects_from_the_viewer(viewer: napari.Viewer) -> None:
    events = viewer.layers.events
    before = [len(event.callbacks) for event in (events.inserted, events.removed, events.reordered, events.renamed)]
    viewer.add_image(random_rgb(700, 700), rgb=True)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Reconstruct")
    widget.add_checkpoint(NETWORK)
    widget.run()
    viewer.window.remove_dock_widget(dock)
    assert threads().waitForDone(30_000)
    # Delivers what the run has posted until its end, before the dock is deleted, which would discard that.
    QApplication.sendPostedEvents(None, QEvent.Type.MetaCall.value)
    assert len(viewer.layers) == 1
    assert before == [len(event.callbacks) for event in (events.inserted, events.removed, events.reordered, events.renamed)]


def test_viewer_closed_during_the_run_ends_it(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(1500, 1500), rgb=True)
    widget = open_widget(viewer, NETWORK)
    widget.run()
    qtbot.waitUntil(lambda: widget.progress.value() > 0, timeout=30_000)
    viewer.close()
    assert threads().waitForDone(10_000)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((24, 32, 3), 200.0), "bring them into 0 to 1"),
        (np.zeros((4, 4, 3), np.uint8), "too small"),
    ],
    ids=["floats to 255", "small"],
)
def test_unfit_images_are_refused_in_a_notification(viewer: napari.Viewer, qtbot: QtBot, values: object, sentence: str) -> None:
    viewer.add_image(values, rgb=True)
    widget = open_widget(viewer)
    run(widget, qtbot)
    ((severity, message),) = notifications()
    assert severity == "error"
    assert sentence in message
    assert widget.status.text() == message
    assert len(viewer.layers) == 1
    assert widget.button.isEnabled()


def test_unfit_checkpoint_is_refused_in_a_notification(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("<!doctype html>")
    viewer.add_image(random_rgb(), rgb=True)
    run(open_widget(viewer, tmp_path / "model.pth"), qtbot)
    assert notifications()[0][0] == "error"
    assert "web page" in notifications()[0][1]


def test_what_was_assumed_is_told_in_a_notification(viewer: napari.Viewer, qtbot: QtBot) -> None:
    viewer.add_image(random_rgb(channels=4), rgb=True)
    run(open_widget(viewer), qtbot)
    assert notifications() == [("info", "The image's fourth channel was taken as alpha and left out.")]
    assert len(viewer.layers) == 2
