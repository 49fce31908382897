"""The pixels of an RGB image as stored: opened, checked, converted to sRGB and decoded."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import decode_srgb
from napari_drcr.errors import InputError, notify
from napari_drcr.system.files import naming

ENCODINGS = ("srgb", "linear")
WHITE_LEVELS = {8: 255, 10: 1023, 12: 4095, 14: 16383}
"""What white is, by the bits that a 16-bit image may really hold."""
SMALLEST_SIDE = 8
"""Of an image, in pixels."""
SMALLEST_LEVEL = 1e-9
PIXELS_AT_ONCE = 2**19
"""Pixels that are prepared between two steps."""

Float32Array = npt.NDArray[np.float32]


def as_array(rgb: npt.ArrayLike) -> npt.NDArray[Any]:
    """An image as an array.

    Parameters
    ----------
    rgb : array_like
        What a caller passed as an image.

    Returns
    -------
    ndarray

    Raises
    ------
    InputError
        If it has masked pixels or rows of different length.
    """
    if np.ma.is_masked(rgb):
        raise InputError("the image has masked pixels; fill them first.")
    try:
        return np.asarray(rgb)
    except ValueError:
        raise InputError("the image is a list whose rows differ in length; it must have the shape (y, x, 3).") from None


def open_rgb(
    rgb: npt.ArrayLike | str | Path, profile: bytes | None = None
) -> tuple[npt.NDArray[Any], bytes | None, str | None]:
    """An image as stored, wherever it comes from.

    Parameters
    ----------
    rgb : array_like, str or Path
        An image, or a file of one.
    profile : bytes, optional
        ICC profile of an array. A file's own is found in the file.

    Returns
    -------
    tuple of ndarray, bytes or None, str or None
        The pixels, their profile, and the file's name.

    Raises
    ------
    InputError
        If it cannot be read, or is no image.
    """
    if not isinstance(rgb, str | Path):
        return as_array(rgb), profile, None
    from napari_drcr.io.rgb import read_stored_rgb

    with naming(Path(rgb)):
        return *read_stored_rgb(Path(rgb)), Path(rgb).name


def check_encoding(encoding: str) -> None:
    """Reject an encoding that there is not.

    Parameters
    ----------
    encoding : str
        One of `ENCODINGS`.

    Raises
    ------
    InputError
        If it is another.
    """
    if encoding not in ENCODINGS:
        raise InputError(f"encoding must be srgb or linear, not {encoding!r}.")


def three_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The red, green and blue of an image; a fourth channel is dropped with a `Notice`.

    Parameters
    ----------
    pixels : ndarray
        As a caller gave it.

    Returns
    -------
    ndarray, shape (y, x, 3)

    Raises
    ------
    InputError
        If it is grayscale, of another shape, or too small.
    """
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1):
        raise InputError(f"this image of shape {pixels.shape} is grayscale; a spectrum can only be estimated from RGB.")
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        hint = "; move the channels to the last axis" if pixels.ndim == 3 and pixels.shape[0] in (3, 4) else ""
        raise InputError(f"an RGB image has the shape (y, x, 3), not {pixels.shape}{hint}.")
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        raise InputError(
            f"an image of {pixels.shape[0]} x {pixels.shape[1]} pixels is too small; it takes at least {SMALLEST_SIDE} x {SMALLEST_SIDE}."
        )
    if pixels.shape[2] == 4:
        notify("The image's fourth channel was taken as alpha and left out.")
    return pixels[..., :3]


def default_white(pixels: npt.NDArray[Any]) -> float:
    """The white level of the type of an image's values.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3)

    Returns
    -------
    float

    Raises
    ------
    InputError
        If images have no values of that type.
    """
    if pixels.dtype.kind == "f":
        return 1.0
    if pixels.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(pixels.dtype).max)
    raise InputError(
        f"an image of type {pixels.dtype} is not known to be RGB; convert it to uint8, uint16, or floating values in [0, 1]."
    )


def check_level(name: str, value: float | None, default: float) -> float:
    """A level that a caller gave, or its default.

    Parameters
    ----------
    name : str
        What errors call it.
    value : float or None
        As given.
    default : float
        In place of None; not checked.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If it is no positive number of ordinary size.
    """
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, not {value!r}.") from None
    if not SMALLEST_LEVEL <= number <= 1 / SMALLEST_LEVEL:
        raise InputError(f"{name} must be a positive number of ordinary size, not {number:g}.")
    return number


