"""A cube as a picture, from napari's menu Layers, in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import dask.array
import napari
import numpy as np
import pytest
from napari.layers import Image
from napari.utils import progress
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialogButtonBox

from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.cubes.cube import make_cube
from napari_drcr.cubes.rendering import render_false_colour, render_srgb
from napari_drcr.widgets.colour_actions import FalseColour, false_colour_layer, render_srgb_layer
from napari_drcr.widgets.viewer.background import threads
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, map_to_layer_data

RGB, TRUTH = synthetic_pair(48, 64)
MakeViewer = Callable[..., napari.Viewer]


@pytest.fixture
def viewer(make_napari_viewer: MakeViewer) -> napari.Viewer:
    notification_manager.records.clear()
    return make_napari_viewer()


def add(viewer: napari.Viewer, cube, source: Image | None = None) -> Image:
    values, properties, _ = cube_to_layer_data(cube, source=source)
    return viewer.add_image(values, **properties)


def wait_for_layer(viewer: napari.Viewer, qtbot: QtBot, count: int) -> Image:
    qtbot.waitUntil(lambda: len(viewer.layers) == count and not progress._all_instances, timeout=30_000)
    return viewer.layers[-1]


def dialog_of(viewer: napari.Viewer) -> FalseColour:
    (dialog,) = viewer.window._qt_window.findChildren(FalseColour)
    return dialog


def notifications() -> list[tuple[str, str]]:
    return [(str(note.severity), note.message) for note in notification_manager.records]


def test_a_cube_is_rendered_as_srgb_over_itself(viewer: napari.Viewer, qtbot: QtBot) -> None:
    photo = viewer.add_image(RGB, rgb=True, name="photo", scale=(0.5, 0.25), translate=(3, 4), rotate=30, units=("um", "um"))
    cube = add(viewer, TRUTH, source=photo)
    render_srgb_layer()
    picture = wait_for_layer(viewer, qtbot, 3)
    np.testing.assert_array_equal(picture.data, render_srgb(TRUTH))
    assert picture.rgb
    assert picture.name == f"{cube.name} (sRGB)"
    np.testing.assert_allclose(picture.data_to_world((5, 7)), cube.data_to_world((0, 5, 7))[1:])
    assert [f"{unit:~}" for unit in picture.units] == ["µm", "µm"]
    assert picture.metadata["napari_drcr"] == {
        "rendering": "sRGB",
        "observer": "CIE 1931",
        "illuminant": "D65",
        "source_layer": cube.name,
    }
    assert notifications() == []


def test_a_rendering_lies_below_points_and_shapes(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = add(viewer, TRUTH)
    points, shapes = viewer.add_points([(5, 5)]), viewer.add_shapes(ndim=2)
    viewer.layers.selection.active = cube
    render_srgb_layer()
    wait_for_layer(viewer, qtbot, 4)
    assert viewer.layers[0] is cube
    assert viewer.layers[1].rgb
    assert [*viewer.layers[2:]] == [points, shapes]
    assert viewer.layers.selection.active is viewer.layers[1]


def test_radiance_is_not_lit_again(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = make_cube(TRUTH.values, TRUTH["wavelength"], quantity="radiance", illuminant="A")
    add(viewer, cube)
    render_srgb_layer()
    picture = wait_for_layer(viewer, qtbot, 2)
    np.testing.assert_array_equal(picture.data, render_srgb(cube))
    assert picture.metadata["napari_drcr"]["illuminant"] == "A"


def test_what_is_assumed_of_a_cube_is_told(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add(viewer, make_cube(TRUTH.values, TRUTH["wavelength"]))
    render_srgb_layer()
    wait_for_layer(viewer, qtbot, 2)
    assert notifications() == [("info", "This cube does not state its quantity: it is shown as reflectance under D65.")]


def test_work_under_way_is_shown_by_napari(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = add(viewer, TRUTH)
    render_srgb_layer()
    assert [bar.desc for bar in progress._all_instances] == [f"Rendering {cube.name}"]
    wait_for_layer(viewer, qtbot, 2)


def test_bands_for_false_colour_are_asked_for(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = add(viewer, TRUTH)
    false_colour_layer()
    dialog = dialog_of(viewer)
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert [box.value() for box in dialog.wavelengths] == [700, 550, 450]
    assert {(box.minimum(), box.maximum()) for box in dialog.wavelengths} == {(400, 700)}
    dialog.wavelengths[0].setValue(650)
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.mouseClick(dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.Ok), Qt.MouseButton.LeftButton)
    picture = wait_for_layer(viewer, qtbot, 2)
    np.testing.assert_array_equal(picture.data, render_false_colour(TRUTH, 650, 550, 450))
    assert picture.name == f"{cube.name} (false colour 650, 550, 450 nm)"
    assert picture.metadata["napari_drcr"]["wavelengths"] == [650, 550, 450]
    assert picture.metadata["napari_drcr"]["source_layer"] == cube.name
    assert notifications() == []


def test_cancelled_dialog_adds_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add(viewer, TRUTH)
    false_colour_layer()
    with qtbot.waitSignal(dialog_of(viewer).destroyed):
        dialog_of(viewer).reject()
    assert len(viewer.layers) == 1
    assert not progress._all_instances


@pytest.mark.parametrize(
    ("nm", "expected"),
    [
        (np.linspace(400, 1000, 61), [850, 650, 550]),
        (np.linspace(1000, 2500, 61), [2350, 1750, 1150]),
        (np.array([550.0]), [550, 550, 550]),
    ],
    ids=["near infrared", "short-wave infrared", "one band"],
)
def test_the_defaults_are_bands_that_there_are(
    viewer: napari.Viewer, qtbot: QtBot, nm: np.ndarray, expected: list[float]
) -> None:
    values = np.random.default_rng(0).random((nm.size, 6, 8), dtype=np.float32)
    add(viewer, make_cube(values, nm, quantity="reflectance"))
    false_colour_layer()
    dialog = dialog_of(viewer)
    assert [box.value() for box in dialog.wavelengths] == expected
    dialog.accept()
    assert wait_for_layer(viewer, qtbot, 2).rgb


def test_a_band_that_is_not_there_is_named_by_the_nearest(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = add(viewer, TRUTH)
    false_colour_layer()
    dialog_of(viewer).wavelengths[1].setValue(553)
    dialog_of(viewer).accept()
    assert wait_for_layer(viewer, qtbot, 2).name == f"{cube.name} (false colour 700, 550, 450 nm)"
    assert notifications() == [("info", "There is no band at 553 nm: the nearest, at 550 nm, is shown.")]


@pytest.mark.parametrize("action", [render_srgb_layer, false_colour_layer])
def test_what_is_no_cube_is_refused_in_a_notification(viewer: napari.Viewer, action: Callable[[], None]) -> None:
    photo = viewer.add_image(RGB, rgb=True, name="photo")
    action()
    residuals = TRUTH.rename("difference")
    values, properties, _ = map_to_layer_data(residuals, photo, name="errors", facts={})
    viewer.add_image(values, **properties)
    action()
    viewer.layers.selection.clear()
    action()
    assert notifications() == [
        ("error", "The layer 'photo' is an RGB image, not a cube of three axes (band, y, x); choose a cube layer."),
        ("error", "The layer 'errors' is a map, not a cube; select the cube itself."),
        ("error", "No layer is selected, or several are; select one cube layer first."),
    ]
    assert len(viewer.layers) == 2


def test_a_cube_without_light_that_the_eye_sees_is_refused_in_a_notification(viewer: napari.Viewer, qtbot: QtBot) -> None:
    values = np.ones((5, 6, 8), np.float32)
    add(viewer, make_cube(values, np.linspace(1000, 1500, 5), quantity="reflectance"))
    render_srgb_layer()
    qtbot.waitUntil(lambda: bool(notifications()) and not progress._all_instances, timeout=30_000)
    assert notifications()[0][0] == "error"
    assert len(viewer.layers) == 1


def test_cube_removed_meanwhile_is_rendered_all_the_same(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add(viewer, TRUTH)
    render_srgb_layer()
    viewer.layers.clear()
    assert wait_for_layer(viewer, qtbot, 1).rgb


def test_viewer_closed_meanwhile_gets_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    begun, go = Event(), Event()

    def read(block: np.ndarray) -> np.ndarray:
        begun.set()
        assert go.wait(10)
        return block

    go.set()
    layer = add(viewer, TRUTH)
    layer.data = dask.array.from_array(TRUTH.values, chunks=-1).map_blocks(read, meta=TRUTH.values[:0])
    begun.clear()
    go.clear()
    render_srgb_layer()
    qtbot.waitUntil(begun.is_set)
    viewer.close()
    go.set()
    assert threads().waitForDone(10_000)
    qtbot.waitUntil(lambda: not progress._all_instances)
    assert not viewer.layers
