"""The figures: drawn without a screen, labelled in full, nothing on top of anything else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from napari_drcr.analysis.figures import comparison_figure, demo_figure, draw_comparison, save_figure
from napari_drcr.analysis.metrics import mrae, rmse, sam
from napari_drcr.camera.sample import marked_pixels, synthetic_pair
from napari_drcr.cubes.cube import CLIPPED
from napari_drcr.errors import InputError

CAPTION = "Synthetic scene, not a benchmark."
RGB, TRUTH = synthetic_pair(60, 80)
ESTIMATE = TRUTH * np.linspace(0.8, 1.1, 31, dtype=np.float32)[:, None, None]


@pytest.fixture
def figure() -> Figure:
    pixels = marked_pixels(60, 80)
    return demo_figure(RGB, TRUTH, ESTIMATE, pixels, floor=0.01, title="A title", caption=CAPTION)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_everything_is_labelled_and_every_mrae_names_its_floor(figure: Figure) -> None:
    shown = texts(figure)
    assert {"A title", CAPTION, "Wavelength (nm)", "Reflectance", "truth", "estimate", "450 nm", "550 nm", "650 nm"} <= set(
        shown
    )
    errors = [text for text in shown if "MRAE" in text]
    assert len(errors) == 5  # the scores, three bands, the colour bar
    assert all("MRAE@0.01" in text for text in errors)


def test_the_scores_are_those_of_the_metrics(figure: Figure) -> None:
    (scores,) = [text for text in texts(figure) if "RMSE" in text]
    assert f"MRAE@0.01 {mrae(TRUTH, ESTIMATE, 0.01):.3f}" in scores
    assert f"SAM {sam(TRUTH, ESTIMATE):.1f}°" in scores


def test_truth_is_dashed_and_estimate_solid_in_the_markers_colour(figure: Figure) -> None:
    image, spectra = figure.axes[:2]
    for number, (y, x) in enumerate(marked_pixels(60, 80).values()):
        true, estimated = spectra.lines[2 * number : 2 * number + 2]
        assert (true.get_linestyle(), estimated.get_linestyle()) == ("--", "-")
        assert true.get_color() == estimated.get_color() == image.lines[number].get_color()
        np.testing.assert_array_equal(true.get_ydata(), TRUTH[:, y, x])
        np.testing.assert_array_equal(estimated.get_ydata(), ESTIMATE[:, y, x])
        assert (image.lines[number].get_xdata()[0], image.lines[number].get_ydata()[0]) == (x, y)


def check_layout(figure: Figure) -> None:
    """Nothing lies on anything else, and nothing leaves the page."""
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in (*boxes, *(text.get_window_extent() for text in figure.texts)):
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)
        assert figure.bbox.containsy(box.y0)
        assert figure.bbox.containsy(box.y1)


def test_no_axes_overlap_and_nothing_leaves_the_page(figure: Figure) -> None:
    check_layout(figure)


def test_a_perfect_estimate_is_drawn_too() -> None:
    figure = demo_figure(RGB, TRUTH, TRUTH, {"middle": (30, 40)}, floor=None, title="", caption="")
    assert sum("MRAE 0.000" in text for text in texts(figure)) == 4
    assert not any("MRAE@" in text for text in texts(figure))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_saved_as(figure: Figure, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figure{suffix}"
    save_figure(path, figure)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_png_has_the_size_of_the_page(figure: Figure, tmp_path: Path) -> None:
    save_figure(tmp_path / "figure.png", figure)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == (1800, 1177)


def test_other_formats_are_refused(figure: Figure, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"figure.jpg: figures are written as .png, .svg, .pdf, not .jpg"):
        save_figure(tmp_path / "figure.jpg", figure)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ({}, "1 to 7 pixels, not 0"),
        ({str(number): (0, number) for number in range(8)}, "1 to 7 pixels, not 8"),
        ({"corner": (60, 0)}, "'corner' at y = 60, x = 0 lies outside the image of 60 x 80"),
    ],
)
def test_pixels_that_cannot_be_shown_are_refused(pixels: dict[str, tuple[int, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        demo_figure(RGB, TRUTH, ESTIMATE, pixels, floor=0.01, title="", caption="")


def off(low: float, high: float) -> xr.DataArray:
    """An estimate that is wrong by a factor from `low` at 400 nm to `high` at 700 nm."""
    return (TRUTH * np.linspace(low, high, 31, dtype=np.float32)[:, None, None]).assign_attrs(TRUTH.attrs)


MODELS = {"photo": ESTIMATE, "linear": off(1.2, 1.2), "a name-of-a-model that takes several lines": off(0.5, 1)}


def test_a_comparison_shows_image_truth_and_models_with_their_scores() -> None:
    figure = draw_comparison(RGB, TRUTH, MODELS, bands=(450, 610), floor=0.02)
    shown = texts(figure)
    assert {"RGB", "truth", "photo", "linear", "450 nm", "610 nm", "relative error"} <= set(shown)
    assert shown.count("MRAE@0.02 0.200") == 2  # 20 % too bright in both bands
    (totals,) = [text for text in shown if f"RMSE {rmse(TRUTH, ESTIMATE):.4f}" in text]
    assert f"MRAE@0.02 {mrae(TRUTH, ESTIMATE, 0.02):.3f}" in totals
    assert f"SAM {sam(TRUTH, ESTIMATE):.2f}°" in totals


def test_all_maps_share_one_scale() -> None:
    images = [image for axes in draw_comparison(RGB, TRUTH, MODELS, scale=0.3).axes for image in axes.images]
    maps = [image for image in images if image.get_cmap().name == "magma"]
    assert len(maps) == 9
    assert {image.get_clim() for image in maps} == {(0, 0.3)}
    automatic = draw_comparison(RGB, TRUTH, {"linear": off(1.2, 1.2)}).axes[-2].images[0]
    assert automatic.get_clim() == (0, pytest.approx(0.2, rel=1e-3))


def test_dark_and_clipped_pixels_have_no_error() -> None:
    clipped = np.zeros((60, 80), dtype=bool)
    clipped[:5] = True
    figure = draw_comparison(RGB, TRUTH, {"photo": ESTIMATE.assign_coords({CLIPPED: (("y", "x"), clipped)})}, bands=[550])
    errors = figure.axes[2].images[0].get_array()
    assert np.ma.getmaskarray(errors)[:5].all()
    assert "below 0.01, or image clipped" in " ".join(texts(figure))


@pytest.mark.parametrize("shape", [(60, 80), (60, 20)])
def test_nothing_overlaps_or_is_cut_off_in_a_comparison(shape: tuple[int, int]) -> None:
    inside = np.s_[: shape[0], : shape[1]]
    models = {f"model number {number}": cube[:, *inside] for number, cube in enumerate([*MODELS.values(), ESTIMATE, ESTIMATE])}
    figure = draw_comparison(RGB[inside], TRUTH[:, *inside], models)
    check_layout(figure)


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_a_comparison_is_written_at_print_size_with_text_as_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"comparison{suffix}"
    comparison_figure(path, RGB, TRUTH, {"photo": ESTIMATE}, bands=[550])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.width == pytest.approx(180 / 25.4 * 300, abs=1)
    elif suffix == ".svg":
        assert ">550 nm</text>" in path.read_text(encoding="utf-8")
    else:
        assert b"/FontFile2" in path.read_bytes()  # a TrueType font, not outlines of type 3


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"estimates": {}}, "1 to 5 models, not 0"),
        ({"bands": ()}, "1 to 5 bands, not 0"),
        ({"bands": (900,)}, "no band at 900 nm: this cube covers 400-700 nm"),
        ({"rgb": RGB[:-1]}, "the image has 59 x 80 pixels, the true cube 60 x 80"),
        ({"rgb": RGB[..., 0]}, r"shape \(y, x, 3\), not \(60, 80\)"),
        ({"floor": 0}, "floor of relative errors must be positive"),
        ({"scale": -1}, "scale of relative errors must be positive"),
    ],
)
def test_a_comparison_that_cannot_be_drawn_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        draw_comparison(**{"rgb": RGB, "truth": TRUTH, "estimates": MODELS, **settings})  # type: ignore[arg-type]