def check_values(pixels: npt.NDArray[Any], white_level: float) -> Generator[None, None, npt.NDArray[np.bool_]]:
    """Check that values are finite and from 0 to white, and find the clipped pixels.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3)
        As stored.
    white_level : float
        What white is.

    Yields
    ------
    None
        Every some rows.

    Returns
    -------
    ndarray, shape (y, x), bool
        Where a channel is at its white level.

    Raises
    ------
    InputError
        If a value is not finite, or beyond.
    """
    height, width = pixels.shape[:2]
    clipped = np.empty((height, width), dtype=np.bool_)
    strange, low, high = 0, np.inf, -np.inf
    for rows in row_bands(height, width):
        values = _scale(pixels[rows], white_level)
        clipped[rows] = clipped_pixels(pixels[rows], white_level)
        strange += int(np.count_nonzero(~np.isfinite(values)))
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        yield
    if strange:
        raise InputError(f"the image holds {strange} values that are NaN or infinite; replace them first.")
    if low < 0 or high > 1:
        beyond = low if low < 0 else high
        raise InputError(
            f"the image reaches {beyond * white_level:g}, outside 0 to {white_level:g}; give the value of white as white_level, or scale the image."
        )
    return clipped


def row_bands(height: int, width: int) -> Iterator[slice]:
    """Bands of rows that take a small part of a second each.

    Parameters
    ----------
    height, width : int
        Of the image.

    Yields
    ------
    slice
        Of rows.
    """
    rows = max(PIXELS_AT_ONCE // width, 1)
    yield from (slice(top, top + rows) for top in range(0, height, rows))


def clipped_pixels(pixels: npt.NDArray[Any], white_level: float) -> npt.NDArray[np.bool_]:
    """Where a channel is at its white level.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3)
        As stored.
    white_level : float
        What white is.

    Returns
    -------
    ndarray, shape (y, x), bool
    """
    return np.asarray((pixels >= white_level).any(axis=-1))


def ask_for_white_level(brightest: int, source: str) -> None:
    """Tell the caller where a 16-bit image seems to hold fewer bits.

    Parameters
    ----------
    brightest : int
        Of its values.
    source : str
        What the `Notice` calls it.
    """
    for bits, level in WHITE_LEVELS.items():
        if 0 < brightest <= level:
            notify(
                f"the brightest of its 16-bit values is {brightest}, so it seems to hold {bits} bits; "
                f"if it does, give {level} as its white level.",
                source,
            )
            return


def examine_colours(encoding: str, profile: bytes | None, source: str) -> tuple[str, bytes | None]:
    """What the colours of an image are taken as.

    Parameters
    ----------
    encoding : str
        One of `ENCODINGS`.
    profile : bytes or None
        The image's ICC profile.
    source : str
        What a `Notice` calls it.

    Returns
    -------
    taken_as : str
        For people.
    foreign : bytes or None
        The profile to convert them from, if any.
    """
    from napari_drcr.io.profiles import examine_profile, profile_name

    if encoding == "srgb":
        taken_as, foreign = examine_profile(profile, source)
        return taken_as, profile if foreign else None
    if profile is None:
        return "none", None
    name = profile_name(profile)
    notify(f"its colour profile ({name}) is not applied, since its values are said to be linear.", source)
    return f"{name}, not applied", None


def _scale(pixels: npt.NDArray[Any], white_level: float) -> Float32Array:
    return pixels.astype(np.float32) / np.float32(white_level)


def decode_pixels(pixels: npt.NDArray[Any], white_level: float, profile: bytes | None, srgb: bool) -> Float32Array:
    """Scale values so that white is 1, convert them from a profile to sRGB, and decode them to linear light.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3)
        As stored.
    white_level : float
        What white is.
    profile : bytes or None
        What to convert from.
    srgb : bool
        Whether to decode.

    Returns
    -------
    ndarray, shape (y, x, 3), float32
    """
    from napari_drcr.io.profiles import convert_to_srgb

    values = _scale(pixels, white_level)
    if profile is not None:
        values = convert_to_srgb(values, profile)
    return decode_srgb(values) if srgb else values
