"""False colour: three bands of a cube as a picture."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.cubes.cube import WAVELENGTHS


def test_three_bands_become_red_green_and_blue() -> None:
    values = np.zeros((31, 10, 10), dtype=np.float32)
    values[[25, 15, 5]] = np.random.default_rng(0).uniform(2, 5, (3, 10, 10))
    picture = nd.render_false_colour(nd.make_cube(values, WAVELENGTHS), 650, 550, 450, percentile=0)
    assert (picture.shape, picture.dtype) == ((10, 10, 3), np.float32)
    for channel, band in enumerate((25, 15, 5)):
        expected = (values[band] - values[band].min()) / np.ptp(values[band])
        np.testing.assert_allclose(picture[..., channel], expected, atol=1e-6)


def test_highlights_do_not_darken_the_rest() -> None:
    values = np.tile(np.linspace(0, 1, 100).reshape(10, 10), (31, 1, 1))
    values[:, 9, 9] = 1000
    picture = nd.render_false_colour(nd.make_cube(values, WAVELENGTHS), 700, 500, 400, percentile=2)
    assert picture[5, 0, 0] == pytest.approx(0.5, abs=0.05)
    assert (picture.min(), picture.max()) == (0, 1)


def test_infrared_and_lazy_cubes_will_do_and_what_is_not_finite_is_black() -> None:
    values = np.random.default_rng(0).uniform(size=(4, 6, 7))
    values[0, 0, 0] = np.nan
    values[1] = 0.3
    cube = nd.make_cube(dask.array.from_array(values, chunks=(1, 6, 7)), [900, 1100, 1300, 1500])
    picture = nd.render_false_colour(cube, 900, 1100, 1500)
    assert picture[0, 0, 0] == 0
    assert (picture[..., 1] == 0).all()


def test_the_nearest_band_is_taken_aloud() -> None:
    cube = nd.make_cube(np.random.default_rng(0).uniform(size=(31, 6, 7)), WAVELENGTHS)
    with pytest.warns(nd.Notice, match="no band at 652 nm: the nearest, at 650 nm, is shown"):
        picture = nd.render_false_colour(cube, 652, 550, 450)
    np.testing.assert_array_equal(picture, nd.render_false_colour(cube, 650, 550, 450))


@pytest.mark.parametrize(
    ("red", "percentile", "sentence"),
    [
        (701, 1, "no band at 701 nm: this cube covers 400-700 nm"),
        (np.nan, 1, "no band at nan nm"),
        (650, 50, "less than 50, not 50"),
    ],
)
def test_bad_settings_are_refused(red: float, percentile: float, sentence: str) -> None:
    with pytest.raises(nd.InputError, match=sentence):
        nd.render_false_colour(nd.make_cube(np.ones((31, 6, 7)), WAVELENGTHS), red, 550, 450, percentile=percentile)
