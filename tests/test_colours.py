"""The photo's own colours: exact, by the smallest smooth change, in pieces as in the whole, and refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from scipy.optimize import minimize
from typer.testing import CliRunner

import napari_drcr as nd
from napari_drcr.analysis.evaluation import COLOUR_EXACT_SENTENCE, evaluate
from napari_drcr.analysis.plausibility import assess_plausibility
from napari_drcr.camera import CAMERAS, Camera
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.cli import app
from napari_drcr.cubes.colorimetry import decode_srgb
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.inference.colours import COLOUR_MEANING, DARK, SMOOTHNESS, ExactColours, exact_colours
from napari_drcr.inference.passes import Pass
from napari_drcr.models.store import Card, read_card
from napari_drcr.system.devices import precisions
from napari_drcr.system.steps import run_to_end
from viewer_tools import open_widget, run

PHOTO = CAMERAS["photo"]
RESPONSE = PHOTO.response(WAVELENGTHS, "reflectance")
RGB, TRUTH = synthetic_pair(48, 64)


def seen(cube: Any) -> np.ndarray:
    """Linear RGB (3, y, x) as the camera `photo` records it, without rounding."""
    return np.clip(np.einsum("byx,bc->cyx", np.asarray(cube), RESPONSE), 0, 1)


def linear(rgb: np.ndarray) -> np.ndarray:
    return np.moveaxis(decode_srgb(rgb.astype(np.float32) / 255), -1, 0)


def corrected(colours: ExactColours, values: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    values = values.astype(np.float32)
    run_to_end(colours.iter_correct(values, rgb.astype(np.float32)))
    return values


def some_pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Estimates (bands, 1, count), and other colours (3, 1, count)."""
    random = np.random.default_rng(0)
    curves = 0.5 + 0.3 * np.sin(np.asarray(WAVELENGTHS)[:, None] / random.uniform(30, 80, count) + random.uniform(0, 6, count))
    values = (curves * random.uniform(0.2, 0.8, count))[:, None]
    return values, np.einsum("byx,bc->cyx", values, RESPONSE) * random.uniform(0.9, 1.1, (3, 1, count))


@pytest.mark.parametrize("model", ["photo", "polynomial"])
def test_the_camera_sees_the_photo_again(model: str) -> None:
    plain = nd.reconstruct(RGB, model, precision="fp32")
    cube = nd.reconstruct(RGB, model, precision="fp32", colour_exact=True)
    image = linear(RGB)
    assert np.abs(seen(plain) - image).max() > 0.01
    # Values that would fall below 0 leave differences smaller than a level of 8 bits.
    off = np.abs(seen(cube) - image)
    assert (off < 3e-6).mean() > 0.99
    assert off.max() < 1 / 255 / 12.92
    assert cube.min() >= 0
    assert cube.attrs["colour_exact"] is True
    assert plain.attrs["colour_exact"] is False
    assert assess_plausibility(cube, RGB).assumption.endswith("small residuals say nothing about it")


def test_unclipped_colours_are_exact_to_float_precision() -> None:
    values, target = some_pixels(500)
    cube = corrected(exact_colours(read_card("photo")), values, target)
    np.testing.assert_allclose(np.einsum("byx,bc->cyx", cube, RESPONSE), target, atol=1e-6)


def test_the_change_is_the_smallest_smooth_one() -> None:
    values, target = some_pixels(6)
    target[:, 0, 4] = [1, 0.6, 0.5]  # at least white
    target[:, 0, 5] = [0.3, 0.2, 0]  # at most black
    cube = corrected(exact_colours(read_card("photo")), values, target)
    nm = np.asarray(WAVELENGTHS)
    kernel = np.exp(-0.5 * ((nm[:, None] - nm) / SMOOTHNESS) ** 2)
    eigenvalues, vectors = np.linalg.eigh(kernel)
    shapes = (vectors * np.sqrt(np.maximum(eigenvalues, 0)))[:, eigenvalues > 1e-3 * eigenvalues[-1]]
    for pixel in range(6):
        estimate, goal = values[:, 0, pixel], target[:, 0, pixel]
        basis = np.sqrt(np.maximum(estimate, DARK))[:, None] * shapes
        seen_by, lacking = RESPONSE.T @ basis, goal - RESPONSE.T @ estimate
        if pixel < 4:
            smallest = np.linalg.lstsq(seen_by, lacking)[0]  # of least norm
        else:
            kinds = ["ineq" if value in (0, 1) else "eq" for value in goal]
            demands = [
                {"type": kind, "fun": lambda x, row=row, d=d, sign=1 if value else -1: sign * (row @ x - d)}
                for kind, row, d, value in zip(kinds, seen_by, lacking, goal, strict=True)
            ]
            smallest = minimize(lambda x: x @ x, np.zeros(len(shapes.T)), constraints=demands, tol=1e-14).x
        np.testing.assert_allclose(cube[:, 0, pixel], estimate + basis @ smallest, atol=1e-4)


