"""CAVE scene folders, written page by page as the data set has them."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError, Notice
from napari_drcr.io import looks_like_cube, read_cube

COUNTS = np.random.default_rng(0).integers(0, 65536, (31, 5, 8)).astype(np.uint16)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder of 31 16-bit pages, with the picture and the clutter that come with them."""
    folder = tmp_path / "beads_ms"
    folder.mkdir()
    for number, page in enumerate(COUNTS, start=1):
        Image.fromarray(page).save(folder / f"beads_ms_{number:02d}.png")
    Image.new("RGB", (8, 5)).save(folder / "beads_RGB.bmp")
    (folder / "._beads_ms_01.png").write_bytes(b"clutter")
    return folder


def test_a_scene_is_reflectance(scene: Path) -> None:
    cube = read_cube(scene)
    np.testing.assert_allclose(cube, COUNTS / 65535, rtol=1e-6)
    assert cube.dtype == np.float32
    assert tuple(cube["wavelength"].values) == WAVELENGTHS
    assert cube.attrs == {"quantity": "reflectance", "scale": 65535, "illuminant": None}
    assert cube.name == "beads"


def test_the_folder_around_a_scene(scene: Path, tmp_path: Path) -> None:
    outer = tmp_path / "unpacked" / "beads_ms"
    outer.mkdir(parents=True)
    scene.rename(outer / "beads_ms")
    assert looks_like_cube(outer)
    np.testing.assert_allclose(read_cube(outer), COUNTS / 65535, rtol=1e-6)


def test_missing_pages_are_named(scene: Path) -> None:
    (scene / "beads_ms_01.png").unlink()
    (scene / "beads_ms_17.png").unlink()
    with pytest.raises(InputError, match=r"^beads_ms: .*beads_ms_01.png \(400 nm\), beads_ms_17.png \(560 nm\) missing"):
        read_cube(scene)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "is empty"), (b"<html>", "is a web page"), (b"\x89PNG\r\n\x1a\n", "is damaged, truncated")]
)
def test_damaged_pages_are_named(scene: Path, content: bytes, sentence: str) -> None:
    (scene / "beads_ms_07.png").write_bytes(content)
    with pytest.raises(InputError, match=f"^beads_ms: beads_ms_07.png: .*{sentence}"):
        read_cube(scene)


@pytest.mark.parametrize("page", [np.zeros((8, 5), np.uint16), np.zeros((5, 8), np.uint8)])
def test_pages_must_be_alike(scene: Path, page: np.ndarray) -> None:
    Image.fromarray(page).save(scene / "beads_ms_07.png")
    with pytest.raises(
        InputError, match=r"beads_ms_07.png has . x . pixels of \d+ bits, the first page 5 x 8 pixels of 16 bits"
    ):
        read_cube(scene)


def test_two_scenes_in_one_folder(scene: Path) -> None:
    (scene / "beads_ms_07.png").rename(scene / "cloth_ms_07.png")
    with pytest.raises(InputError, match=r"several scenes \(beads, cloth\)"):
        read_cube(scene)


def test_pages_with_colour_channels(scene: Path) -> None:
    for number, page in enumerate(COUNTS, start=1):
        pixels = np.stack([page, page, page, np.full_like(page, 65535)], axis=-1)
        (scene / f"beads_ms_{number:02d}.png").write_bytes(imagecodecs.png_encode(pixels))
    with pytest.warns(Notice, match="the first is taken for the band"):
        cube = read_cube(scene)
    np.testing.assert_allclose(cube, COUNTS / 65535, rtol=1e-6)


def test_pages_of_eight_bits(scene: Path) -> None:
    for number, page in enumerate(COUNTS // 256, start=1):
        Image.fromarray(page.astype(np.uint8)).save(scene / f"beads_ms_{number:02d}.png")
    with pytest.warns(Notice, match="8 bits instead of 16 and are divided by 255"):
        cube = read_cube(scene)
    np.testing.assert_allclose(cube, (COUNTS // 256) / 255, rtol=1e-6)
    assert cube.attrs["scale"] == 255


def test_a_folder_that_is_no_scene(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"this folder is no cube that can be read; known are MATLAB .* CAVE folders"):
        read_cube(tmp_path)


def test_rows_missing_from_a_page(scene: Path) -> None:
    page = sorted(scene.glob("*.png"))[4]
    page.write_bytes((Path(__file__).parent / "cases" / "png_rows_missing.png").read_bytes())
    with pytest.raises(InputError, match=rf"{page.name}: the file is damaged, .* 1930 are there"):
        read_cube(scene)
