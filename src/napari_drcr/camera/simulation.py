"""A cube photographed into a file, and the true cube that belongs to the photo."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from napari_drcr.camera import Camera, find_camera
from napari_drcr.cubes.cube import check_cube, relight
from napari_drcr.errors import InputError
from napari_drcr.io import read_cube, write_cube
from napari_drcr.system.files import atomic_path

SUFFIXES = {".jpg": (".jpg", ".jpeg"), ".png": (".png",)}
"""What the files of a camera may be called, by its `Camera.suffix`."""


def as_photographed(cube: xr.DataArray, camera: Camera, light: str | None = None) -> xr.DataArray:
    """The cube that a perfect estimate from a camera's image would be.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        What is photographed.
    camera : Camera
        Its exposure counts where it keeps scale; with automatic exposure an image contains no information on the brightness of the scene.
    light : str, optional
        Relight the cube first, see `napari_drcr.cubes.cube.relight`.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x)
        Not clipped, though the image may be. ``scale`` is divided by what the values are multiplied with.

    Raises
    ------
    InputError
        If this is no cube, or it cannot be relit.
    """
    check_cube(cube)
    if light is not None:
        cube = relight(cube, light)
    if not camera.keeps_scale or camera.exposure == 1:
        return cube
    exposed = (cube * camera.exposure).astype(cube.dtype, copy=False).rename(cube.name)
    return exposed.assign_attrs({**cube.attrs, "scale": cube.attrs.get("scale", 1.0) / camera.exposure})


def simulate(
    scene: str | Path | xr.DataArray,
    image: str | Path,
    camera: str | Path | Camera = "photo",
    *,
    light: str | None = None,
    truth: str | Path | None = None,
    seed: int = 0,
) -> None:
    """Photograph a cube into a file.

    Parameters
    ----------
    scene : str, Path or xarray.DataArray, shape (bands, y, x)
        A cube, or the file of one.
    image : str or Path
        The file to write: ``.jpg`` for cameras that compress, else ``.png``.
    camera : str, Path or Camera
        See `napari_drcr.camera.find_camera`.
    light : str, optional
        Relight the scene first, which must be reflectance; see `napari_drcr.cubes.cube.relight`. No camera balances for it.
    truth : str or Path, optional
        Also write the cube as it was photographed, see `as_photographed`; the suffix names the format.
    seed : int
        Of the noise.

    Raises
    ------
    InputError
        If a setting or the cube is wrong, or a file cannot be written.
    """
    chosen = camera if isinstance(camera, Camera) else find_camera(camera)
    image = Path(image)
    if image.suffix.lower() not in SUFFIXES[chosen.suffix]:
        raise InputError(f"camera {chosen.name} writes {chosen.suffix} files: {image.name} cannot be one; give it that suffix.")
    cube = scene if isinstance(scene, xr.DataArray) else read_cube(scene)
    lit = cube if light is None else relight(cube, light)
    photograph = chosen.photograph(lit, seed=seed)
    if truth is not None:
        write_cube(truth, as_photographed(lit, chosen))
    with atomic_path(image) as temporary:
        temporary.write_bytes(photograph)
