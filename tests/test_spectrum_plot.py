"""The plot that the docks share, on a real screen: what is drawn, clicked, saved and copied."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, Qt
from qtpy.QtGui import QColor, QHelpEvent, QImage
from qtpy.QtWidgets import QApplication, QToolTip

from napari_drcr.analysis.figures import save_figure
from napari_drcr.widgets.plot import Curve
from napari_drcr.widgets.plot.curves import Content
from napari_drcr.widgets.plot.limits import error_limits, suit, value_limits, wavelength_limits
from napari_drcr.widgets.plot.page import Page
from napari_drcr.widgets.plot.text import fitted, shared_out, text_width
from napari_drcr.widgets.plot.theme import PAPER, contrast, printable, theme_colours
from napari_drcr.widgets.plot.widget import SpectrumPlot

NM = np.linspace(400.0, 700.0, 31)
RED, BLUE = "#d55e00", "#0072b2"
KEY = [("truth", "--"), ("photo (photo estimate)", "-")]
LABELS: dict[str, Any] = {"value_label": "reflectance", "error_label": "relative error", "key": KEY}


def curve(height: float = 0.5, colour: str = RED, style: Any = "-", wavelengths: np.ndarray = NM, **more: Any) -> Curve:
    return Curve(wavelengths, height * (0.6 + 0.4 * np.sin(wavelengths / 40)), colour, style, **more)


@pytest.fixture
def plot(qtbot: QtBot) -> SpectrumPlot:
    return open_plot(qtbot)


def open_plot(qtbot: QtBot, *, strip: bool = True, width: int = 400, height: int = 420) -> SpectrumPlot:
    plot = SpectrumPlot(strip=strip)
    qtbot.addWidget(plot)
    plot.resize(width, height)
    plot.show()
    qtbot.waitExposed(plot)
    return plot


def picture(plot: SpectrumPlot) -> QImage:
    return plot.grab().toImage()


def count(image: QImage, colour: str, near: int = 40) -> int:
    """How many pixels of an image are about of this colour."""
    wanted = QColor(colour)
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rgb = np.frombuffer(image.bits(), np.uint8).reshape(image.height(), -1)[:, : 3 * image.width()].reshape(-1, 3).astype(int)
    return int((np.abs(rgb - (wanted.red(), wanted.green(), wanted.blue())).max(axis=1) < near).sum())


def place(plot: SpectrumPlot, nm: float, *, strip: bool = False) -> QPoint:
    """Where on the widget the middle of the axes is at a wavelength."""
    axes = plot.strip_axes if strip else plot.axes
    assert axes is not None
    x, _ = axes.transData.transform((nm, 0))
    y = (axes.bbox.y0 + axes.bbox.y1) / 2
    scale = plot.devicePixelRatioF()
    return QPoint(round(x / scale), round(plot.height() - y / scale))


def test_curves_appear_in_their_colours_and_styles(plot: SpectrumPlot, qtbot: QtBot) -> None:
    shown = [curve(0.5, RED, "--", label="pixel 1"), curve(0.4, BLUE, (0, (3, 1, 1, 1)), thick=True)]
    with qtbot.waitSignal(plot.painted):
        plot.show_curves(shown, [curve(0.05, BLUE)], **LABELS)
    first, second = plot.axes.lines
    assert (first.get_color(), first.get_linestyle(), first.get_label()) == (RED, "--", "pixel 1")
    np.testing.assert_array_equal(first.get_xydata(), np.stack([NM, shown[0].values], axis=1))
    assert second.get_linewidth() > first.get_linewidth()
    assert plot.strip_axes is not None
    assert [line.get_color() for line in plot.strip_axes.lines] == [BLUE]
    image = picture(plot)
    assert count(image, RED) > 200
    assert count(image, BLUE) > 400
    assert plot.axes.get_ylabel() == "reflectance"
    assert plot.strip_axes.get_xlabel() == "wavelength (nm)"
    with qtbot.waitSignal(plot.painted):
        plot.show_curves([], **LABELS)
    assert count(picture(plot), RED) == 0


def test_a_plot_without_strip_has_one_axes(qtbot: QtBot) -> None:
    plot = open_plot(qtbot, strip=False)
    plot.show_curves([curve()], value_label="RMSE")
    assert plot.strip_axes is None
    assert plot.axes.get_xlabel() == "wavelength (nm)"
    assert count(picture(plot), RED) > 200


def test_gaps_stay_gaps_and_single_values_are_marked(plot: SpectrumPlot) -> None:
    values = np.full(31, 0.5)
    values[10:] = np.nan
    values[15] = 0.3
    plot.show_curves([Curve(NM, values, RED, "-"), Curve(np.array([650.0]), np.array([0.9]), BLUE, "-")], **LABELS)
    gaps, single = plot.axes.lines
    assert (gaps.get_marker(), gaps.get_markevery()) == ("o", [15])
    assert (single.get_marker(), single.get_markevery()) == ("o", [0])
    assert 10 < count(picture(plot), BLUE) / plot.devicePixelRatioF() ** 2 < 100


def test_bands_are_pale_and_have_gaps_too(plot: SpectrumPlot) -> None:
    low, high = np.full(31, 0.2), np.full(31, 0.8)
    low[15] = np.nan
    plot.show_curves([Curve(NM, np.full(31, 0.5), RED, "-", low=low, high=high)], **LABELS)
    (band,) = plot.axes.collections
    assert len(band.get_paths()) == 2
    assert band.get_alpha() < 0.5


def test_the_hint_stands_in_an_empty_plot_only(plot: SpectrumPlot, qtbot: QtBot) -> None:
    plot.show_curves([], **LABELS, hint="Click a pixel of the image, and its spectrum appears here.")
    picture(plot)
    (hint,) = plot.axes.texts
    assert hint.get_text().replace("\n", " ") == "Click a pixel of the image, and its spectrum appears here."
    assert hint.get_visible()
    plot.preview([curve()])
    picture(plot)
    assert not hint.get_visible()


def test_a_preview_lies_over_the_curves_and_leaves_them_alone(plot: SpectrumPlot, qtbot: QtBot) -> None:
    plot.show_curves([curve(0.5)], [curve(0.05)], **LABELS)
    before, limits = picture(plot), plot.axes.get_ylim()
    with qtbot.waitSignal(plot.painted):
        plot.preview([curve(0.3, BLUE)], [curve(0.03, BLUE)])
    assert len(plot.axes.lines) == 1
    assert plot.axes.get_ylim() == limits
    assert count(picture(plot), BLUE) > 300
    with qtbot.waitSignal(plot.painted):
        plot.preview([])
    assert picture(plot) == before


def test_the_axes_grow_for_a_preview_and_shrink_after_it(plot: SpectrumPlot) -> None:
    plot.show_curves([curve(0.5)], [curve(0.05)], **LABELS)
    before = plot.axes.get_ylim()
    plot.preview([curve(3.0)])
    assert plot.axes.get_ylim()[1] > 3
    grown = plot.axes.get_ylim()
    plot.preview([curve(0.5)])
    assert plot.axes.get_ylim() == grown
    plot.preview([])
    assert plot.axes.get_ylim() == before


def test_the_axes_fit_what_comes_first_and_then_seldom_change(plot: SpectrumPlot) -> None:
    plot.preview([curve(0.004)])
    assert plot.axes.get_ylim()[1] < 0.005
    plot.preview([])
    plot.show_curves([curve(0.5)], **LABELS)
    limits = plot.axes.get_ylim()
    assert limits[1] < 0.6
    plot.show_curves([curve(0.45), curve(0.3)], **LABELS)
    assert plot.axes.get_ylim() == limits
    plot.show_curves([curve(0.1)], **LABELS)
    assert plot.axes.get_ylim()[1] < 0.15


def test_the_wavelength_line_moves_and_goes(plot: SpectrumPlot, qtbot: QtBot) -> None:
    plot.show_curves([curve()], **LABELS)
    without = picture(plot)
    ink = theme_colours("dark").ink
    plot.set_wavelength(500)
    for strip in (False, True):
        dot = place(plot, 500, strip=strip) * plot.devicePixelRatioF()
        # On a border between two pixels, each gets half of the line.
        assert (
            max(picture(plot).pixelColor(dot.x() + side, dot.y()).lightness() for side in (-1, 0, 1))
            > QColor(ink).lightness() / 2
        )
    plot.set_wavelength(600)
    assert picture(plot) != without
    plot.set_wavelength(None)
    assert picture(plot) == without


@pytest.mark.parametrize("strip", [False, True])
def test_a_click_tells_its_wavelength_and_a_drag_those_on_its_way(plot: SpectrumPlot, qtbot: QtBot, strip: bool) -> None:
    plot.show_curves([curve()], **LABELS)
    picture(plot)
    told: list[float] = []
    plot.wavelength_clicked.connect(told.append)
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=place(plot, 550, strip=strip))
    assert told == [pytest.approx(550, abs=2)]
    qtbot.mousePress(plot, Qt.MouseButton.LeftButton, pos=place(plot, 450, strip=strip))
    for nm in (500, 600):
        qtbot.mouseMove(plot, place(plot, nm, strip=strip))
    qtbot.mouseMove(plot, QPoint(plot.width() - 1, 5))
    qtbot.mouseRelease(plot, Qt.MouseButton.LeftButton)
    assert told[1:4] == [pytest.approx(nm, abs=2) for nm in (450, 500, 600)]
    assert told[4] == plot.axes.get_xlim()[1]
    qtbot.mouseMove(plot, place(plot, 500))
    qtbot.mouseClick(plot, Qt.MouseButton.RightButton, pos=place(plot, 550))
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(2, 100))
    assert len(told) == 5


def test_the_common_range_is_named_and_the_rest_shaded(plot: SpectrumPlot) -> None:
    plot.show_curves([curve()], [curve(0.05)], **LABELS)
    before = picture(plot)
    plot.set_common_range((420, 680))
    assert picture(plot) != before
    assert "compared over 420-680 nm" in texts(plot)
    plot.set_common_range(None)
    assert picture(plot) == before


def texts(plot: SpectrumPlot) -> list[str]:
    return [text.get_text() for text in plot.axes.figure.findobj(Text)]


def test_it_follows_the_theme(plot: SpectrumPlot) -> None:
    plot.show_curves([curve()], **LABELS)
    for theme in ("light", "dark"):
        plot.set_theme(theme)
        colours = theme_colours(theme)
        image = picture(plot)
        assert image.pixelColor(1, 1).name() == colours.face
        assert plot.axes.get_facecolor()[:3] == pytest.approx([part / 255 for part in bytes.fromhex(colours.face[1:])])
        assert plot.axes.yaxis.label.get_color() == colours.ink
        assert count(image, colours.ink, near=90) > 200
        assert contrast(colours.ink, colours.face) > 7
        assert contrast(colours.quiet, colours.face) > 4.5


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_are_on_white_and_text_stays_text(plot: SpectrumPlot, tmp_path: Path, suffix: str) -> None:
    plot.show_curves([curve(label="pixel (3, 4)")], [curve(0.05, label="pixel (3, 4)")], **LABELS)
    plot.set_wavelength(550)
    plot.preview([curve(0.4, BLUE)])
    before = picture(plot)
    path = tmp_path / f"spectra{suffix}"
    save_figure(path, plot.on_paper())
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (1250, 1312)
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        assert count(QImage(str(path)), RED) > 1000
        assert count(QImage(str(path)), BLUE) == 0
    elif suffix == ".svg":
        root = ElementTree.parse(path).getroot()
        written = {"".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("text")}
        assert {"reflectance", "relative error", "wavelength (nm)", "truth", "photo (photo estimate)", "500"} <= written
        names = [element.get("id") for element in root.iter() if element.get("id")]
        assert {"curve-1-pixel-(3,-4)", "error-1-pixel-(3,-4)"} <= set(names)
        assert len(names) == len(set(names))
    else:
        assert b"/FontFile2" in path.read_bytes()  # a TrueType font, not outlines of type 3
    assert picture(plot) == before


def test_a_picture_of_a_tiny_or_hidden_plot_has_a_usable_size(qtbot: QtBot, tmp_path: Path) -> None:
    plot = open_plot(qtbot, width=60, height=40)
    plot.show_curves([curve()], **LABELS)
    save_figure(tmp_path / "spectra.png", plot.on_paper())
    with Image.open(tmp_path / "spectra.png") as image:
        assert image.size == (875, 687)
    hidden = SpectrumPlot()
    qtbot.addWidget(hidden)
    hidden.show_curves([curve()], **LABELS)
    save_figure(tmp_path / "hidden.svg", hidden.on_paper())


def test_the_picture_is_copied(plot: SpectrumPlot) -> None:
    QApplication.clipboard().clear()
    plot.show_curves([curve()], **LABELS)
    plot.copy()
    image = QApplication.clipboard().image()
    assert (image.width(), image.height()) == (1250, 1312)
    assert image.pixelColor(1, 1).name() == "#ffffff"
    assert count(image, RED) > 1000


def test_resting_on_something_names_it(plot: SpectrumPlot) -> None:
    long = "a_name_that_is_far_too_long_for_the_row_above_the_plot <photo estimate>"
    level = Curve(NM, np.full(31, 0.5), RED, "-", label="pixel 1")
    plot.show_curves([level], **LABELS | {"key": [("truth", "--"), (long, "-")]})
    picture(plot)
    assert any("…" in text and text.startswith("a_name") for text in texts(plot))

    def rest_at(where: QPoint) -> str:
        QApplication.sendEvent(plot, QHelpEvent(QEvent.Type.ToolTip, where, plot.mapToGlobal(where)))
        return QToolTip.text() if QToolTip.isVisible() else ""

    assert rest_at(QPoint(200, 8)) == f"truth<br>{long.replace('<', '&lt;').replace('>', '&gt;')}"
    _, y = plot.axes.transData.transform((555, 0.5))
    y = plot.height() - y / plot.devicePixelRatioF()
    assert rest_at(QPoint(place(plot, 555).x(), round(y) + 3)) == "pixel 1"
    assert rest_at(QPoint(4, 150)) == "reflectance"


@pytest.mark.parametrize("dpi", [96, 192])
@pytest.mark.parametrize("size", [(280, 220), (400, 420), (900, 600)])
@pytest.mark.parametrize("scale", [1e-4, 0.5, 4000.0, -0.3])
@pytest.mark.parametrize("strip", [False, True])
def test_nothing_is_cut_off_or_overlaps(dpi: int, size: tuple[int, int], scale: float, strip: bool) -> None:
    page = Page(PAPER, strip=strip, size=(size[0] / 96, size[1] / 96), dpi=dpi)
    key = (
        *KEY,
        ("a name_without_end of a model (ntire2022 estimate)", ":"),
        ("another name_without_end (photo estimate)", "-."),
    )
    wide = np.linspace(397, 1003, 204)
    curves = (curve(scale), curve(scale / 2, wavelengths=wide))
    page.show(Content(curves, (curve(15.0),), "value divided by its maximum, of unknown quantity", "relative error", key))
    page.set_common_range((400, 700))
    page.lay_out()
    FigureCanvasAgg(page.figure).draw()
    boxes = {
        f"{text.get_text()} {number}": text.get_window_extent()
        for number, text in enumerate(page.figure.findobj(Text))
        if text.get_text() and text.get_visible() and seen(text, page)
    }
    assert len(boxes) > 8
    for name, box in boxes.items():
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= page.figure.bbox.width, name
        assert box.y1 <= page.figure.bbox.height, name
        for other, its_box in boxes.items():
            across = min(box.x1, its_box.x1) - max(box.x0, its_box.x0)
            along = min(box.y1, its_box.y1) - max(box.y0, its_box.y0)
            assert other == name or min(across, along) <= 1, (name, other)


def seen(text: Text, page: Page) -> bool:
    """Whether a label belongs to a tick within the limits."""
    for axes in page.all_axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = axis.get_view_interval()
            for tick in axis.get_major_ticks():
                if text is tick.label2 or (text is tick.label1 and not low <= tick.get_loc() <= high):
                    return False
    return True


def test_any_size_is_survived_and_the_last_one_is_drawn(plot: SpectrumPlot, qtbot: QtBot) -> None:
    plot.show_curves([curve()], [curve(0.05)], **LABELS)
    picture(plot)
    for width, height in [(1, 1), (0, 0), (40, 30), (2000, 12), (150, 110), (500, 300)]:
        plot.resize(width, height)
        QApplication.processEvents()
        picture(plot)
    with qtbot.waitSignal(plot.painted):
        plot.show_curves([curve(0.4)], **LABELS)
    assert plot.axes.figure.bbox.size.tolist() == [500 * plot.devicePixelRatioF(), 300 * plot.devicePixelRatioF()]
    assert count(picture(plot), RED) > 200


def test_a_new_size_is_drawn_once_it_has_settled(plot: SpectrumPlot, qtbot: QtBot) -> None:
    picture(plot)
    before = plot.axes.get_position().bounds
    for width in range(410, 500, 10):
        plot.resize(width, 420)
        picture(plot)
        assert plot.axes.get_position().bounds == before
    qtbot.waitUntil(lambda: plot.axes.get_position().bounds != before)


def test_nothing_is_drawn_while_hidden_and_everything_when_shown(plot: SpectrumPlot, qtbot: QtBot) -> None:
    plot.hide()
    with qtbot.assertNotEmitted(plot.painted, wait=50):
        plot.show_curves([curve()], **LABELS)
    with qtbot.waitSignal(plot.painted):
        plot.show()


def test_it_may_be_deleted_with_work_pending(qtbot: QtBot) -> None:
    for shown in (True, False):
        plot = SpectrumPlot()
        if shown:
            plot.show()
            qtbot.waitExposed(plot)
            picture(plot)
        plot.resize(350, 300)
        plot.show_curves([curve()], [curve(0.05)], **LABELS)
        plot.preview([curve()])
        plot.set_wavelength(500)
        with qtbot.waitSignal(plot.destroyed):
            plot.deleteLater()
        qtbot.wait(100)  # longer than any timer of its own would


def test_names_with_any_characters_are_shown_without_a_warning(plot: SpectrumPlot) -> None:
    plot.show_curves(
        [curve(label="日本")], value_label="$x", key=[("日本 \n $a_1$", "-"), ("_hidden", "--")], hint="日本", error_label="%"
    )
    plot.show_curves([], value_label="", hint="日本")
    assert not picture(plot).isNull()


def test_four_hundred_bands_and_forty_curves(plot: SpectrumPlot, tmp_path: Path) -> None:
    bands = np.linspace(397, 1003, 400)
    plot.show_curves([curve(0.02 * number, wavelengths=bands) for number in range(40)], **LABELS)
    assert len(plot.axes.lines) == 40
    assert not picture(plot).isNull()
    low, high = plot.axes.get_xlim()
    assert 380 < low < 397
    assert 1003 < high < 1020


@pytest.mark.parametrize(
    ("values", "limits"),
    [
        ([], (0, 1)),
        ([0, 0], (0, 1)),
        ([np.nan, np.inf, 0.42], (0, 0.5)),
        ([0.3, 1.0], (0, 1)),
        ([0.71, 0.02], (0, 0.8)),
        ([3, 3900], (0, 4000)),
        ([-0.003, 0.42], (-0.05, 0.5)),
        ([-0.3, -0.1], (-0.3, 0)),
        ([1e-9], (0, 1e-9)),
    ],
)
def test_value_limits_are_round_and_start_at_zero(values: list[float], limits: tuple[float, float]) -> None:
    shown = Curve(np.arange(len(values)) + 400.0, np.array(values, dtype=float), RED, "-")
    assert value_limits([shown]) == pytest.approx(limits)


def test_bands_around_curves_count_for_the_limits() -> None:
    flat = np.full(31, 0.5)
    assert value_limits([Curve(NM, flat, RED, "-", low=flat - 0.2, high=flat + 0.4)]) == pytest.approx((0, 1))


def test_one_dark_band_does_not_set_the_scale_of_the_errors(plot: SpectrumPlot) -> None:
    errors = np.full(31, 0.18)
    assert error_limits([]) == error_limits([Curve(NM, errors / 10, RED, "-")]) == (0, 0.1)
    errors[3] = 40
    dark = Curve(NM, errors, RED, "-")
    assert error_limits([dark]) == pytest.approx((0, 0.2))
    plot.show_curves([curve()], [dark], **LABELS)
    assert plot.strip_axes is not None
    (arrows,) = plot.strip_axes.collections
    np.testing.assert_array_equal(arrows.get_offsets(), [(430, 1)])


def test_limits_change_only_where_they_must() -> None:
    assert suit((0, 1), (0, 0.6), slack=2) == (0, 1)
    assert suit((0, 1), (0, 0.4), slack=2) == (0, 0.4)
    assert suit((0, 1), (0, 1.5), slack=2) == (0, 1.5)
    assert suit((0, 1), (-0.1, 0.9), slack=2) == (-0.1, 0.9)
    assert wavelength_limits([]) == pytest.approx((395.5, 704.5))
    assert wavelength_limits([Curve(np.array([550.0]), np.array([1.0]), RED, "-")]) == (540, 560)


def test_long_names_lose_their_middle() -> None:
    name = "ARAD_1K_0901 (ntire2022 estimate)"
    assert fitted(name, 8, 500) == name
    shortened = fitted(name, 8, 100)
    assert text_width(shortened, 8) <= 100
    start, end = shortened.split("…")
    assert name.startswith(start)
    assert name.endswith(end)
    assert fitted(name, 8, 3) == "…"
    assert shared_out([20, 30], 60) == [20, 30]
    assert shared_out([20, 80, 90], 100) == [20, 40, 40]


def test_paper_colours() -> None:
    assert printable(RED) == RED
    assert printable("yellow") != "#ffff00"
    assert contrast(printable("#ffffff"), "#ffffff") >= 1.7
