"""The response tables in benchmarks/cameras: cameras that no model was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_drcr as nd
from napari_drcr.camera import CAMERAS, find_camera
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.cubes.cube import WAVELENGTHS

TABLES = sorted((Path(__file__).parents[1] / "benchmarks" / "cameras").glob("*.csv"))


def test_there_are_cameras_of_four_makers() -> None:
    assert len({path.stem.split("-")[0] for path in TABLES}) == 4
    assert all("rawtoaces-data" in path.read_text(encoding="utf-8") for path in TABLES)


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_its_finished_photos_look_like_those_of_the_eye_but_are_not_the_same(path: Path) -> None:
    camera = find_camera(path).with_settings(encoding="srgb")
    response = camera.response(WAVELENGTHS, "reflectance")
    assert response.min() < 0
    np.testing.assert_allclose(response.sum(axis=0), 1, atol=1e-5)
    assert np.all(camera.render(nd.make_cube(np.ones((31, 4, 4)), WAVELENGTHS, quantity="reflectance")) == 255)
    scene = synthetic_scene(64, 96)
    difference = np.abs(
        camera.render(scene).astype(int) - CAMERAS["photo"].with_settings(jpeg_quality=None).render(scene).astype(int)
    )
    assert 0.5 < difference.mean() < 10
