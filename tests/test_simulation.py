"""Cubes photographed into files, with the true cubes that belong to them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import napari_drcr as nd
from napari_drcr.camera import CAMERAS
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.camera.simulation import as_photographed


def test_a_photo_and_its_true_cube(tmp_path: Path) -> None:
    scene = synthetic_scene(48, 64)
    camera = CAMERAS["photo"].with_settings(exposure=2)
    nd.simulate(scene, tmp_path / "photo.jpg", camera, light="D50", truth=tmp_path / "photo.nc")
    truth = nd.read_cube(tmp_path / "photo.nc")
    lit = nd.relight(scene, "D50")
    xr.testing.assert_allclose(truth, 2 * lit)
    assert truth.attrs["scale"] == pytest.approx(lit.attrs["scale"] / 2)
    assert np.array_equal(nd.read_rgb(tmp_path / "photo.jpg"), camera.render(lit))


def test_the_exposure_of_an_automatic_camera_is_not_in_the_cube() -> None:
    scene = synthetic_scene(48, 64)
    assert as_photographed(scene, CAMERAS["ntire2022"]) is scene
    assert as_photographed(scene, CAMERAS["photo"]) is scene


def test_a_cube_that_does_not_say_what_it_holds_is_announced_once(tmp_path: Path) -> None:
    unknown = synthetic_scene(48, 64).assign_attrs(quantity="unknown")
    for light in (None, "A"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            nd.simulate(unknown, tmp_path / "photo.jpg", light=light, truth=tmp_path / "photo.mat")
        assert [warning.category for warning in said] == [nd.Notice]
        assert "does not state its quantity" in str(said[0].message)
    assert nd.read_cube(tmp_path / "photo.mat").attrs["quantity"] == "radiance"


def test_an_image_is_never_written_under_the_suffix_of_another_format(tmp_path: Path) -> None:
    with pytest.raises(nd.InputError, match=r"camera photo writes \.jpg files: photo\.png cannot be one"):
        nd.simulate(synthetic_scene(48, 64), tmp_path / "photo.png")
    with pytest.raises(nd.InputError, match="there is no camera 'phone'"):
        nd.simulate(synthetic_scene(48, 64), tmp_path / "photo.png", "phone")
    assert not list(tmp_path.iterdir())
