"""An RGB image, scaled and brought into the form that a model takes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import InputError, notify
from napari_drcr.inference.pixels import (
    ask_for_white_level,
    check_encoding,
    check_level,
    check_values,
    clipped_pixels,
    decode_pixels,
    default_white,
    examine_colours,
    open_rgb,
    row_bands,
    three_channels,
)
from napari_drcr.inference.white import Box, Gains, check_box, gains_of_patch
from napari_drcr.models.store import Card, Model
from napari_drcr.system.steps import run_to_end

BYTES = 255.0
"""White, where a model takes bytes."""
MUCH_CLIPPED = 0.01
"""Share of clipped pixels from which on the caller is told."""
ADAPTIVE = {
    "maximum": "divides each image by its own maximum",
    "range": "stretches each image from its own minimum to its own maximum",
}
"""What a model does to images whose scale it takes out."""

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PreparedImage:
    """What a model takes: `values` (3, y, x) float32, and how they came about.

    Attributes
    ----------
    values : ndarray, shape (3, y, x), float32
        Of a model that takes bytes 255 where others have 1.
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
    offset : float
        What was taken from the decoded values before they were divided.
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
    offset: float = 0.0


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
        What the decoded image is divided by; None for what the model's card says. A model that stretches each image to its
        own range takes none.
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
    check_encoding(encoding)
    name = source or "The image"
    pixels = three_channels(pixels)
    height, width = pixels.shape[:2]
    if white is not None:
        white = check_box(white, height, width)
        _check_white_fits(model, settings.divisor)
    level = check_level("white_level", settings.white_level, default_white(pixels))
    clipped = yield from check_values(pixels, level)
    if settings.white_level is None and pixels.dtype == np.uint16:
        ask_for_white_level(int(pixels.max()), name)
    if (share := clipped.mean()) > MUCH_CLIPPED:
        notify(f"{share:.1%} of the pixels are clipped at {level:g}; the spectra there are not to be trusted.", name)
    taken_as, foreign = examine_colours(encoding, settings.profile, name)
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
        gains = gains_of_patch(decode_pixels(pixels[inside], level, foreign, decodes), clipped[inside])
    values = np.empty((3, height, width), dtype=np.float32)
    for rows in row_bands(height, width):
        part = decode_pixels(pixels[rows], level, foreign, decodes)
        # What is brighter than the patch goes above 1, and stays: clipped, it would lose its colour.
        values[:, rows] = np.moveaxis(part if gains is None else part * np.asarray(gains, dtype=np.float32), -1, 0)
        yield
    offset, divisor = _scale_in_place(values, model, settings.divisor)
    # Where nothing is decoded, the model's own word for it.
    encoded = encoding if model.encoding == "linear" else model.encoding
    return PreparedImage(values, level, divisor, taken_as, clipped, encoded, white, gains, source, offset)


def _scale_in_place(values: Float32Array, model: Model | Card, divisor: float | None) -> tuple[float, float]:
    """Scale decoded values as a model takes them; the offset and divisor that did it."""
    offset, own = 0.0, 1.0
    if model.normalisation == "maximum":
        own = float(values.max())
        if own == 0:
            raise InputError("the image is black everywhere: there is no maximum to divide it by.")
    elif model.normalisation == "range":
        if divisor is not None:
            raise InputError(f"{model.name} {ADAPTIVE['range']}, so a divisor makes no sense with it; leave it out.")
        offset = float(values.min())
        own = float(values.max()) - offset
        if own == 0:
            raise InputError("all values of the image are the same: there is no range to stretch from 0 to 1.")
    divisor = check_level("divisor", divisor, own)
    if offset != 0:
        values -= np.float32(offset)
    if divisor != 1:
        values /= np.float32(divisor)
    if model.normalisation == "bytes":
        values *= np.float32(BYTES)
    return offset, divisor


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
    check_encoding(encoding)
    pixels = three_channels(pixels)
    top, left, bottom, right = check_box(white, *pixels.shape[:2])
    level = check_level("white_level", white_level, default_white(pixels))
    patch = pixels[top:bottom, left:right]
    _, foreign = examine_colours(encoding, profile, "The image")
    return gains_of_patch(decode_pixels(patch, level, foreign, encoding == "srgb"), clipped_pixels(patch, level))


def _check_white_fits(model: Model | Card, divisor: float | None) -> None:
    if model.encoding != "linear" or model.normalisation in ADAPTIVE:
        takes = ADAPTIVE.get(model.normalisation, "takes camera values as they are")
        raise InputError(
            f"{model.name} {takes} and does not expect white to be 1, so a white patch makes no sense with it; "
            "leave it out, or choose a model for photographs."
        )
    if divisor is not None:
        raise InputError(f"a white patch sets the exposure, and so does a divisor ({divisor}); give one of them only.")
