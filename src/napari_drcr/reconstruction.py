"""RGB to cube: check, normalise, pad, choose device and precision, run, label."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.baselines import PixelMap
from napari_drcr.colorimetry import decode_srgb
from napari_drcr.cube import CLIPPED, make_cube
from napari_drcr.devices import choose_device, choose_precision, devices, processor_name
from napari_drcr.errors import InputError, notify
from napari_drcr.files import naming
from napari_drcr.weights import DEFAULT_MODEL, Model, load_model

if TYPE_CHECKING:
    from napari_drcr.network import DRCRNet

ENCODINGS = ("srgb", "linear")
ESTIMATE = "An estimate from three channels, not a measurement."
WHITE_LEVELS = {8: 255, 10: 1023, 12: 4095, 14: 16383}
"""What white is, by the bits that a 16-bit image may really hold."""

SMALLEST_SIDE = 8
MULTIPLE = 4
SMALLEST_LEVEL = 1e-9
MUCH_CLIPPED = 0.01
"""Share of clipped pixels from which on the caller is told."""


Float32Array = npt.NDArray[np.float32]


def reconstruct(
    rgb: npt.ArrayLike | str | Path,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: str = "auto",
    encoding: str = "srgb",
    profile: bytes | None = None,
    white_level: float | None = None,
    divisor: float | None = None,
    tile: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.DataArray:
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    rgb : array_like, shape (y, x, 3), or str or Path
        An image, or a file of one. uint8, uint16, or floating in [0, 1]; at least 8 x 8. A fourth channel is taken as alpha
        and dropped with a notice.
    model : str, Path or Model
        A shipped model's name, a checkpoint file, or a loaded model; see `napari_drcr.weights.load_model`.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps"; see `napari_drcr.devices.devices`.
    precision : {"auto", "fp32", "bf16", "fp16"}
        See `napari_drcr.devices.precisions`.
    encoding : {"srgb", "linear"}
        How the image's values are encoded. "srgb" is a photograph: brought to sRGB where its colour profile is another, and
        decoded for models that take linear light. "linear" takes the values, which should be linear, untouched by either.
        Checkpoints in the published layout learned from linear values and decode nothing: with "srgb" a notice says so.
    profile : bytes, optional
        ICC profile of an array. A file's own is found in the file.
    white_level : float, optional
        The value that means white, before decoding: by default 255, 65535, or 1. 16-bit files often hold 10, 12 or 14 bits:
        1023, 4095, 16383.
    divisor : float, optional
        What the decoded image is divided by; by default 1, or the image's own maximum where the model's card says so.
    tile : int, optional
        Side in pixels of the pieces that are computed at a time; changes memory and speed, not the result.
    progress : callable, optional
        Called with (steps done, steps in all). What it raises ends the work, `napari_drcr.Cancelled` by convention.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x)
        float32, not clipped. Its attributes name model, SHA-256, device, precision, divisor, encoding, tile, versions and
        seconds; `input_profile` what the colours were taken as, `clipped_share` the share of pixels of which a channel is at
        its white level. The coordinate `clipped` (y, x) marks these: what was brighter is lost, and the spectrum there wrong.

    Raises
    ------
    InputError
        If image, model or a setting cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> cube = reconstruct(np.full((8, 8, 3), 128, np.uint8), model="linear")
    >>> cube.shape, cube.attrs["model"]
    ((31, 8, 8), 'linear')
    """
    steps = iter_reconstruct(
        rgb,
        model,
        device=device,
        precision=precision,
        encoding=encoding,
        profile=profile,
        white_level=white_level,
        divisor=divisor,
        tile=tile,
    )
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if progress is not None:
            progress(done, total)


