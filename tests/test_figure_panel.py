"""The panel Figure in a real viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import pytest
from napari.layers import Image
from PIL import Image as Picture
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_drcr.analysis.figures import comparison_figure
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.widgets.error_map.figure_panel import NO_ESTIMATE, NO_TRUTH, FigurePanel
from napari_drcr.widgets.error_map.image_panel import OPEN_ITS_IMAGE
from napari_drcr.widgets.viewer.layers import cube_to_layer_data

RGB, TRUTH = synthetic_pair(48, 64)
MakeViewer = Callable[..., napari.Viewer]


def estimate(factor: float, model: str | None = None):
    made = {} if model is None else {"model": model}
    return (TRUTH * np.float32(factor)).assign_attrs(TRUTH.attrs | made)


class Scene:
    """A viewer with a photo, its true cube and two estimates, and a panel that compares them."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.truth: Image | None = self.add(TRUTH)
        self.photo = viewer.add_image(RGB, rgb=True, name="photo")
        self.estimates = [self.add(estimate(0.9, "one"), self.photo), self.add(estimate(1.2, "two"), self.photo)]
        self.panel = FigurePanel(viewer, lambda: self.truth, lambda: self.estimates, lambda: 0.02)
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


@pytest.fixture
def scene(make_napari_viewer: MakeViewer) -> Scene:
    return Scene(make_napari_viewer())


def write(scene: Scene, path: Path, qtbot: QtBot) -> str:
    scene.panel.write(path)
    qtbot.waitUntil(lambda: not scene.panel.running, timeout=60_000)
    return scene.panel.status.text()


