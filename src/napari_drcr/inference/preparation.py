"""An RGB image, checked and brought into the form that a model takes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import decode_srgb
from napari_drcr.errors import InputError, notify
from napari_drcr.inference.white import Box, Gains, check_box, gains_of_patch
from napari_drcr.models.store import Card, Model
from napari_drcr.system.files import naming
from napari_drcr.system.steps import run_to_end

ENCODINGS = ("srgb", "linear")
WHITE_LEVELS = {8: 255, 10: 1023, 12: 4095, 14: 16383}
"""What white is, by the bits that a 16-bit image may really hold."""
SMALLEST_SIDE = 8
"""Of an image, in pixels."""
SMALLEST_LEVEL = 1e-9
PIXELS_AT_ONCE = 2**19
"""Pixels that are prepared between two steps."""
MUCH_CLIPPED = 0.01
"""Share of clipped pixels from which on the caller is told."""

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


@dataclass(frozen=True)
class PreparedImage:
    """What a model takes: `values` (3, y, x) float32, and how they came about.

    Attributes
    ----------
    values : ndarray, shape (3, y, x), float32
    white_level, divisor : float
        What they were divided by, before decoding and after.
    profile : str
        What the colours were taken as.
    clipped : ndarray, shape (y, x), bool
        Where a channel of the image is at its white level.
    encoding : str
        How the image's values were taken to be encoded; "as given" where the model decodes nothing.
    white, gains : tuple or None
        The white patch, and the factors that it gave on red, green and blue in linear light.
    source : str or None
        The name of the image's file.
    """

    values: Float32Array
    white_level: float
    divisor: float
    profile: str
    clipped: npt.NDArray[np.bool_]
    encoding: str
    white: Box | None = None
    gains: Gains | None = None
    source: str | None = None


@dataclass(frozen=True)
class ImageSettings:
    """How an image is to be understood.

    Attributes
    ----------
    encoding : {"srgb", "linear"}
        How the image's values are encoded; see `napari_drcr.reconstruct`.
    profile : bytes or None
        ICC profile of an array. A file's own is found in the file.
    white_level : float or None
        The value that means white, before decoding; None for that of the type of the values.
    divisor : float or None
        What the decoded image is divided by; None for what the model's card says.
    white : sequence of four int or None
        Top, left, bottom and right of something white in the image, the last two excluded.
    """

    encoding: str = "srgb"
    profile: bytes | None = None
    white_level: float | None = None
    divisor: float | None = None
    white: Sequence[int] | None = None


AS_PHOTOGRAPH = ImageSettings()
"""An ordinary photograph, nothing known besides."""


def prepare_rgb(
    pixels: npt.NDArray[Any], model: Model | Card, settings: ImageSettings = AS_PHOTOGRAPH, *, source: str | None = None
) -> PreparedImage:
    """Check an image and bring it into the form that a model takes.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3)
        As for `napari_drcr.reconstruct`.
    model : Model or Card
        Its card says which encoding and normalisation it takes.
    settings : ImageSettings
        How the image is to be understood.
    source : str, optional
        The name of the image's file, for a `Notice`.

    Returns
    -------
    PreparedImage

    Raises
    ------
    InputError
        Naming the first thing that is wrong with the image.
    """
    return run_to_end(_iter_prepare(pixels, model, settings, source))


def _iter_prepare(
    pixels: npt.NDArray[Any], model: Model | Card, settings: ImageSettings, source: str | None
) -> Generator[None, None, PreparedImage]:
    """`prepare_rgb`, some rows at a time."""
    encoding, white = settings.encoding, settings.white
    _check_encoding(encoding)
    name = source or "The image"
    pixels = _three_channels(pixels)
    height, width = pixels.shape[:2]
    if white is not None:
        white = check_box(white, height, width)
        _check_white_fits(model, settings.divisor)
    level = _check_level("white_level", settings.white_level, _default_white(pixels))
    clipped = yield from _check_values(pixels, level)
    if settings.white_level is None and pixels.dtype == np.uint16:
        _ask_for_white_level(int(pixels.max()), name)
    if (share := clipped.mean()) > MUCH_CLIPPED:
        notify(f"{share:.1%} of the pixels are clipped at {level:g}; the spectra there are not to be trusted.", name)
    taken_as, foreign = _examine_colours(encoding, settings.profile, name)
    decodes = encoding == "srgb" and model.encoding == "linear"
    if encoding == "srgb" and not decodes:
        notify(
            f"{model.name} expects linear camera values, but this is taken as an sRGB photograph, on which it is wrong; "
            "choose a model for photographs, or encoding linear if the values are linear.",
            name,
        )
    gains = None
    if white is not None:
        inside = np.s_[white[0] : white[2], white[1] : white[3]]
        gains = gains_of_patch(_decode(pixels[inside], level, foreign, decodes), clipped[inside])
    values = np.empty((3, height, width), dtype=np.float32)
    for rows in _bands(height, width):
        part = _decode(pixels[rows], level, foreign, decodes)
        # What is brighter than the patch goes above 1, and stays: clipped, it would lose its colour.
        values[:, rows] = np.moveaxis(part if gains is None else part * np.asarray(gains, dtype=np.float32), -1, 0)
        yield
    own = float(values.max()) if model.normalisation == "maximum" else 1.0
    if own == 0:
        raise InputError("the image is black everywhere: there is no maximum to divide it by.")
    divisor = _check_level("divisor", settings.divisor, own)
    if divisor != 1:
        values /= np.float32(divisor)
    # Where nothing is decoded, the model's own word for it.
    encoded = encoding if model.encoding == "linear" else model.encoding
    return PreparedImage(values, level, divisor, taken_as, clipped, encoded, white, gains, source)


def _check_values(pixels: npt.NDArray[Any], white_level: float) -> Generator[None, None, npt.NDArray[np.bool_]]:
    """Where pixels are clipped; an InputError if values are not finite or beyond 0 to white."""
    height, width = pixels.shape[:2]
    clipped = np.empty((height, width), dtype=np.bool_)
    strange, low, high = 0, np.inf, -np.inf
    for rows in _bands(height, width):
        values = _scale(pixels[rows], white_level)
        clipped[rows] = _clipped(pixels[rows], white_level)
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


def _bands(height: int, width: int) -> Iterator[slice]:
    """Rows that take a small part of a second."""
    rows = max(PIXELS_AT_ONCE // width, 1)
    return (slice(top, top + rows) for top in range(0, height, rows))


def read_prepared(
    rgb: npt.ArrayLike | str | Path, model: Model | Card, settings: ImageSettings = AS_PHOTOGRAPH
) -> PreparedImage:
    """`open_rgb`, then `prepare_rgb`: all that comes before a model, and needs no device.

    Parameters
    ----------
    rgb : array_like, shape (y, x, 3), or str or Path
        As for `napari_drcr.reconstruct`.
    model, settings
        As for `prepare_rgb`.

    Returns
    -------
    PreparedImage

    Raises
    ------
    InputError
        As for `open_rgb` and `prepare_rgb`.
    """
    return run_to_end(iter_prepared(rgb, model, settings))


def iter_prepared(
    rgb: npt.ArrayLike | str | Path, model: Model | Card, settings: ImageSettings = AS_PHOTOGRAPH
) -> Generator[None, None, PreparedImage]:
    """`read_prepared`, in many small steps.

    Parameters
    ----------
    rgb, model, settings
        As for `read_prepared`.

    Yields
    ------
    None
        After the file and every some rows. Stop iterating to cancel.

    Returns
    -------
    PreparedImage

    Raises
    ------
    InputError
        As for `read_prepared`.
    """
    pixels, profile, source = open_rgb(rgb, settings.profile)
    yield
    return (yield from _iter_prepare(pixels, model, replace(settings, profile=profile), source))


def measure_white(
    pixels: npt.NDArray[Any],
    white: Sequence[int],
    *,
    encoding: str = "srgb",
    profile: bytes | None = None,
    white_level: float | None = None,
) -> Gains:
    """The gains that `reconstruct` would take from a white patch; looks at its pixels only.

    Parameters
    ----------
    pixels, white, encoding, profile, white_level
        As for `reconstruct`.

    Returns
    -------
    tuple of three float
        For red, green and blue, in linear light.

    Raises
    ------
    InputError
        If the patch, or the image as far as looked at, cannot be used.
    """
    _check_encoding(encoding)
    pixels = _three_channels(pixels)
    top, left, bottom, right = check_box(white, *pixels.shape[:2])
    level = _check_level("white_level", white_level, _default_white(pixels))
    patch = pixels[top:bottom, left:right]
    _, foreign = _examine_colours(encoding, profile, "The image")
    return gains_of_patch(_decode(patch, level, foreign, encoding == "srgb"), _clipped(patch, level))


def _check_encoding(encoding: str) -> None:
    if encoding not in ENCODINGS:
        raise InputError(f"encoding must be srgb or linear, not {encoding!r}.")


def _check_white_fits(model: Model | Card, divisor: float | None) -> None:
    if model.encoding != "linear" or model.normalisation == "maximum":
        takes = (
            "divides each image by its own maximum" if model.normalisation == "maximum" else "takes camera values as they are"
        )
        raise InputError(
            f"{model.name} {takes} and does not expect white to be 1, so a white patch makes no sense with it; "
            "leave it out, or choose a model for photographs."
        )
    if divisor is not None:
        raise InputError(f"a white patch sets the exposure, and so does a divisor ({divisor}); give one of them only.")


def _clipped(pixels: npt.NDArray[Any], white_level: float) -> npt.NDArray[np.bool_]:
    return np.asarray((pixels >= white_level).any(axis=-1))


def _ask_for_white_level(brightest: int, source: str) -> None:
    for bits, level in WHITE_LEVELS.items():
        if 0 < brightest <= level:
            notify(
                f"the brightest of its 16-bit values is {brightest}, so it seems to hold {bits} bits; "
                f"if it does, give {level} as its white level.",
                source,
            )
            return


def _examine_colours(encoding: str, profile: bytes | None, source: str) -> tuple[str, bytes | None]:
    """What the colours are taken as, and the profile to convert them from, if any."""
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


def _decode(pixels: npt.NDArray[Any], white_level: float, profile: bytes | None, srgb: bool) -> Float32Array:
    """White at 1; converted from a profile to sRGB; and in linear light."""
    from napari_drcr.io.profiles import convert_to_srgb

    values = _scale(pixels, white_level)
    if profile is not None:
        values = convert_to_srgb(values, profile)
    return decode_srgb(values) if srgb else values


def _three_channels(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
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


def _default_white(pixels: npt.NDArray[Any]) -> float:
    if pixels.dtype.kind == "f":
        return 1.0
    if pixels.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(pixels.dtype).max)
    raise InputError(
        f"an image of type {pixels.dtype} is not known to be RGB; convert it to uint8, uint16, or floating values in [0, 1]."
    )


def _check_level(name: str, value: float | None, default: float) -> float:
    if value is None:
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, not {value!r}.") from None
    if not SMALLEST_LEVEL <= number <= 1 / SMALLEST_LEVEL:
        raise InputError(f"{name} must be a positive number of ordinary size, not {number:g}.")
    return number