def test_a_clipped_channel_is_only_a_bound() -> None:
    values = np.full((31, 1, 3), 1.2)
    target = np.array([[1, 1, 1], [1, 0.9, 1], [1, 1, 0.5]]).reshape(3, 1, 3)
    colours = exact_colours(read_card("photo"))
    cube = corrected(colours, values, target)
    np.testing.assert_array_equal(cube[:, :, 0], values[:, :, 0].astype(np.float32))
    np.testing.assert_allclose(seen(cube), target, atol=1e-6)
    # A white patch moves the white of each channel, and a divisor that of all.
    rgb = RGB.copy()
    rgb[:4, :4] = (120, 140, 160)
    rgb[10, :4] = 255
    balanced = nd.reconstruct(rgb, "linear", white=(0, 0, 4, 4), colour_exact=True)
    raw = np.einsum("byx,bc->cyx", balanced, RESPONSE)
    gains = np.asarray(balanced.attrs["white_gains"])[:, None, None]
    assert (raw[:, 10, :4] >= gains[:, 0] - 1e-5).all()
    np.testing.assert_allclose(raw[:, :4, :4], gains * linear(rgb)[:, :4, :4], atol=1e-5)
    halved = nd.reconstruct(rgb, "linear", divisor=2, colour_exact=True)
    np.testing.assert_allclose(np.einsum("byx,bc->cyx", halved, RESPONSE)[:, 0, 0], linear(rgb)[:, 0, 0] / 2, atol=1e-6)


def test_dark_pixels_never_fall_below_zero() -> None:
    random = np.random.default_rng(1)
    values = random.normal(0.002, 0.004, (31, 20, 30))
    target = random.uniform(0, 0.01, (3, 20, 30)) * random.integers(0, 2, (3, 20, 30))
    cube = corrected(exact_colours(read_card("photo")), values, target)
    assert cube.min() >= 0
    assert np.abs(seen(cube) - target).mean() < 0.02 * np.abs(seen(values) - target).mean()


def test_a_window_is_that_of_the_whole() -> None:
    kept: list[Pass] = []
    cube = nd.reconstruct(RGB, precision="fp32", colour_exact=True, remember=kept.append).values
    np.testing.assert_allclose(run_to_end(kept[0].refine((5, 9, 17, 30))), cube[:, 5:17, 9:30], atol=2e-5)
    if "bf16" in precisions("cpu"):
        nd.reconstruct(RGB, precision="bf16", colour_exact=True, remember=kept.append)
        np.testing.assert_allclose(run_to_end(kept[1].refine((5, 9, 17, 30))), cube[:, 5:17, 9:30], atol=2e-5)
    pieces = nd.reconstruct(RGB, precision="fp32", colour_exact=True, tile=16)
    np.testing.assert_allclose(pieces, cube, atol=2e-5)
    colours, values = exact_colours(read_card("photo")), nd.reconstruct(RGB, precision="fp32").values
    part = np.s_[:, 11:12, 3:50]
    np.testing.assert_allclose(corrected(colours, values[part], linear(RGB)[part]), cube[part], atol=2e-6)


def test_with_self_ensemble_the_mean_is_corrected_once() -> None:
    rgb = RGB[:24, :32]
    mean = nd.reconstruct(rgb, precision="fp32", ensemble=True)
    cube = nd.reconstruct(rgb, precision="fp32", ensemble=True, colour_exact=True)
    np.testing.assert_array_equal(cube, corrected(exact_colours(read_card("photo")), mean.values, linear(rgb)))
    np.testing.assert_array_equal(cube["flip_disagreement"], mean["flip_disagreement"])