def test_the_figure_is_the_librarys(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    scene.panel.bands.setText("460; 550 nm")
    scene.panel.scale.setValue(0.25)
    assert write(scene, tmp_path / "panel.png", qtbot) == f"Written to {tmp_path / 'panel.png'}."
    estimates = {"one": estimate(0.9), "two": estimate(1.2)}
    comparison_figure(tmp_path / "library.png", RGB, TRUTH, estimates, bands=(460, 550), floor=0.02, scale=0.25)
    drawn, expected = (np.asarray(Picture.open(tmp_path / f"{name}.png")) for name in ("panel", "library"))
    np.testing.assert_array_equal(drawn, expected)


def test_columns_are_called_by_models_or_where_these_are_the_same_by_layers(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    scene.panel.bands.setText("550")
    write(scene, tmp_path / "models.svg", qtbot)
    texts = (tmp_path / "models.svg").read_text()
    assert ">one<" in texts
    assert ">two<" in texts
    scene.estimates[1].metadata["napari_drcr"]["model"] = "one"
    scene.estimates[0].name, scene.estimates[1].name = "before", "after"
    write(scene, tmp_path / "layers.svg", qtbot)
    texts = (tmp_path / "layers.svg").read_text()
    assert ">before<" in texts
    assert ">after<" in texts


def test_without_a_scale_it_ends_at_the_95th_percentile(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    assert scene.panel.scale.text() == "95th percentile"
    scene.panel.bands.setText("550")
    write(scene, tmp_path / "panel.png", qtbot)
    estimates = {"one": estimate(0.9), "two": estimate(1.2)}
    comparison_figure(tmp_path / "library.png", RGB, TRUTH, estimates, bands=[550], floor=0.02)
    drawn, expected = (np.asarray(Picture.open(tmp_path / f"{name}.png")) for name in ("panel", "library"))
    np.testing.assert_array_equal(drawn, expected)


def test_an_image_with_alpha_will_do(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    alpha = np.concatenate([RGB, np.full((48, 64, 1), 255, np.uint8)], axis=-1)
    scene.panel.image.value = scene.viewer.add_image(alpha, rgb=True)
    assert write(scene, tmp_path / "figure.pdf", qtbot).startswith("Written")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_first_five_of_the_truths_size_are_marked(scene: Scene) -> None:
    small = estimate(1.0)[:, :20, :20]
    scene.estimates = [scene.add(small), *scene.estimates, *(scene.add(estimate(1.0)) for _ in range(4))]
    scene.panel.refresh()
    assert scene.panel.estimates.count() == 7
    assert scene.panel.estimates.marked == scene.estimates[1:6]
    assert not scene.panel.estimates.item(0).flags() & Qt.ItemFlag.ItemIsEnabled


def test_marks_stay_when_layers_come_and_are_renamed(scene: Scene) -> None:
    first, second = scene.estimates
    scene.panel.estimates.mark(first, False)
    scene.estimates.append(scene.add(estimate(1.1, "three"), scene.photo))
    scene.panel.refresh()
    second.name = "renamed"
    assert scene.panel.estimates.marked == scene.estimates[1:]
    assert scene.panel.estimates.item(1).text() == "renamed"


def test_the_truth_is_no_estimate_of_itself(scene: Scene) -> None:
    scene.estimates = [scene.truth, *scene.estimates]
    scene.panel.refresh()
    assert scene.panel.estimates.count() == 2


def test_the_photo_of_the_estimates_is_preselected(scene: Scene) -> None:
    scene.viewer.add_image(RGB, rgb=True, name="other")
    assert scene.panel.image.value is scene.photo


def test_the_current_band_can_be_taken(scene: Scene) -> None:
    scene.viewer.dims.set_point(0, 620)
    scene.panel.band_button.click()
    assert scene.panel.bands.text() == "620"


@pytest.mark.parametrize(
    ("bands", "sentence"),
    [
        ("blue, 550", "The bands are wavelengths in nm such as 450, 550, 650, not 'blue, 550'."),
        (" ", "The figure shows 1 to 5 bands, not 0; name them in nm, such as 450, 550, 650."),
        ("410 420 430 440 450 460", "The figure shows 1 to 5 bands, not 6; name them in nm, such as 450, 550, 650."),
        ("450, 950", "There is no band at 950 nm: this cube covers 400-700 nm."),
        ("nan", "There is no band at nan nm: this cube covers 400-700 nm."),
    ],
)
def test_unfit_bands_are_refused_in_a_sentence(scene: Scene, qtbot: QtBot, tmp_path: Path, bands: str, sentence: str) -> None:
    scene.panel.bands.setText(bands)
    assert write(scene, tmp_path / "figure.pdf", qtbot) == sentence
    assert list(tmp_path.iterdir()) == []
    assert scene.panel.button.isEnabled()


def test_unfit_choices_are_refused_in_a_sentence(scene: Scene, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "figure.pdf"
    for layer in scene.estimates:
        scene.panel.estimates.mark(layer, False)
    assert write(scene, path, qtbot) == NO_ESTIMATE
    scene.estimates += [scene.add(estimate(1.0)) for _ in range(5)]
    scene.panel.refresh()
    for layer in scene.estimates:
        scene.panel.estimates.mark(layer)
    assert write(scene, path, qtbot) == "The figure has room for 5 estimates, but 7 are marked; take the mark off some."
    for layer in scene.estimates[1:]:
        scene.panel.estimates.mark(layer, False)
    scene.panel.image.value = scene.viewer.add_image(RGB[:20, :20], rgb=True)
    assert write(scene, path, qtbot) == "The image has 20 x 20 pixels, the true cube 48 x 64."
    assert write(scene, tmp_path / "figure.doc", qtbot).startswith("figure.doc: figures are written as .png, .svg, .pdf")
    assert write(scene, tmp_path / "missing" / "figure.pdf", qtbot) != ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_said(scene: Scene) -> None:
    panel, truth = scene.panel, scene.truth
    scene.truth = None
    panel.refresh()
    assert panel.status.text() == NO_TRUTH
    assert not panel.button.isEnabled()
    scene.truth, layers = truth, scene.estimates
    scene.estimates = []
    panel.refresh()
    assert panel.status.text() == NO_ESTIMATE
    scene.estimates = layers
    scene.viewer.layers.remove(scene.photo)
    assert panel.status.text() == f"There is no RGB image yet. {OPEN_ITS_IMAGE}"
    scene.viewer.add_image(RGB, rgb=True)
    assert panel.status.text() == ""
    assert panel.button.isEnabled()


@pytest.mark.parametrize(
    ("name", "kind", "written"),
    [
        ("figure.svg", "PDF (*.pdf)", "figure.svg"),
        ("figure", "PNG (*.png)", "figure.png"),
        ("taken", "PDF (*.pdf)", None),
        ("", "", None),
    ],
    ids=["whole name", "suffix of the kind", "name without suffix that is taken", "cancelled"],
)
def test_the_button_asks_for_a_file(
    scene: Scene,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: str,
    written: str | None,
) -> None:
    (tmp_path / "taken.pdf").touch()
    # In place of the person who would answer the dialog.
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / name) if name else "", kind))
    scene.panel.bands.setText("550")
    scene.panel.button.click()
    qtbot.waitUntil(lambda: not scene.panel.running, timeout=60_000)
    assert {path.name for path in tmp_path.iterdir()} == {"taken.pdf"} | ({written} if written else set())
    if name == "taken":
        assert scene.panel.status.text() == "taken.pdf is there already; give its whole name to replace it."


def test_unfit_choices_are_refused_before_a_file_is_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: pytest.fail("asked"))
    scene.panel.bands.setText("blue")
    scene.panel.button.click()
    assert scene.panel.status.text().startswith("The bands are wavelengths")