def iter_reconstruct(
    rgb: npt.ArrayLike | str | Path,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    device: str = "auto",
    precision: str = "auto",
    encoding: str = "srgb",
    profile: bytes | None = None,
    white_level: float | None = None,
    divisor: float | None = None,
    tile: int | None = None,
) -> Generator[tuple[int, int], None, xr.DataArray]:
    """`reconstruct`, step by step: for callers with a thread, a progress bar and a cancel button of their own.

    Parameters
    ----------
    rgb, model, device, precision, encoding, profile, white_level, divisor, tile
        As for `reconstruct`.

    Yields
    ------
    tuple of int
        Steps done, steps in all. Stop iterating to cancel.

    Returns
    -------
    xarray.DataArray
        As for `reconstruct`.

    Raises
    ------
    InputError
        As for `reconstruct`.
    """
    started = time.perf_counter()
    source = Path(rgb).name if isinstance(rgb, str | Path) else None
    if isinstance(rgb, str | Path):
        from napari_drcr.io.rgb import read_stored_rgb

        with naming(Path(rgb)):
            pixels, profile = read_stored_rgb(Path(rgb))
    else:
        pixels = _as_array(rgb)
    loaded = load_model(model)
    image = prepare_rgb(
        pixels,
        loaded,
        encoding=encoding,
        profile=profile,
        white_level=white_level,
        divisor=divisor,
        source=source or "The image",
    )
    if tile is not None and not (isinstance(tile, int) and tile >= SMALLEST_SIDE):
        raise InputError(f"tile must be a whole number of at least {SMALLEST_SIDE} pixels, not {tile!r}.")
    if isinstance(loaded.estimator, PixelMap):
        if device != "auto":
            choose_device(device)
        if precision not in ("auto", "fp32"):
            raise InputError(f"{loaded.name} is a per-pixel map, which knows fp32 only, not {precision!r}.")
        values = loaded.estimator.apply(np.moveaxis(image.values, 0, -1))
        hardware = {"device": "cpu", "device_name": processor_name(), "precision": "fp32"}
        yield 1, 1
    else:
        values, hardware = yield from _run_network(loaded.estimator, image.values, device, precision, tile)
    if not np.isfinite(values).all():
        raise InputError(
            f"the estimate of {loaded.name} in {hardware['precision']} holds values that are not finite; try fp32, or another model."
        )
    cube = make_cube(
        values,
        loaded.wavelengths,
        quantity=loaded.card.quantity,
        name=Path(source).stem if source else None,
        attrs={
            "estimate": ESTIMATE,
            "model": loaded.name,
            "model_sha256": loaded.sha256,
            "tile": None,
            **hardware,
            "encoding": encoding if loaded.encoding == "linear" else loaded.encoding,
            "white_level": image.white_level,
            "divisor": image.divisor,
            "input_profile": image.profile,
            "clipped_share": float(image.clipped.mean()),
            "source": source or "array",
            "seconds": round(time.perf_counter() - started, 3),
            "versions": ", ".join(f"{name} {version(name)}" for name in ("napari-drcr", "torch", "numpy")),
        },
    )
    return cube.assign_coords({CLIPPED: (("y", "x"), image.clipped)})