def test_it_can_be_stopped_while_it_corrects() -> None:
    steps: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        steps.append((done, total))
        if steps.count((1, 1)) == 2:
            raise nd.Cancelled

    with pytest.raises(nd.Cancelled):
        nd.reconstruct(RGB, "linear", colour_exact=True, progress=stop)


@pytest.mark.parametrize(
    ("card", "why"),
    [
        (Card(name="x"), "names no camera"),
        (Card(name="x", camera="mine"), "trained for the camera 'mine', which is not one of photo, "),
        (Card(name="x", camera="ntire2022", encoding="as given"), "sets its exposure by the whole scene"),
        (Card(name="x", camera="ntire2020-real", encoding="as given"), "mosaic mixes neighbouring pixels"),
        (Card(name="x", camera="photo", normalisation="maximum"), "divides each image by its own maximum"),
        (Card(name="x", camera="photo", encoding="as given"), "which is not linear light"),
    ],
)
def test_models_without_a_linear_camera_are_refused(card: Card, why: str) -> None:
    with pytest.raises(nd.InputError, match=rf"^x .*{why}.*leave colour_exact out\.$"):
        exact_colours(card)


def test_bands_that_do_not_mix_all_colours_are_refused() -> None:
    card = Card(name="x", camera="photo", quantity="reflectance", wavelengths=(450.0, 600.0))
    with pytest.warns(nd.Notice, match="colours are off"), pytest.raises(nd.InputError, match="do not mix all colours"):
        exact_colours(card)


def test_cameras_of_linear_images_and_models_of_bytes() -> None:
    values, _ = some_pixels(20)
    camera: Camera = CAMERAS["ntire2020-clean"]
    card = Card(name="x", camera=camera.name, encoding="as given", normalisation="bytes", quantity="radiance")
    response = camera.response(WAVELENGTHS, "radiance")
    target = np.einsum("byx,bc->cyx", values, response) * 0.95
    cube = corrected(exact_colours(card), values, target * 255)
    np.testing.assert_allclose(np.einsum("byx,bc->cyx", cube, response), target, atol=1e-6)


@pytest.mark.parametrize("suffix", ["mat", "hdr", "nc", "tif"])
def test_the_command_line_and_files(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    Image.fromarray(RGB).save(tmp_path / "scene.png")
    words = ["reconstruct", str(tmp_path / "scene.png"), "-o", str(tmp_path / f"cube.{suffix}"), "--colour-exact"]
    result = CliRunner().invoke(app, [*words, "-m", "linear"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "colours sRGB (assumed), exact, " in result.output
    cube = nd.read_cube(tmp_path / f"cube.{suffix}")
    assert cube.attrs["colour_exact"] is True
    np.testing.assert_array_equal(cube, nd.reconstruct(RGB, "linear", colour_exact=True))


def test_evaluation_says_so(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(RGB).save(tmp_path / "scene.png")
    nd.write_cube(tmp_path / "scene.mat", TRUTH)
    pair = tmp_path, tmp_path
    result = evaluate(*pair, model="linear", colour_exact=True)
    assert result.scores[0].mrae == pytest.approx(nd.mrae(TRUTH, nd.reconstruct(RGB, "linear", colour_exact=True), floor=0.01))
    words = ["evaluate", "--rgb", str(tmp_path), "--truth", str(tmp_path), "-m", "linear", "--csv", str(tmp_path / "out.csv")]
    said = CliRunner().invoke(app, [*words, "--colour-exact"], catch_exceptions=False).output
    assert COLOUR_EXACT_SENTENCE in said
    assert COLOUR_EXACT_SENTENCE in (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[2]
    assert COLOUR_EXACT_SENTENCE not in CliRunner().invoke(app, words, catch_exceptions=False).output


def test_the_dock_offers_it(make_napari_viewer: Callable[..., napari.Viewer], qtbot: QtBot) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(RGB, rgb=True)
    widget = open_widget(viewer, "polynomial")
    assert widget.colour_exact.value is False
    assert widget.colour_exact.tooltip == COLOUR_MEANING
    widget.encoding.value, widget.colour_exact.value = "srgb", True
    run(widget, qtbot)
    layer = viewer.layers[-1]
    np.testing.assert_allclose(layer.data, nd.reconstruct(RGB, "polynomial", colour_exact=True), atol=1e-6)
    assert layer.metadata["napari_drcr"]["colour_exact"] is True
    assert ", exact, " in widget.status.text()
