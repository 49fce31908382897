"""The comparison figure: drawn without a screen, labelled in full, nothing on top of anything else."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from napari_drcr.errors import InputError
from napari_drcr.figures import comparison_figure, save_figure
from napari_drcr.metrics import mrae, sam
from napari_drcr.sample import marked_pixels, synthetic_pair

CAPTION = "Synthetic scene, not a benchmark."
RGB, TRUTH = synthetic_pair(60, 80)
ESTIMATE = TRUTH * np.linspace(0.8, 1.1, 31, dtype=np.float32)[:, None, None]


@pytest.fixture
def figure() -> Figure:
    pixels = marked_pixels(60, 80)
    return comparison_figure(RGB, TRUTH, ESTIMATE, pixels, floor=0.01, title="A title", caption=CAPTION)


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


def test_no_axes_overlap_and_nothing_leaves_the_page(figure: Figure) -> None:
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for first, second in combinations(boxes, 2):
        assert not first.overlaps(second)
    for box in (*boxes, *(text.get_window_extent() for text in figure.texts)):
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)
        assert figure.bbox.containsy(box.y0)
        assert figure.bbox.containsy(box.y1)


def test_a_perfect_estimate_is_drawn_too() -> None:
    figure = comparison_figure(RGB, TRUTH, TRUTH, {"middle": (30, 40)}, floor=None, title="", caption="")
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
        comparison_figure(RGB, TRUTH, ESTIMATE, pixels, floor=0.01, title="", caption="")
