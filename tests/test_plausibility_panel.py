"""The panel Plausibility in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import pytest
from napari.layers import Image
from napari.utils.color import ColorValue
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QFileDialog, QLabel

from napari_drcr.analysis.figures import NO_ERROR
from napari_drcr.analysis.plausibility import MEANING, assess_plausibility
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.cubes.cube import make_cube
from napari_drcr.errors import Notice
from napari_drcr.inference.reconstruction import reconstruct
from napari_drcr.widgets.error_map.image_panel import NO_CUBE, OPEN_ITS_IMAGE
from napari_drcr.widgets.error_map.plausibility_panel import PlausibilityPanel
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, layer_to_cube

RGB, TRUTH = synthetic_pair(48, 64)
ESTIMATE = reconstruct(RGB, "polynomial")
MakeViewer = Callable[..., napari.Viewer]


class Scene:
    """A viewer with a photo, and an estimate of it, in a panel that asks for `estimate`."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.photo = viewer.add_image(RGB, rgb=True, name="photo", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
        self.estimate: Image | None = self.add(ESTIMATE, self.photo)
        self.panel = PlausibilityPanel(viewer, lambda: self.estimate)
        viewer.window.add_dock_widget(self.panel, name="panel")
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.connect(self.follow)

    def follow(self, _event: object) -> None:
        """Do what the dock does with the panel."""
        self.panel.refresh()

    def add(self, cube, source: Image | None = None) -> Image:
        values, properties, _ = cube_to_layer_data(cube, source=source)
        return self.viewer.add_image(values, **properties)

    @property
    def maps(self) -> list[Image]:
        return [layer for layer in self.viewer.layers if "map" in layer.metadata.get("napari_drcr", {})]


@pytest.fixture
def scene(make_napari_viewer: MakeViewer) -> Scene:
    notification_manager.records.clear()
    return Scene(make_napari_viewer())


def project(scene: Scene, qtbot: QtBot) -> str:
    scene.panel.run()
    qtbot.waitUntil(lambda: not scene.panel.running, timeout=30_000)
    return scene.panel.status.text()


def test_the_map_lies_over_the_photo_and_the_figure_is_the_librarys(scene: Scene, qtbot: QtBot) -> None:
    said = project(scene, qtbot)
    expected = assess_plausibility(layer_to_cube(scene.estimate), RGB)
    (residuals,) = scene.maps
    np.testing.assert_array_equal(residuals.data, expected.residuals)
    assert residuals.name == "photo (polynomial RGB residual)"
    assert residuals.scale.tolist() == [0.5, 0.5]
    assert residuals.translate.tolist() == [3, 4]
    made = residuals.metadata["napari_drcr"]
    assert made["residual"] == expected.residual
    assert made["source_layer"] == "photo"
    assert made["meaning"] == MEANING
    assert said.startswith(
        f"RMS residual {expected.residual:.4f} of white, in linear light; {expected.clipped_share:.1%} clipped"
    )
    assert said.endswith("\nCamera photo.")
    assert notification_manager.records == []


def test_the_meaning_is_always_there(scene: Scene, qtbot: QtBot) -> None:
    def shown() -> list[str]:
        return [label.text() for label in scene.panel.findChildren(QLabel) if label.isVisibleTo(scene.panel)]

    assert MEANING in shown()
    project(scene, qtbot)
    assert MEANING in shown()


def test_clipped_pixels_are_gray(make_napari_viewer: MakeViewer, qtbot: QtBot) -> None:
    viewer = make_napari_viewer()
    image = RGB.copy()
    image[10:20, 10:30] = 255
    viewer.add_image(image, rgb=True, name="photo")
    with pytest.warns(Notice, match="clipped"):
        cube = reconstruct(image, "polynomial")
    values, properties, _ = cube_to_layer_data(cube, source=viewer.layers[0])
    estimate = viewer.add_image(values, **properties)
    panel = PlausibilityPanel(viewer, lambda: estimate)
    qtbot.addWidget(panel)
    panel.run()
    qtbot.waitUntil(lambda: not panel.running, timeout=30_000)
    residuals = viewer.layers[-1]
    assert np.isnan(residuals.data[15, 20])
    np.testing.assert_array_equal(residuals.colormap.map(np.array([np.nan]))[0], ColorValue(NO_ERROR))
    share = np.isnan(residuals.data).mean()
    assert f"{share:.1%} clipped and left out" in panel.status.text()


def test_again_with_another_camera_replaces_the_map(scene: Scene, qtbot: QtBot) -> None:
    project(scene, qtbot)
    (residuals,) = scene.maps
    residuals.name, before = "renamed", residuals.data
    residuals.visible = False
    scene.panel.camera.value = "ntire2022"
    assert "Camera ntire2022, exposure matched." in project(scene, qtbot)
    assert scene.maps == [residuals]
    assert residuals.visible
    assert residuals.name == "renamed"
    assert not np.array_equal(residuals.data, before, equal_nan=True)
    assert residuals.metadata["napari_drcr"]["assumption"] == "camera ntire2022, exposure matched"
    assert f"Exposure: times {residuals.metadata['napari_drcr']['exposure']:.3g}." in scene.panel.status.text()


def test_the_photo_that_the_estimate_came_from_is_preselected(scene: Scene) -> None:
    scene.viewer.add_image(RGB, rgb=True, name="same size")
    scene.viewer.add_image(RGB[:20, :20], rgb=True, name="small")
    choice = scene.panel.image
    assert choice.value is scene.photo
    scene.photo.name = "renamed"
    assert choice.value in scene.viewer.layers
    assert choice.value.name != "small"


