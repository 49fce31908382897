"""What a cube is, and how it changes bands and becomes a picture."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import napari_drcr as nd
from napari_drcr.cubes.colorimetry import daylight, illuminant, illuminant_names
from napari_drcr.cubes.cube import WAVELENGTHS, align, check_cube, relight


def test_a_cube_knows_its_bands_and_what_it_holds() -> None:
    cube = nd.make_cube(np.ones((3, 4, 5), np.uint16), [450, 550, 650], quantity="radiance", scale=4095, name="scene")
    assert cube.dims == ("wavelength", "y", "x")
    assert cube.dtype == np.float32
    assert cube["wavelength"].attrs["units"] == "nm"
    assert (cube.attrs["quantity"], cube.attrs["scale"]) == ("radiance", 4095)


def test_31_bands_without_wavelengths_are_assumed_aloud() -> None:
    with pytest.warns(nd.Notice, match="400-700 nm"):
        cube = nd.make_cube(np.ones((31, 4, 5)))
    assert tuple(cube["wavelength"].values) == WAVELENGTHS


@pytest.mark.parametrize(
    ("values", "arguments", "sentence"),
    [
        (np.ones((30, 4, 5)), {}, "30 bands comes without wavelengths"),
        (np.ones((4, 5)), {}, r"shape \(4, 5\)"),
        (np.ones((3, 0, 5)), {"wavelengths": [1, 2, 3]}, "none of them empty"),
        (np.ones((3, 4, 5), complex), {"wavelengths": [1, 2, 3]}, "complex128"),
        (np.ones((3, 4, 5)), {"wavelengths": [400, 500]}, "2 wavelengths do not fit 3 bands"),
        (np.ones((3, 4, 5)), {"wavelengths": [400, 500, 500]}, "ascend"),
        (np.ones((3, 4, 5)), {"wavelengths": [400, np.nan, 500]}, "ascend"),
        (np.ones((3, 4, 5)), {"wavelengths": [400, 500, 600], "quantity": "counts"}, "'counts'"),
    ],
)
def test_what_is_no_cube_is_refused(values: np.ndarray, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        nd.make_cube(values, **arguments)  # type: ignore[arg-type]


def test_check_cube_names_what_is_missing() -> None:
    with pytest.raises(nd.InputError, match="not ndarray"):
        check_cube(np.ones((3, 4, 5)))
    with pytest.raises(nd.InputError, match="dimensions"):
        check_cube(xr.DataArray(np.ones((3, 4, 5))))
    with pytest.raises(nd.InputError, match="no coordinate"):
        check_cube(xr.DataArray(np.ones((3, 4, 5)), dims=("wavelength", "y", "x")))


def ramp(wavelengths: np.ndarray) -> xr.DataArray:
    return nd.make_cube(np.broadcast_to(wavelengths[:, None, None] / 1000.0, (wavelengths.size, 2, 3)), wavelengths)


def test_resampling_keeps_a_straight_line_straight() -> None:
    fine, coarse = np.arange(400, 701, 4.0), np.arange(400, 701, 20.0)
    for source, target in ((fine, coarse), (coarse, fine), (fine, np.array([410.0, 433.0, 600.0]))):
        np.testing.assert_allclose(nd.resample(ramp(source), target)[:, 0, 0], target / 1000, rtol=1e-6)


def test_finer_bands_are_averaged_over_the_target_band() -> None:
    spectrum = np.zeros(61)
    spectrum[30] = 1  # a line at 550 nm, sampled every 5 nm
    cube = nd.make_cube(np.tile(spectrum[:, None, None], (1, 2, 2)), np.arange(400, 701, 5))
    assert nd.resample(cube, WAVELENGTHS).sel(wavelength=[540, 550, 560])[:, 0, 0].values == pytest.approx([0, 0.5, 0])
    assert float(nd.resample(cube, [550.0], fwhm=20)[0, 0, 0]) == pytest.approx(0.25)


def test_resampling_never_extrapolates() -> None:
    assert nd.resample(ramp(np.arange(450, 651, 10.0)), WAVELENGTHS)["wavelength"].values.tolist() == list(range(450, 651, 10))
    with pytest.raises(nd.InputError, match="no common range"):
        nd.resample(ramp(np.arange(450, 651, 10.0)), [800.0, 900.0])


def test_align_finds_the_overlap_and_refuses_another_size() -> None:
    first, second = align(ramp(np.arange(400, 701, 10.0)), ramp(np.arange(500, 1001, 4.0)))
    assert first["wavelength"].values.tolist() == second["wavelength"].values.tolist() == list(range(500, 701, 10))
    with pytest.raises(nd.InputError, match="2 x 3 and 4 x 3"):
        align(ramp(np.arange(400.0, 701, 10)), nd.make_cube(np.ones((31, 4, 3)), WAVELENGTHS))
    with pytest.raises(nd.InputError, match="share no wavelengths"):
        align(ramp(np.arange(400.0, 501, 10)), ramp(np.arange(600.0, 701, 10)))


def test_white_is_white_and_red_is_red() -> None:
    white = nd.make_cube(np.ones((31, 2, 3)), WAVELENGTHS, quantity="reflectance")
    np.testing.assert_allclose(nd.render_srgb(white), 1, atol=1e-5)
    red = white * (white["wavelength"] > 600)
    r, g, b = nd.render_srgb(red.assign_attrs(white.attrs))[0, 0]
    assert r > 0.8
    assert max(g, b) < 0.4


def test_light_is_multiplied_onto_reflectance_only() -> None:
    flat = np.ones((31, 2, 3))
    reflectance = nd.render_srgb(nd.make_cube(flat, WAVELENGTHS, quantity="reflectance"))
    radiance = nd.render_srgb(nd.make_cube(flat * 0.5, WAVELENGTHS, quantity="radiance"))
    assert np.ptp(reflectance[0, 0]) < 1e-5
    assert np.ptp(radiance[0, 0]) > 0.02  # equal energy is not daylight


@pytest.mark.parametrize(
    ("targets", "fwhm", "sentence"),
    [
        ([], None, "must ascend"),
        ([500, 450], None, "must ascend"),
        ([500, 500], None, "must ascend"),
        ([500], 0, "must be positive"),
    ],
)
def test_targets_that_are_no_bands_are_refused(targets: list[float], fwhm: float | None, sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        nd.resample(ramp(np.arange(400, 701, 10.0)), targets, fwhm=fwhm)


def test_targets_out_of_range_still_tell_how_wide_a_band_is() -> None:
    line = np.zeros(301)
    line[101] = 1  # a line at 501 nm, sampled every nm
    cube = nd.make_cube(np.tile(line[:, None, None], (1, 2, 2)), np.arange(400, 701))
    assert float(nd.resample(cube, [301.0, 501.0, 701.0])[0, 0, 0]) == pytest.approx(1 / 200, rel=0.01)


def test_the_widths_that_a_cube_states_are_used_and_not_passed_on() -> None:
    line = np.zeros(301)
    line[150] = 1
    fine = nd.make_cube(np.tile(line[:, None, None], (1, 2, 2)), np.arange(400, 701))
    coarse = nd.make_cube(np.ones((4, 2, 2)), [450, 500, 550, 600], attrs={"fwhm": [20.0] * 4})
    averaged, _ = align(fine, coarse)
    assert float(averaged.sel(wavelength=550)[0, 0]) == pytest.approx(1 / 20)
    assert "fwhm" not in averaged.attrs


def test_bands_without_colour_are_refused_and_missing_ones_told() -> None:
    infrared = nd.make_cube(np.ones((3, 2, 2)), [1000, 1500, 2000], quantity="reflectance")
    with pytest.raises(nd.InputError, match="1000-2000 nm have no colour"):
        nd.render_srgb(infrared)
    with pytest.warns(nd.Notice, match="600-700 nm miss part"):
        nd.render_srgb(nd.make_cube(np.ones((11, 2, 2)), np.arange(600, 701, 10), quantity="reflectance"))
    with pytest.warns(nd.Notice, match="shown as reflectance"):
        nd.render_srgb(nd.make_cube(np.ones((31, 2, 2)), WAVELENGTHS))


def test_lights_have_a_mean_of_1_over_the_bands() -> None:
    assert {"A", "D50", "D55", "D65", "D75", "FL1", "FL12", "HP1", "LED-B1"} <= set(illuminant_names())
    for name in ("A", "D50", "D65", "FL2", "HP1", "LED-B3"):
        light = illuminant(name, WAVELENGTHS)
        assert light.shape == (31,)
        assert light.mean() == pytest.approx(1)
        assert np.all(light > 0)
    d65 = daylight(np.asarray(WAVELENGTHS))
    np.testing.assert_allclose(illuminant("D65", WAVELENGTHS), d65 / d65.mean())
    # CIE 015:2018, table 5: S(400) = 14.71 and S(700) = 198.26 of illuminant A.
    a = illuminant("A", WAVELENGTHS)
    assert a[-1] / a[0] == pytest.approx(198.26 / 14.71, rel=1e-3)


def test_lights_that_are_unknown_or_do_not_cover_the_bands_are_refused() -> None:
    with pytest.raises(nd.InputError, match="there is no light 'candle'; there is A, B, C, D50, "):
        illuminant("candle", WAVELENGTHS)
    with pytest.raises(nd.InputError, match="FL2 is tabulated for 380-780 nm, which does not cover 397-1003 nm"):
        illuminant("FL2", np.linspace(397, 1003, 204))


def test_relit_reflectance_is_radiance_that_fills_the_range() -> None:
    spectra = np.random.default_rng(1).uniform(0.1, 0.6, (31, 4, 5)).astype(np.float32)
    cube = nd.make_cube(spectra, WAVELENGTHS, quantity="reflectance", scale=65535, name="scene", attrs={"norm_factor": 7.0})
    lit = relight(cube, "A")
    assert (lit.attrs["quantity"], lit.attrs["illuminant"], lit.name, lit.dtype) == ("radiance", "A", "scene", np.float32)
    assert "norm_factor" not in lit.attrs
    assert float(lit.max()) == 1
    np.testing.assert_allclose(lit * lit.attrs["scale"], spectra * illuminant("A", WAVELENGTHS)[:, None, None], rtol=1e-5)
    assert cube.attrs["quantity"] == "reflectance"


def test_light_is_put_on_reflectance_once() -> None:
    unknown = nd.make_cube(np.full((31, 2, 3), 0.5), WAVELENGTHS)
    with pytest.warns(nd.Notice, match="taken as reflectance and lit with D50"):
        lit = relight(unknown, "D50")
    with pytest.raises(nd.InputError, match="holds radiance, which has a light already"):
        relight(lit, "D50")
    with pytest.raises(nd.InputError, match="no brightest value to scale by under D50: its maximum is 0"):
        relight(nd.make_cube(np.zeros((31, 2, 3)), WAVELENGTHS, quantity="reflectance"), "D50")
