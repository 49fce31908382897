"""RGB images from PNG, JPEG, TIFF and BMP, at the depth that the file has."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile

from napari_drcr.errors import InputError, notify
from napari_drcr.io._reading import TIFF, one_sentence
from napari_drcr.io._rows import check_png_rows, lengthen_jpeg
from napari_drcr.io._tiff import check_pages, check_stored
from napari_drcr.io.profiles import convert_stored, examine_profile
from napari_drcr.system.files import first_bytes

PNG = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
COLOUR_PROFILE = 34675

MOST_PIXELS = 1_000_000_000

_OPENERS: dict[bytes, Callable[..., Any]] = {PNG: PngImageFile, b"\xff\xd8\xff": jpeg_factory, b"BM": BmpImageFile}
_UNKNOWN = "this is no image that can be read; use PNG, JPEG, TIFF or BMP."
_GRAY = "this image is grayscale, but three channels (red, green, blue) are needed; choose a colour image."


def read_rgb_file(path: Path) -> npt.NDArray[Any]:
    """Read an image as sRGB, whatever its colour profile.

    Parameters
    ----------
    path : pathlib.Path
        A PNG, JPEG, TIFF or BMP file.

    Returns
    -------
    ndarray, shape (y, x, 3), uint8, uint16 or float32
        As `read_stored_rgb`, converted to sRGB, with a notice, if it has another colour profile;
        8-bit values then become 16-bit ones.

    Raises
    ------
    InputError
        As for `read_stored_rgb`.
    """
    pixels, profile = read_stored_rgb(path)
    _, foreign = examine_profile(profile, path.name)
    return convert_stored(pixels, profile) if profile is not None and foreign else pixels


def read_stored_rgb(path: Path) -> tuple[npt.NDArray[Any], bytes | None]:
    """Read an RGB image, known by its first bytes, not by its suffix.

    Parameters
    ----------
    path : pathlib.Path
        A PNG, JPEG, TIFF or BMP file.

    Returns
    -------
    pixels : ndarray, shape (y, x, 3), uint8, uint16 or float32
        The values as stored, upright as the camera was held. A palette is looked up; alpha is dropped, with a notice.
    profile : bytes or None
        The ICC profile of the values.

    Raises
    ------
    InputError
        If the file is missing, damaged, grayscale, animated, of several pages, or of another format or colour model.
    """
    head = first_bytes(path)
    if head.startswith(TIFF):
        read = _read_tiff
    # Pillow would cut 16 bits a channel down to 8.
    elif head.startswith(PNG) and head[24:25] == b"\x10":
        read = _read_deep_png
    elif head.startswith((PNG, b"\xff\xd8\xff", b"BM")):
        read = _read_with_pillow
    else:
        raise InputError(_UNKNOWN)
    return read(path), read_profile(path)[0]


def read_profile(path: Path) -> tuple[bytes | None, tuple[int, int]]:
    """Look up an image's colour profile without reading its pixels.

    Parameters
    ----------
    path : pathlib.Path
        Any image file.

    Returns
    -------
    profile : bytes or None
        Its ICC profile, if it has one.
    size : tuple of int
        Rows and columns as stored, before any turning upright.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no image.
    """
    with one_sentence():
        if first_bytes(path).startswith(TIFF):
            import tifffile

            with tifffile.TiffFile(path) as file:
                page = file.pages.first
                return page.tags.valueof(COLOUR_PROFILE), (page.imagelength, page.imagewidth)
        with _open_with_pillow(path) as image:
            return image.info.get("icc_profile"), (image.height, image.width)


def image_size(path: Path) -> tuple[int, int]:
    """Look up how large an image is once it is turned upright, without reading its pixels.

    Parameters
    ----------
    path : pathlib.Path
        A PNG, JPEG, TIFF or BMP file.

    Returns
    -------
    tuple of int
        Rows and columns, as `read_stored_rgb` gives them.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no image.
    """
    _, (rows, columns) = read_profile(path)
    with one_sentence():
        if first_bytes(path).startswith(TIFF):
            import tifffile

            with tifffile.TiffFile(path) as file:
                orientation = file.pages.first.tags.valueof(ORIENTATION, 1)
        else:
            with _open_with_pillow(path) as image:
                orientation = image.getexif().get(ORIENTATION, 1)
    return (columns, rows) if orientation in (5, 6, 7, 8) else (rows, columns)


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
        check_png_rows(path)
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        limit = f"more than {MOST_PIXELS // 10**6} million pixels"
        raise InputError(f"the header of this image states {height} x {width}, {limit}; cut it into parts, or it is damaged.")


def _open_with_pillow(path: Path | BytesIO) -> Image.Image:
    """Open an image of up to `MOST_PIXELS`; Pillow's own limit is a fifth of that."""
    file = path if isinstance(path, BytesIO) else str(path)
    start = path.getvalue()[:8] if isinstance(path, BytesIO) else first_bytes(path, 8)
    opener = next((opener for mark, opener in _OPENERS.items() if start.startswith(mark)), None)
    if opener is None:
        raise InputError(_UNKNOWN)
    with one_sentence():
        # Not `Image.open`, whose limit can only be changed for the whole process.
        image: Image.Image = opener(file)
    try:
        _check_size(image.height, image.width)
    except InputError:
        image.close()
        raise
    return image