def _as_array(rgb: npt.ArrayLike) -> npt.NDArray[Any]:
    if np.ma.is_masked(rgb):
        raise InputError("the image has masked pixels; fill them first.")
    try:
        return np.asarray(rgb)
    except ValueError:
        raise InputError("the image is a list whose rows differ in length; it must have the shape (y, x, 3).") from None


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
    """

    values: Float32Array
    white_level: float
    divisor: float
    profile: str
    clipped: npt.NDArray[np.bool_]


def prepare_rgb(
    pixels: npt.NDArray[Any],
    model: Model,
    *,
    encoding: str = "srgb",
    profile: bytes | None = None,
    white_level: float | None = None,
    divisor: float | None = None,
    source: str = "The image",
) -> PreparedImage:
    """Check an image and bring it into the form that a model takes.

    Parameters
    ----------
    pixels, encoding, profile, white_level, divisor
        As for `reconstruct`.
    model : Model
        Its card says which encoding and normalisation it takes.
    source : str
        What to call the image in a `Notice`.

    Returns
    -------
    PreparedImage

    Raises
    ------
    InputError
        Naming the first thing that is wrong with the image.
    """
    if encoding not in ENCODINGS:
        raise InputError(f"encoding must be srgb or linear, not {encoding!r}.")
    pixels = _three_channels(pixels)
    assumed_white = white_level is None
    white_level = _check_level("white_level", white_level, _default_white(pixels))
    values = pixels.astype(np.float32) / np.float32(white_level)
    if not np.isfinite(values).all():
        raise InputError(
            f"the image holds {np.count_nonzero(~np.isfinite(values))} values that are NaN or infinite; replace them first."
        )
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1:
        beyond = low if low < 0 else high
        raise InputError(
            f"the image reaches {beyond * white_level:g}, outside 0 to {white_level:g}; give the value of white as white_level, or scale the image."
        )
    if assumed_white and pixels.dtype == np.uint16:
        _ask_for_white_level(int(pixels.max()), source)
    clipped = np.asarray((pixels >= white_level).any(axis=-1))
    if clipped.mean() > MUCH_CLIPPED:
        notify(
            f"{source}: {clipped.mean():.1%} of the pixels are clipped at {white_level:g}; the spectra there are not to be trusted."
        )
    values, taken_as = _as_encoded(values, encoding, profile, source)
    if encoding == "srgb":
        if model.encoding == "linear":
            values = decode_srgb(values)
        else:
            notify(
                f"{source}: {model.name} expects linear camera values, but this is taken as an sRGB photograph, on which it is wrong; "
                "choose a model for photographs, or encoding linear if the values are linear."
            )
    own = float(values.max()) if model.normalisation == "maximum" else 1.0
    if own == 0:
        raise InputError("the image is black everywhere: there is no maximum to divide it by.")
    divisor = _check_level("divisor", divisor, own)
    values = np.ascontiguousarray(np.moveaxis(values / np.float32(divisor), -1, 0))
    return PreparedImage(values, white_level, divisor, taken_as, clipped)


def _ask_for_white_level(brightest: int, source: str) -> None:
    for bits, level in WHITE_LEVELS.items():
        if 0 < brightest <= level:
            notify(
                f"{source}: the brightest of its 16-bit values is {brightest}, so it seems to hold {bits} bits; "
                f"if it does, give {level} as its white level."
            )
            return


def _as_encoded(values: Float32Array, encoding: str, profile: bytes | None, source: str) -> tuple[Float32Array, str]:
    """The values as sRGB where they are encoded at all, and what they were taken as."""
    from napari_drcr.io.profiles import convert_to_srgb, examine_profile, profile_name

    if encoding == "srgb":
        taken_as, foreign = examine_profile(profile, source)
        return convert_to_srgb(values, profile) if profile is not None and foreign else values, taken_as
    if profile is None:
        return values, "none"
    name = profile_name(profile)
    notify(f"{source}: its colour profile ({name}) is not applied, since its values are said to be linear.")
    return values, f"{name}, not applied"


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


def _run_network(
    network: DRCRNet, rgb: Float32Array, device: str, precision: str, tile: int | None
) -> Generator[tuple[int, int], None, tuple[Float32Array, dict[str, Any]]]:
    from copy import deepcopy

    import torch

    from napari_drcr.tiles import TILE, run_tiled

    device = choose_device(device)
    precision = choose_precision(precision, device)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    side = TILE if tile is None else tile
    height, width = rgb.shape[1:]
    padded = np.pad(rgb, ((0, 0), (0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="reflect")
    # A copy, because a loaded model is shared and stays what it was.
    placed = deepcopy(network).to(device=device, dtype=kind, memory_format=torch.channels_last)  # type: ignore[call-overload]
    cube = yield from run_tiled(placed, torch.from_numpy(padded), side=side)
    hardware = {"device": device, "device_name": devices()[device], "precision": precision, "tile": side}
    return cube[:, :height, :width].contiguous().numpy(), hardware
