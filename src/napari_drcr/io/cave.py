"""A scene folder of the CAVE data set: 31 pictures, one for each band from 400 to 700 nm (Yasuma et al. 2010)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError, notify
from napari_drcr.io.rgb import decode_png
from napari_drcr.system.files import first_bytes

PAGE = re.compile(r"(?P<scene>[^.].*)_ms_(?P<number>\d\d)\.png", re.IGNORECASE)


def scene_folder(folder: Path) -> Path | None:
    """The folder that holds the pages of a CAVE scene.

    Parameters
    ----------
    folder : pathlib.Path
        The scene's folder, or the folder of the same name around it that unpacking makes.

    Returns
    -------
    pathlib.Path or None
        None if neither holds a file like ``<scene>_ms_01.png``.
    """
    for candidate in (folder, folder / folder.resolve().name):
        if candidate.is_dir() and any(PAGE.fullmatch(file.name) for file in candidate.iterdir()):
            return candidate
    return None


def scene_pages(folder: Path) -> list[Path]:
    """The pages of a CAVE scene.

    Parameters
    ----------
    folder : pathlib.Path
        The scene's folder, or the one around it.

    Returns
    -------
    list of pathlib.Path
        Sorted by name; empty if there are none.
    """
    pages_folder = scene_folder(folder)
    return [] if pages_folder is None else sorted(file for file in pages_folder.iterdir() if PAGE.fullmatch(file.name))


def read_cave(folder: Path) -> xr.DataArray:
    """Read a CAVE scene: ``<scene>_ms_01.png`` (400 nm) to ``<scene>_ms_31.png`` (700 nm).

    Parameters
    ----------
    folder : pathlib.Path
        The scene's folder, or the one around it.

    Returns
    -------
    xarray.DataArray, shape (31, y, x), float32
        Reflectance in [0, 1]; the pages hold 65535 times as much. Of pages with colour channels (the scene "watercolors") the
        first is taken, and 8-bit pages are divided by 255; both with a notice.

    Raises
    ------
    InputError
        If a page is missing, damaged, or unlike the others.

    References
    ----------
    F. Yasuma, T. Mitsunaga, D. Iso, S. K. Nayar: Generalized Assorted Pixel Camera. IEEE Trans. Image Processing 19(9), 2010.
    """
    files = scene_pages(folder)
    if not files:
        raise InputError("the folder holds no pages of a CAVE scene (<scene>_ms_01.png to <scene>_ms_31.png).")
    pages = {}
    scenes = set()
    for file in files:
        if match := PAGE.fullmatch(file.name):
            scenes.add(match["scene"])
            pages[int(match["number"])] = file
    if len(scenes) > 1:
        raise InputError(
            f"the folder holds pages of several scenes ({', '.join(sorted(scenes))}); keep each in a folder of its own."
        )
    scene = scenes.pop()
    missing = [number for number in range(1, len(WAVELENGTHS) + 1) if number not in pages]
    if missing:
        listing = ", ".join(f"{scene}_ms_{number:02d}.png ({390 + 10 * number} nm)" for number in missing)
        raise InputError(f"the CAVE scene is incomplete: {listing} missing.")
    bands = [_band(pages[number]) for number in range(1, len(WAVELENGTHS) + 1)]
    first = bands[0]
    for number, band in enumerate(bands, start=1):
        if band.shape != first.shape or band.dtype != first.dtype:
            kinds = [f"{page.shape[0]} x {page.shape[1]} pixels of {page.dtype.itemsize * 8} bits" for page in (band, first)]
            raise InputError(f"{pages[number].name} has {kinds[0]}, the first page {kinds[1]}; all must be alike.")
    if any(page.shape[2] > 1 for page in bands):
        notify("its pages have colour channels; the first is taken for the band.", folder.name)
    scale = float(np.iinfo(first.dtype).max)
    if first.dtype != np.uint16:
        notify(f"its pages have 8 bits instead of 16 and are divided by {scale:g}.", folder.name)
    values = np.stack([page[:, :, 0] for page in bands]).astype(np.float32)
    values /= np.float32(scale)
    return make_cube(values, WAVELENGTHS, quantity="reflectance", scale=scale, name=scene)


def _band(page: Path) -> npt.NDArray[Any]:
    """One page as (y, x, channels)."""
    try:
        first_bytes(page)
        pixels = decode_png(page)
    except InputError as error:
        raise InputError(f"{page.name}: {error}") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