def _read_with_pillow(path: Path) -> npt.NDArray[Any]:
    with _open_with_pillow(path) as image:
        if image.format == "PNG" and getattr(image, "is_animated", False):
            raise InputError("this PNG is animated; save one frame of it as its own file.")
        if image.mode in ("1", "L", "LA", "I", "F") or image.mode.startswith("I;"):
            raise InputError(_GRAY)
        if image.mode not in ("RGB", "RGBA", "RGBX", "P", "PA"):
            raise InputError(f"this image is {image.mode}, not RGB; convert it to sRGB first.")
        with one_sentence():
            if image.format == "PNG":
                check_png_rows(path)
            image.load()
            if image.format in ("JPEG", "MPO"):
                _check_jpeg_rows(path, image)
            orientation = image.getexif().get(ORIENTATION, 1)
            see_through = image.mode in ("RGBA", "PA") or "transparency" in image.info
            pixels = np.asarray(image.convert("RGB"))
        if see_through:
            _notify_of_alpha(path)
    return _upright(pixels, orientation)


def _check_jpeg_rows(path: Path, image: Image.Image) -> None:
    """Refuse a JPEG that ends before its last row."""
    with _open_with_pillow(BytesIO(lengthen_jpeg(path.read_bytes()))) as longer:
        if not np.array_equal(np.asarray(image), np.asarray(longer)):
            raise ValueError("it ends before its last row")


def _read_deep_png(path: Path) -> npt.NDArray[Any]:
    _open_with_pillow(path).close()
    pixels = decode_png(path)
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        raise InputError(_GRAY)
    with one_sentence(), _open_with_pillow(path) as image:
        image.load()
        orientation = image.getexif().get(ORIENTATION, 1)
    if pixels.shape[2] > 3:
        _notify_of_alpha(path)
    return _upright(pixels[:, :, :3], orientation)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    import tifffile

    with one_sentence():
        file = tifffile.TiffFile(path)
    with file:
        with one_sentence():
            check_pages(file)
            page = file.pages.first
            images = (other for other in file.pages if isinstance(other, tifffile.TiffPage) and not other.is_reduced)
            # Not counted to the end: a damaged file can promise pages without number.
            several = len(list(itertools.islice(images, 2))) > 1 or file.series[0].size != page.size
            colours, axes = tifffile.PHOTOMETRIC(page.photometric).name, page.axes
            compression = tifffile.COMPRESSION(page.compression).name
        if several:
            raise InputError("this TIFF holds several pages; save one of them as its own file.")
        if colours in ("MINISBLACK", "MINISWHITE") and page.samplesperpixel < 3:
            raise InputError(_GRAY)
        if colours not in ("RGB", "PALETTE") and not (colours == "YCBCR" and compression == "JPEG"):
            raise InputError(f"this TIFF is of the kind {colours}, {compression}, not RGB; convert it to sRGB first.")
        _check_size(page.imagelength, page.imagewidth)
        with one_sentence():
            check_stored(file, page.nbytes, [page])
            pixels = page.asarray()
            colormap = np.asarray(page.colormap)
            orientation = page.tags.valueof(ORIENTATION, 1)
            if colours == "PALETTE":
                # A TIFF's palette has 16 bits, of which the upper 8 count: some programs fill the lower ones, some do not.
                pixels, axes = (np.moveaxis(colormap, 0, -1) >> 8).astype(np.uint8)[pixels], "YXS"
        if axes not in ("YXS", "SYX"):
            raise InputError(f"this TIFF has the axes {axes}, but an image of red, green and blue is needed.")
        if pixels.ndim != 3:
            raise InputError("the file is damaged: it does not hold the pixels that it should.")
        if axes == "SYX":
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.shape[2] < 3:
            raise InputError(_GRAY)
        if pixels.dtype.kind == "f":
            pixels = pixels.astype(np.float32)
        elif pixels.dtype not in (np.uint8, np.uint16):
            raise InputError(f"this TIFF holds {pixels.dtype} values; save it with 8 or 16 bits or as float.")
        if pixels.shape[2] > 3:
            _notify_of_alpha(path)
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
    notify("its alpha channel is dropped.", path.name)
