"""The dock Spectrum in a real viewer, driven by mouse."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
import pytest
import xarray as xr
from napari.layers import Image, Shapes
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

from napari_drcr.analysis.regions import region_spectrum
from napari_drcr.analysis.spectra import compare, spectral_angle_map, spectrum_at
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.inference.reconstruction import ESTIMATE
from napari_drcr.io import read_cube, write_cube
from napari_drcr.widgets.plot import Curve
from napari_drcr.widgets.spectrum.dock import MATCHED, NO_CUBE, NO_PLACE, Spectrum
from napari_drcr.widgets.spectrum.reference_choice import COLORCHECKER
from napari_drcr.widgets.viewer.layers import cube_to_layer_data, layer_to_cube, map_to_layer_data, show_map
from viewer_tools import canvas_of, click, drag, move, on_canvas, world_of

PLACED = {"scale": (10, 0.5, 0.25), "translate": (400, 30, 40), "units": ("nm", "um", "um")}
HEIGHT, WIDTH = 40, 60


@pytest.fixture
def viewer(shown_viewer: napari.Viewer) -> napari.Viewer:
    notification_manager.records.clear()
    return shown_viewer


def a_cube(seed: int = 0, nm: Any = WAVELENGTHS, height: int = HEIGHT, width: int = WIDTH, **labels: Any) -> xr.DataArray:
    """Smooth spectra, another at each pixel, all above the floor."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 3, (1, height, width))
    band = np.asarray(nm)[:, None, None] / 100
    values = (0.5 + 0.4 * np.sin(band + phase)).astype(np.float32)
    return make_cube(values, nm, **{"quantity": "reflectance", **labels})


def add(viewer: napari.Viewer, cube: xr.DataArray, **properties: Any) -> Image:
    values, described, _ = cube_to_layer_data(cube)
    viewer.add_image(values, **described | properties)
    return viewer.layers[-1]


def add_truth(viewer: napari.Viewer, **properties: Any) -> Image:
    return add(viewer, a_cube(0, name="truth"), **properties)


def add_estimate(viewer: napari.Viewer, seed: int = 1, model: str = "photo", **properties: Any) -> Image:
    return add(viewer, a_cube(seed, name=f"scene ({model} estimate)", attrs={"model": model}), **properties)


def open_spectrum(viewer: napari.Viewer) -> Spectrum:
    _, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Spectrum")
    QApplication.processEvents()
    viewer.reset_view()
    return widget


def picked(widget: Spectrum, count: int, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: len(widget.drawing.curves) == count)


def curve_of(widget: Spectrum, name: str) -> Curve:
    return next(curve for curve in widget.drawing.curves if curve.label == name)


def messages() -> list[str]:
    return [note.message for note in notification_manager.records]


def test_it_says_what_to_do(viewer: napari.Viewer, qtbot: QtBot) -> None:
    widget = open_spectrum(viewer)

    def hint() -> str:
        return widget.plot.axes.texts[0].get_text().replace("\n", " ")

    qtbot.waitUntil(lambda: hint() == NO_CUBE)
    add_truth(viewer)
    qtbot.waitUntil(lambda: hint() == NO_PLACE)


@pytest.mark.parametrize("placed", [{}, PLACED], ids=["in pixels", "scaled and moved"])
@pytest.mark.parametrize("band", [0, 30], ids=["first band", "last band"])
def test_a_click_draws_the_spectrum_of_its_pixel(
    viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any], band: int
) -> None:
    layer = add_truth(viewer, **placed)
    widget = open_spectrum(viewer)
    viewer.dims.set_current_step(0, band)
    click(viewer, layer, 20, 30, qtbot)
    picked(widget, 1, qtbot)
    curve = widget.drawing.curves[0]
    np.testing.assert_array_equal(curve.values, layer.data[:, 20, 30])
    np.testing.assert_array_equal(curve.wavelengths, WAVELENGTHS)
    (pick,) = widget.places.picks.all()
    assert (pick.y, pick.x, pick.colour) == (20, 30, curve.colour)
    assert viewer.layers.selection.active is layer