def test_a_photo_that_was_chosen_stays_until_the_estimate_changes(scene: Scene) -> None:
    other = scene.viewer.add_image(RGB, rgb=True, name="other")
    box = scene.panel.image
    box.native.setCurrentIndex(list(box.choices).index(other))
    box.native.activated.emit(box.native.currentIndex())
    scene.viewer.add_image(RGB, rgb=True)
    assert box.value is other
    scene.estimate = scene.add(ESTIMATE, scene.photo)
    scene.panel.refresh()
    assert box.value is scene.photo


@pytest.mark.parametrize(
    ("attrs", "offered", "assumption"),
    [
        ({"quantity": "reflectance"}, "assumes CIE 1931 under D65", "Assumes CIE 1931 under D65."),
        ({"quantity": "radiance"}, "assumes CIE 1931", "Assumes CIE 1931, its light being in the cube, exposure matched."),
        (
            {"quantity": "reflectance", "camera": "ntire2022"},
            "as the cube says: ntire2022",
            "Camera ntire2022, exposure matched.",
        ),
    ],
    ids=["reflectance", "radiance", "of a camera"],
)
def test_what_is_assumed_is_offered_and_said(
    scene: Scene, qtbot: QtBot, attrs: dict[str, str], offered: str, assumption: str
) -> None:
    cube = make_cube(TRUTH.values, TRUTH["wavelength"], quantity=attrs["quantity"], attrs=attrs)
    scene.estimate = scene.add(cube)
    scene.panel.refresh()
    assert scene.panel.camera.box.itemText(0) == offered
    assert project(scene, qtbot).endswith(assumption)


def test_an_unknown_quantity_is_told(scene: Scene, qtbot: QtBot) -> None:
    scene.estimate = scene.add(make_cube(TRUTH.values, TRUTH["wavelength"]))
    scene.panel.refresh()
    project(scene, qtbot)
    (told,) = [note.message for note in notification_manager.records if str(note.severity) == "info"]
    assert "taken as reflectance" in told


@pytest.mark.parametrize("answered", [True, False], ids=["a file", "cancelled"])
def test_a_camera_can_come_from_a_file(
    scene: Scene, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"{nm},{nm - 399},{700 - abs(nm - 550)},{701 - nm}" for nm in range(400, 701, 10)]
    path.write_text("\n".join(["wavelength,r,g,b", *rows]))
    # In place of the person who would answer the dialog.
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path) if answered else "", ""))
    box = scene.panel.camera.box
    box.setCurrentIndex(box.count() - 1)
    box.activated.emit(box.currentIndex())
    assert scene.panel.camera.value == (str(path) if answered else None)
    assert ("Camera mine" if answered else "Camera photo") in project(scene, qtbot)


def test_an_image_of_another_size_is_refused_in_a_sentence(scene: Scene, qtbot: QtBot) -> None:
    small = scene.viewer.add_image(RGB[:20, :20], rgb=True, name="small")
    scene.panel.image.value = small
    scene.panel.run()
    qtbot.waitUntil(lambda: not scene.panel.running, timeout=30_000)
    assert scene.panel.status.text() == (
        "The cube has 48 x 64 pixels, the image 20 x 20; give the image that the cube was estimated from."
    )
    assert scene.maps == []
    assert scene.panel.button.isEnabled()


def test_of_a_series_the_image_counts_that_the_cube_was_estimated_from(scene: Scene, qtbot: QtBot) -> None:
    series = scene.viewer.add_image(np.stack([RGB[::-1], RGB]), rgb=True, name="days")
    scene.estimate = scene.add(ESTIMATE.assign_attrs(source_slice=[1]), series)
    scene.viewer.dims.set_point(0, 550)
    scene.panel.refresh()
    assert scene.panel.image.value is series
    expected = assess_plausibility(ESTIMATE, RGB)
    assert project(scene, qtbot).startswith(f"RMS residual {expected.residual:.4f} of white")
    scene.estimate = scene.add(TRUTH)
    scene.panel.refresh()
    scene.panel.image.value = series
    assert project(scene, qtbot) == "The sliders show no image of the series 'days'; move them to the one that is meant."


def test_without_cube_or_image_it_says_what_is_missing(scene: Scene) -> None:
    scene.estimate = None
    scene.panel.refresh()
    assert scene.panel.status.text() == NO_CUBE
    assert not scene.panel.button.isEnabled()
    scene.estimate = scene.viewer.layers[-1]
    scene.viewer.layers.remove(scene.photo)
    assert scene.panel.status.text() == f"There is no RGB image yet. {OPEN_ITS_IMAGE}"
    assert not scene.panel.button.isEnabled()


def test_a_result_is_not_left_beside_another_estimate(scene: Scene, qtbot: QtBot) -> None:
    assert project(scene, qtbot)
    scene.estimate = scene.add(TRUTH)
    scene.panel.refresh()
    assert scene.panel.status.text() == ""


def test_closed_it_adds_nothing(scene: Scene, qtbot: QtBot) -> None:
    scene.panel.run()
    scene.panel.detach()
    scene.panel.detach()
    scene.panel.run()
    qtbot.waitUntil(lambda: not scene.panel.running, timeout=30_000)
    assert len(scene.maps) == 1  # of the second run alone
