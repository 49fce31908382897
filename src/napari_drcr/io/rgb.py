"""RGB images from PNG, JPEG, TIFF and BMP, at the depth that the file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from napari_drcr.errors import InputError, notify
from napari_drcr.files import first_bytes
from napari_drcr.io._reading import TIFF, one_sentence

PNG = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
COLOUR_PROFILE = 34675

_GRAY = "this image is grayscale, but three channels (red, green, blue) are needed; choose a colour image."


def read_rgb_file(path: Path) -> npt.NDArray[Any]:
    """Read an RGB image, known by its first bytes, not by its suffix.

    Parameters
    ----------
    path : pathlib.Path
        A PNG, JPEG, TIFF or BMP file.

    Returns
    -------
    ndarray, shape (y, x, 3), uint8, uint16 or float32
        The values as stored: still encoded (mostly sRGB), upright as the camera was held. A palette is looked up; alpha is
        dropped, and the caller told.

    Raises
    ------
    InputError
        If the file is missing, damaged, grayscale, animated, of several pages, or of another format or colour model.
    """
    head = first_bytes(path)
    if head.startswith(TIFF):
        return _read_tiff(path)
    # Pillow would cut 16 bits a channel down to 8.
    if head.startswith(PNG) and head[24:25] == b"\x10":
        return _read_deep_png(path)
    if head.startswith((PNG, b"\xff\xd8\xff", b"BM")):
        return _read_with_pillow(path)
    raise InputError("this is no image that can be read; use PNG, JPEG, TIFF or BMP.")


def decode_png(path: Path) -> npt.NDArray[Any]:
    """Decode a PNG at its own depth.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    ndarray, shape (y, x) or (y, x, channels), uint8 or uint16
        The stored values.

    Raises
    ------
    InputError
        If the file is damaged or no PNG.
    """
    import imagecodecs

    with one_sentence():
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _read_with_pillow(path: Path) -> npt.NDArray[Any]:
    with one_sentence():
        image = Image.open(path, formats=["PNG", "JPEG", "BMP"])
    with image:
        if image.format == "PNG" and getattr(image, "is_animated", False):
            raise InputError("this PNG is animated; save one frame of it as its own file.")
        if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;"):
            raise InputError(_GRAY)
        if image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA"):
            raise InputError(f"this image is {image.mode}, not RGB; convert it to sRGB first.")
        with one_sentence():
            image.load()
            orientation = image.getexif().get(ORIENTATION, 1)
            see_through = image.mode in ("RGBA", "PA") or "transparency" in image.info
            pixels = np.asarray(image.convert("RGB"))
        if see_through:
            _notify_of_alpha(path)
        _notify_of_profile(path, image.info.get("icc_profile"))
    return _upright(pixels, orientation)


def _read_deep_png(path: Path) -> npt.NDArray[Any]:
    pixels = decode_png(path)
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        raise InputError(_GRAY)
    with one_sentence(), Image.open(path, formats=["PNG"]) as image:
        image.load()
        orientation, profile = image.getexif().get(ORIENTATION, 1), image.info.get("icc_profile")
    if pixels.shape[2] > 3:
        _notify_of_alpha(path)
    _notify_of_profile(path, profile)
    return _upright(pixels[:, :, :3], orientation)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    import tifffile

    with one_sentence():
        file = tifffile.TiffFile(path)
    with file:
        with one_sentence():
            page = file.pages.first
            pages = sum(not other.is_reduced for other in file.pages if isinstance(other, tifffile.TiffPage))
            whole = file.series[0].size == page.size
            colours, axes = tifffile.PHOTOMETRIC(page.photometric).name, page.axes
            compression = tifffile.COMPRESSION(page.compression).name
        if pages > 1 or not whole:
            raise InputError(f"this TIFF holds {pages if pages > 1 else 'several'} pages; save one of them as its own file.")
        if colours in ("MINISBLACK", "MINISWHITE") and page.samplesperpixel < 3:
            raise InputError(_GRAY)
        if colours not in ("RGB", "PALETTE") and not (colours == "YCBCR" and compression == "JPEG"):
            raise InputError(f"this TIFF is of the kind {colours}, {compression}, not RGB; convert it to sRGB first.")
        with one_sentence():
            pixels = page.asarray()
            colormap = np.asarray(page.colormap)
            orientation = page.tags.valueof(ORIENTATION, 1)
            profile = page.tags.valueof(COLOUR_PROFILE)
        if colours == "PALETTE":
            # A TIFF's palette has 16 bits, of which the upper 8 count: some programs fill the lower ones, some leave them empty.
            pixels, axes = (np.moveaxis(colormap, 0, -1) >> 8).astype(np.uint8)[pixels], "YXS"
        if axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        elif axes != "YXS":
            raise InputError(f"this TIFF has the axes {axes}, but an image of red, green and blue is needed.")
        if pixels.shape[2] < 3:
            raise InputError(_GRAY)
        if pixels.dtype.kind == "f":
            pixels = pixels.astype(np.float32)
        elif pixels.dtype not in (np.uint8, np.uint16):
            raise InputError(f"this TIFF holds {pixels.dtype} values; save it with 8 or 16 bits or as float.")
        if pixels.shape[2] > 3:
            _notify_of_alpha(path)
        _notify_of_profile(path, profile)
        return _upright(pixels[:, :, :3], orientation)


def _upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo the EXIF orientation: where the file's first row and first column lie in the upright picture."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _notify_of_alpha(path: Path) -> None:
    notify(f"{path.name}: its alpha channel is dropped.")


def _notify_of_profile(path: Path, profile: bytes | None) -> None:
    """Values are kept as they are, so a wide-gamut file is worth a word: its colours will come out too pale."""
    if profile is None:
        return
    import io

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()
    except ImageCms.PyCMSError:
        name = "damaged"
    if "srgb" not in name.lower():
        notify(f"{path.name}: its colour profile ({name}) is not applied; the values are taken as sRGB.")