def test_neither_a_drag_nor_a_click_outside_picks(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = add_truth(viewer)
    widget = open_spectrum(viewer)
    drag(viewer, layer, (10, 10), (30, 40), qtbot)
    viewer.reset_view()
    viewer.scene.camera.zoom /= 2
    click(viewer, layer, -10, 30, qtbot)
    click(viewer, layer, 5, 30, qtbot)
    picked(widget, 1, qtbot)
    assert [(pick.y, pick.x) for pick in widget.places.picks.all()] == [(5, 30)]


def test_clicks_do_not_pick_while_the_button_is_up_or_the_dock_hidden(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.pick_button.click()
    click(viewer, layer, 20, 30, qtbot)
    widget.pick_button.click()
    widget.parent().hide()
    click(viewer, layer, 21, 30, qtbot)
    widget.parent().show()
    viewer.reset_view()
    click(viewer, layer, 22, 30, qtbot)
    picked(widget, 1, qtbot)
    assert widget.places.picks.all()[0].y == 22


def test_in_3d_a_click_says_why_it_does_nothing(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = add_truth(viewer)
    widget = open_spectrum(viewer)
    viewer.dims.ndisplay = 3
    click(viewer, layer, 20, 30, qtbot)
    qtbot.waitUntil(lambda: "flat view" in widget.status.text())
    assert widget.drawing.curves == []
    viewer.dims.ndisplay = 2
    viewer.reset_view()
    click(viewer, layer, 20, 30, qtbot)
    picked(widget, 1, qtbot)


def test_curves_follow_points_that_are_moved_recoloured_and_deleted(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.pick(layer, 10, 10)
    widget.pick(layer, 20, 30)
    picked(widget, 2, qtbot)
    points = widget.places.picks.layer
    viewer.layers.selection.active = points
    points.mode = "select"
    drag(viewer, layer, (20, 30), (25, 40), qtbot)
    qtbot.waitUntil(lambda: np.array_equal(widget.drawing.curves[1].values, layer.data[:, 25, 40]))
    points.selected_data = {0}
    points.current_face_color = "#123456"
    qtbot.waitUntil(lambda: widget.drawing.curves[0].colour == "#123456")
    points.remove_selected()
    picked(widget, 1, qtbot)
    np.testing.assert_array_equal(widget.drawing.curves[0].values, layer.data[:, 25, 40])
    viewer.layers.remove(points)
    picked(widget, 0, qtbot)


def test_estimates_are_compared_with_the_truth(viewer: napari.Viewer, qtbot: QtBot) -> None:
    estimate = add_estimate(viewer)
    truth = add_truth(viewer)
    second = add_estimate(viewer, 2, "linear")
    widget = open_spectrum(viewer)
    assert widget.cubes.truth.value is truth
    assert list(widget.cubes.styles.items()) == [(truth, "--"), (estimate, "-"), (second, ":")]
    widget.pick(truth, 7, 8)
    picked(widget, 3, qtbot)
    assert len({curve.colour for curve in widget.drawing.curves}) == 1
    expected = compare(*(spectrum_at(layer_to_cube(layer), 7, 8) for layer in (truth, estimate)))
    row = widget.drawing.rows[0]
    assert row.comparison is not None
    assert (row.comparison.mrae, row.comparison.rmse, row.comparison.sam) == (expected.mrae, expected.rmse, expected.sam)
    cells = [widget.table.item(0, column).text() for column in range(7)]
    assert cells == ["pick 1", "photo", "7", "8", f"{expected.mrae:.3f}", f"{expected.rmse:.4f}", f"{expected.sam:.1f}"]
    assert widget.table.horizontalHeaderItem(4).text() == "MRAE@0.01"
    np.testing.assert_array_equal(widget.drawing.errors[0].values, expected.relative_error)
    assert ESTIMATE in widget.status.text()


def test_the_floor_changes_the_score_and_its_name(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth, _ = add_truth(viewer), add_estimate(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 2, qtbot)
    before = widget.drawing.rows[0].comparison
    widget.floor.value = 0.5
    after = widget.drawing.rows[0].comparison
    assert before is not None
    assert after is not None
    assert after.mrae < before.mrae
    assert widget.table.horizontalHeaderItem(4).text() == "MRAE@0.5"


def test_cubes_of_other_bands_are_drawn_at_their_own_and_compared_on_common_ones(viewer: napari.Viewer, qtbot: QtBot) -> None:
    fine = add(viewer, a_cube(0, np.arange(450, 851, 5.0), name="fine"))
    estimate = add_estimate(viewer)
    widget = open_spectrum(viewer)
    widget.pick(fine, 7, 8)
    picked(widget, 2, qtbot)
    assert curve_of(widget, "pick 1, fine").wavelengths[-1] == 850
    assert curve_of(widget, f"pick 1, {estimate.name}").wavelengths[0] == 400
    assert widget.drawing.common_range == (450, 700)
    assert widget.drawing.errors[0].wavelengths[0] == 450


def test_another_size_is_refused_in_a_sentence(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    add(viewer, a_cube(1, name="small", height=10, width=20))
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    assert "another size than 40 x 60 pixels" in widget.cubes.status.text()
    assert "'small' (10 x 20)" in widget.cubes.status.text()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [({"quantity": "radiance"}, "One cube holds reflectance, the other radiance"), ({}, "")],
    ids=["another quantity", "the same"],
)
def test_another_quantity_is_warned_about(viewer: napari.Viewer, labels: dict[str, Any], sentence: str) -> None:
    add_truth(viewer)
    add(viewer, a_cube(1, name="other", attrs={"model": "photo"}, **labels))
    widget = open_spectrum(viewer)
    assert sentence in widget.status.text()
    assert ("comparable" in widget.status.text()) == bool(sentence)


def test_scales_can_be_matched_and_it_is_said(viewer: napari.Viewer, qtbot: QtBot) -> None:
    cube = a_cube(0, name="truth")
    truth = add(viewer, cube)
    add(viewer, cube.copy(data=cube.values * 2).rename("bright").assign_attrs(model="photo"))
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 2, qtbot)
    assert widget.table.columnCount() == 7
    widget.match.value = True
    assert widget.drawing.rows[0].comparison.mrae == pytest.approx(0, abs=1e-5)
    assert widget.drawing.rows[0].factor == pytest.approx(0.5)
    assert widget.table.item(0, 7).text() == "0.5"
    assert MATCHED in widget.status.text()
    first, second = widget.drawing.curves
    np.testing.assert_allclose(first.values, second.values, rtol=1e-5)


def test_curves_can_be_divided_by_maximum_or_area(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    widget.scaling.value = "maximum"
    assert widget.drawing.curves[0].values.max() == pytest.approx(1)
    qtbot.waitUntil(lambda: widget.plot.axes.get_ylabel() == "reflectance / its maximum")
    widget.scaling.value = "area"
    curve = widget.drawing.curves[0]
    assert np.trapezoid(curve.values, curve.wavelengths) == pytest.approx(1)


@pytest.mark.parametrize("placed", [{}, PLACED], ids=["in pixels", "scaled and moved"])
def test_regions_are_drawn_in_the_colour_of_their_shapes(viewer: napari.Viewer, qtbot: QtBot, placed: dict[str, Any]) -> None:
    truth = add_truth(viewer, **placed)
    widget = open_spectrum(viewer)
    corners = np.array([[4.5, 9.5], [4.5, 19.5], [14.5, 19.5], [14.5, 9.5]])
    world = np.stack([truth.data_to_world((0, *corner))[1:] for corner in corners])
    shapes = Shapes([world], shape_type="rectangle", edge_color="#aa3377", units=truth.units[1:])
    viewer.add_layer(shapes)
    widget.places.shapes.value = shapes
    picked(widget, 1, qtbot)
    curve = widget.drawing.curves[0]
    expected = region_spectrum(layer_to_cube(truth), corners)
    assert curve.colour == "#aa3377"
    for found, wanted in ((curve.values, expected.centre), (curve.low, expected.low), (curve.high, expected.high)):
        np.testing.assert_allclose(found, wanted)
    widget.places.statistic.value = "median"
    median = region_spectrum(layer_to_cube(truth), corners, "median").centre
    qtbot.waitUntil(lambda: bool(widget.drawing.curves) and np.allclose(widget.drawing.curves[0].values, median))
    viewer.layers.remove(shapes)
    picked(widget, 0, qtbot)


def test_draw_a_region_makes_a_layer_ready_to_draw_in(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer, **PLACED)
    widget = open_spectrum(viewer)
    widget.places.draw_button.click()
    shapes = widget.places.shapes.value
    assert viewer.layers.selection.active is shapes
    assert shapes.mode == "add_polygon"
    shapes.add_rectangles([[(3, 4), (3, 9), (8, 9), (8, 4)], [(13, 4), (13, 9), (18, 9), (18, 4)]])
    picked(widget, 2, qtbot)
    assert widget.drawing.curves[0].colour != widget.drawing.curves[1].colour
    np.testing.assert_allclose(world_of(viewer, shapes, 3, 4), world_of(viewer, truth, 3, 4))


def test_a_region_that_is_given_up_leaves_the_others_and_the_picks(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.places.draw_button.click()
    shapes = widget.places.shapes.value
    qtbot.wait(50)

    def draw(*corners: tuple[float, float]) -> None:
        for corner in corners:
            click(viewer, truth, *corner, qtbot)
            move(viewer, truth, *corner, qtbot)
        qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)

    draw((5, 5), (5, 20), (20, 20), (20, 5))
    picked(widget, 1, qtbot)
    draw((30, 30))
    qtbot.wait(150)
    assert (shapes.nshapes, len(shapes.edge_color)) == (1, 2)
    widget.pick(truth, 7, 8)
    picked(widget, 2, qtbot)
    shapes.current_edge_color = "red"
    draw((25, 30), (25, 45), (35, 45), (35, 30))
    picked(widget, 3, qtbot)
    qtbot.wait(150)
    # What is painted is what the vertices of the mesh say.
    painted = {tuple(colour) for colour in np.rint(255 * shapes._data_view._mesh.displayed_triangles_colors[:, :3]).astype(int)}
    curves = {tuple(QColor(curve.colour).getRgb()[:3]) for curve in widget.drawing.curves[1:]}
    assert len(curves) == 2
    assert curves <= painted
    assert not {(255, 0, 0)} & (painted - curves)


def test_the_buttons_say_whether_clicks_pick_or_draw(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    dock, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Spectrum")
    pick, draw = widget.pick_button, widget.places.draw_button

    def pressed() -> tuple[bool, bool]:
        return pick.isChecked(), draw.isChecked()

    assert pressed() == (True, False)
    draw.click()
    shapes = widget.places.shapes.value
    assert pressed() == (False, True)
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)
    assert shapes.mode == "add_polygon"
    assert pressed() == (False, True)
    pick.click()
    assert shapes.mode == "pan_zoom"
    assert pressed() == (True, False)
    draw.click()
    draw.click()
    assert shapes.mode == "pan_zoom"
    assert pressed() == (True, False)
    draw.click()
    viewer.layers.selection.active = truth
    assert pressed() == (True, False)
    viewer.layers.selection.active = shapes
    assert pressed() == (False, True)
    controls = viewer.window._qt_viewer.controls.widgets[shapes]
    controls.panzoom_button.click()
    assert pressed() == (True, False)
    controls.rectangle_button.click()
    assert pressed() == (False, True)
    controls.select_button.click()
    assert pressed() == (False, False)
    pick.click()
    assert pressed() == (True, False)
    pick.click()
    draw.click()
    draw.click()
    assert pressed() == (False, False)
    draw.click()
    viewer.window.remove_dock_widget(dock)
    assert shapes.mode == "pan_zoom"
    widget.deleteLater()


def test_there_is_nothing_to_draw_on_without_a_cube(viewer: napari.Viewer) -> None:
    widget = open_spectrum(viewer)
    widget.places.draw_button.click()
    assert not widget.places.draw_button.isChecked()
    assert widget.pick_button.isChecked()
    assert len(viewer.layers) == 0


def test_a_pick_is_seen_whatever_was_added_since_the_last(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    click(viewer, truth, 5, 5, qtbot)
    picked(widget, 1, qtbot)
    picks = widget.places.picks.layer
    cube = layer_to_cube(truth)
    angles = spectral_angle_map(cube, spectrum_at(cube, 5, 5)).rename("spectral angle")
    values, properties, _ = map_to_layer_data(angles, truth, name="angles", facts={})
    show_map(viewer, values, properties)
    assert [layer.name for layer in viewer.layers] == ["truth", "angles", picks.name]
    # As napari itself adds layers.
    viewer.add_image(np.ones((HEIGHT, WIDTH)), name="cover")
    picks.visible = False
    viewer.layers.selection.active = truth
    click(viewer, truth, 20, 30, qtbot)
    picked(widget, 2, qtbot)
    assert viewer.layers[-1] is picks
    assert viewer.layers.selection.active is truth
    where = on_canvas(viewer, truth, 20, 30)
    shot = viewer.screenshot(canvas_only=True, flash=False)
    assert tuple(shot[where.y(), where.x(), :3]) == QColor(widget.places.picks.all()[1].colour).getRgb()[:3]


def test_the_line_follows_the_slider_and_a_click_moves_it(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add_truth(viewer)
    widget = open_spectrum(viewer)
    viewer.dims.set_current_step(0, 7)
    widget.plot.wavelength_clicked.emit(623.0)
    assert viewer.dims.point[0] == 620
    viewer.dims.set_current_step(0, 7)
    assert widget.plot.wavelength == 470


def test_uneven_bands_still_read_in_nm(viewer: napari.Viewer, qtbot: QtBot) -> None:
    add(viewer, a_cube(0, [400, 450, 470, 600, 900], name="uneven"))
    widget = open_spectrum(viewer)
    widget.plot.wavelength_clicked.emit(610.0)
    assert viewer.dims.current_step[0] == 3
    assert widget.plot.wavelength == 600


def test_shift_and_the_toggle_preview_the_pixel_under_the_pointer(viewer: napari.Viewer, qtbot: QtBot) -> None:
    layer = add_truth(viewer, **PLACED)
    widget = open_spectrum(viewer)

    def previewed() -> list[Curve]:
        return list(widget.plot.previewed)

    move(viewer, layer, 12, 13, qtbot)
    qtbot.wait(20)
    assert previewed() == []
    move(viewer, layer, 12, 14, qtbot, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: len(previewed()) == 1)
    np.testing.assert_array_equal(previewed()[0].values, layer.data[:, 12, 14])
    move(viewer, layer, 12, 15, qtbot)
    qtbot.waitUntil(lambda: previewed() == [])
    widget.preview_button.click()
    move(viewer, layer, 15, 16, qtbot)
    qtbot.waitUntil(lambda: len(previewed()) == 1)
    np.testing.assert_array_equal(previewed()[0].values, layer.data[:, 15, 16])
    assert widget.drawing.curves == []


def test_reference_spectra_are_overlaid_and_ranked(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    nm = np.arange(400, 701, 10)
    like, unlike = truth.data[:, 7, 8] * 0.3, np.linspace(1, 0.1, 31)
    with (tmp_path / "leaves.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["wavelength (nm)", "unlike", "like"])
        rows.writerows(zip(nm, unlike, like, strict=True))
    widget.references.chooser.value = str(tmp_path / "leaves.csv")
    qtbot.waitUntil(lambda: widget.references.list.texts == ["unlike", "like"])
    widget.references.mark("unlike")
    assert [overlay.name for overlay in widget.references.overlays] == ["unlike"]
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    widget.table.selectRow(0)
    qtbot.waitUntil(lambda: widget.references.list.texts[0].startswith("like"))
    assert widget.references.list.texts[0] == "like  0.0°"
    (tmp_path / "broken.csv").write_text("nothing")
    widget.references.chooser.value = str(tmp_path / "broken.csv")
    qtbot.waitUntil(lambda: "broken.csv" in widget.references.status.text())


def test_the_colorchecker_is_at_hand(viewer: napari.Viewer, qtbot: QtBot) -> None:
    widget = open_spectrum(viewer)
    widget.references.chooser.value = COLORCHECKER
    qtbot.waitUntil(lambda: len(widget.references.list.texts) == 24, timeout=30_000)
    assert widget.references.list.texts[0] == "dark skin"


@pytest.mark.parametrize("estimate", [False, True], ids=["measured", "estimate"])
def test_similar_pixels_are_mapped(viewer: napari.Viewer, qtbot: QtBot, estimate: bool) -> None:
    layer = (add_estimate if estimate else add_truth)(viewer, **PLACED)
    widget = open_spectrum(viewer)
    widget.pick(layer, 7, 8)
    picked(widget, 1, qtbot)
    menu = widget.similar.menu()
    menu.aboutToShow.emit()
    (action,) = menu.actions()
    action.trigger()
    qtbot.waitUntil(lambda: "map" in viewer.layers[-2].metadata["napari_drcr"], timeout=30_000)
    found, picks = viewer.layers[-2:]
    assert picks is widget.places.picks.layer
    cube = layer_to_cube(layer)
    np.testing.assert_allclose(found.data, spectral_angle_map(cube, spectrum_at(cube, 7, 8)))
    assert ("look-alikes" in found.name) == ("look-alikes" in action.text()) == estimate
    np.testing.assert_allclose(found.data_to_world((3, 4)), layer.data_to_world((0, 3, 4))[1:])
    assert found not in widget.cubes.layers


def test_spectra_are_saved_as_a_table_and_the_plot_as_a_picture(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    truth, estimate = add_truth(viewer), add_estimate(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 2, qtbot)
    widget.scaling.value = "maximum"
    widget.save_menu.save_spectra(tmp_path / "spectra.csv")
    qtbot.waitUntil(lambda: widget.status.text() == "Saved spectra.csv.")
    with (tmp_path / "spectra.csv").open() as file:
        first, second = csv.DictReader(file)
    assert [first[key] for key in ("name", "layer", "model", "y", "x")] == ["pick 1", "truth", "", "7", "8"]
    assert second["model"] == "photo"
    assert float(second["550"]) == pytest.approx(estimate.data[15, 7, 8])
    for suffix in ("png", "svg", "pdf"):
        widget.save_menu.save_plot(tmp_path / f"plot.{suffix}")
        qtbot.waitUntil(lambda name=f"plot.{suffix}": widget.status.text() == f"Saved {name}.")
        assert (tmp_path / f"plot.{suffix}").stat().st_size > 1000
    widget.save_menu.save_plot(tmp_path / "plot.bmp")
    qtbot.waitUntil(lambda: any("bmp" in message for message in messages()))
    widget.save_menu.menu().actions()[-1].trigger()
    assert not QApplication.clipboard().image().isNull()


def test_picks_are_saved_and_reopened(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    # napari can crash in software OpenGL when a Points layer is removed and a single image remains to be drawn.
    viewer.add_image(
        np.zeros((HEIGHT, WIDTH)), scale=PLACED["scale"][1:], translate=PLACED["translate"][1:], units=("um", "um")
    )
    truth = add_truth(viewer, **PLACED)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    widget.pick(truth, 12, 13)
    picked(widget, 2, qtbot)
    colours = [curve.colour for curve in widget.drawing.curves]
    widget.places.picks.layer.save(str(tmp_path / "picks.csv"))
    viewer.layers.remove(widget.places.picks.layer)
    picked(widget, 0, qtbot)
    viewer.open(tmp_path / "picks.csv", plugin="napari")
    widget.places.points.value = viewer.layers[-1]
    picked(widget, 2, qtbot)
    assert [curve.colour for curve in widget.drawing.curves] == colours
    np.testing.assert_array_equal(widget.drawing.curves[1].values, truth.data[:, 12, 13])
    np.testing.assert_allclose(world_of(viewer, viewer.layers[-1], 7, 8), world_of(viewer, truth, 7, 8))


def test_choosing_no_points_takes_their_curves_away(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer, **PLACED)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    widget.places.points.native.setCurrentIndex(0)
    picked(widget, 0, qtbot)
    assert len(viewer.layers) == 2


def test_a_lazy_cube_is_not_read_whole(viewer: napari.Viewer, qtbot: QtBot) -> None:
    read = []

    def chunk(block_info: Any) -> np.ndarray:
        where = block_info[None]["array-location"]
        read.append(where)
        shape = [stop - start for start, stop in where]
        return np.full(shape, where[1][0], dtype=np.float32)

    data = da.map_blocks(chunk, chunks=((200,), (20,) * 4, (20,) * 4), dtype=np.float32, meta=np.empty((0, 0, 0), np.float32))
    place = {"scale": (2, 1, 1), "translate": (400, 0, 0), "units": ("nm", "pixel", "pixel")}
    viewer.add_image(data, contrast_limits=(0, 60), **place)
    layer = viewer.layers[-1]
    widget = open_spectrum(viewer)
    QApplication.processEvents()
    read.clear()
    widget.pick(layer, 45, 70)
    picked(widget, 1, qtbot)
    assert {str(where) for where in read} == {"[(0, 200), (40, 60), (60, 80)]"}
    np.testing.assert_array_equal(widget.drawing.curves[0].values, np.full(200, 40))


def test_a_file_changed_since_it_was_opened_is_named(viewer: napari.Viewer, qtbot: QtBot, tmp_path: Path) -> None:
    write_cube(tmp_path / "scene.hdr", a_cube())
    layer = add(viewer, read_cube(tmp_path / "scene.hdr", lazy=True))
    widget = open_spectrum(viewer)
    os.truncate(tmp_path / "scene.img", 5000)
    widget.pick(layer, 7, 8)
    qtbot.waitUntil(lambda: widget.status.text() == "scene.img has changed since it was opened; open it again.")


def test_layers_removed_while_shown_take_their_curves_along(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth, estimate = add_truth(viewer), add_estimate(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 2, qtbot)
    viewer.layers.remove(truth)
    picked(widget, 1, qtbot)
    assert widget.cubes.layers == [estimate]
    assert widget.drawing.errors == []
    viewer.layers.clear()
    picked(widget, 0, qtbot)


def test_what_says_it_is_a_cube_and_is_none_is_named(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    wrong = add(viewer, a_cube(1, name="wrong"))
    wrong.metadata["napari_drcr"]["quantity"] = "brightness"
    widget.cubes.mark(wrong, True)
    widget.pick(truth, 7, 8)
    widget.cubes.mark(wrong, False)
    picked(widget, 1, qtbot)


def test_new_data_of_a_layer_are_read_again(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    truth.data = a_cube(5).values
    qtbot.waitUntil(lambda: np.array_equal(widget.drawing.curves[0].values, truth.data[:, 7, 8]))


def test_the_table_flies_removes_and_highlights(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)
    widget = open_spectrum(viewer)
    widget.pick(truth, 7, 8)
    widget.pick(truth, 30, 50)
    picked(widget, 2, qtbot)
    widget.table.selectRow(1)
    assert [curve.thick for curve in widget.drawing.curves] == [False, True]
    widget.table.itemDoubleClicked.emit(widget.table.item(1, 0))
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (30, 50))
    qtbot.keyClick(widget.table, Qt.Key.Key_Delete)
    picked(widget, 1, qtbot)
    assert widget.places.picks.all()[0].y == 7


def test_closing_leaves_nothing_behind_and_reopening_finds_the_picks(viewer: napari.Viewer, qtbot: QtBot) -> None:
    truth = add_truth(viewer)

    def callbacks() -> list[int]:
        emitters = [
            *(getattr(viewer.layers.events, name) for name in ("inserted", "removed", "reordered", "renamed")),
            viewer.dims.events.point,
            viewer.events.theme,
            truth.events.data,
        ]
        return [
            *(len(emitter.callbacks) for emitter in emitters),
            len(viewer.mouse_drag_callbacks),
            len(viewer.mouse_move_callbacks),
        ]

    before = callbacks()
    dock, widget = viewer.window.add_plugin_dock_widget("napari-drcr", "Spectrum")
    widget.pick(truth, 7, 8)
    picked(widget, 1, qtbot)
    points = widget.places.picks.layer
    viewer.window.remove_dock_widget(dock)
    assert callbacks() == before
    widget.deleteLater()
    QApplication.processEvents()
    click(viewer, truth, 3, 3, qtbot)
    assert len(points.data) == 1
    again = open_spectrum(viewer)
    assert again.places.picks.layer is points
    picked(again, 1, qtbot)


def test_the_plot_follows_the_theme(viewer: napari.Viewer) -> None:
    widget = open_spectrum(viewer)
    viewer.theme = "light"
    light = widget.plot.axes.figure.get_facecolor()
    viewer.theme = "dark"
    assert sum(widget.plot.axes.figure.get_facecolor()[:3]) < sum(light[:3])
