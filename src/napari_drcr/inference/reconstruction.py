"""RGB to cube: prepare, pad, choose device and precision, run, label."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import CLIPPED, FLIP_DISAGREEMENT, make_cube
from napari_drcr.errors import InputError, notify
from napari_drcr.inference.ensemble import average_orientations
from napari_drcr.inference.preparation import SMALLEST_SIDE, PreparedImage, iter_prepared
from napari_drcr.models.pixel_map import PixelMap
from napari_drcr.models.store import DEFAULT_MODEL, Model, load_model
from napari_drcr.system.devices import choose_device, processor_name

if TYPE_CHECKING:
    from napari_drcr.inference.passes import Pass

ESTIMATE = "An estimate from three channels, not a measurement."


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
    white: Sequence[int] | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    remember: Callable[[Pass], object] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.DataArray:
    """Estimate a spectral cube from an RGB image.

    Parameters
    ----------
    rgb : array_like, shape (y, x, 3), or str or Path
        An image, or a file of one. uint8, uint16, or floating in [0, 1]; at least 8 x 8. A fourth channel is taken as alpha
        and dropped with a notice.
    model : str, Path or Model
        A shipped model's name, a checkpoint file, or a loaded model; see `napari_drcr.models.store.load_model`.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps"; see `napari_drcr.system.devices.devices`.
    precision : {"auto", "fp32", "bf16", "fp16"}
        See `napari_drcr.system.devices.precisions`.
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
    white : sequence of four int, optional
        Top, left, bottom and right, the last two excluded, of something white in the image, in pixels of the image as it is
        seen (upright). In linear light each channel is divided by its mean there, which takes out a colour cast and the
        exposure; what is brighter goes above 1 and is not clipped. For models that expect a photograph with white at 1:
        `photo`, `linear` and `polynomial`.
    ensemble : bool
        Take the mean of the estimates from the 8 flips and quarter turns of the image, in 8 times the time. Says how far they
        disagree. Per-pixel maps cannot disagree: they run once, and a notice says so.
    tile : int, optional
        What is computed at a time has as many pixels as a square of this side, at least a row; by default what suits the device.
        Changes memory and speed, not the result.
    remember : callable, optional
        Takes the finished `napari_drcr.inference.passes.Pass`, which can compute any part again, in float32 as well. Not called for per-pixel
        maps and with `ensemble`, which are no single pass of a network.
    progress : callable, optional
        Called with (steps done, steps in all). What it raises ends the work, `napari_drcr.Cancelled` by convention.

    Returns
    -------
    xarray.DataArray, shape (bands, y, x)
        float32, not clipped. Its attributes name model, SHA-256, the camera that the model learned from, device, precision, divisor, encoding, tile,
        versions and the seconds that the model took; `input_profile` what the colours were taken as, `clipped_share` the share of pixels of which a channel is at
        its white level. The coordinate `clipped` (y, x) marks these: what was brighter is lost, and the spectrum there wrong.
        `white` and `white_gains` are the white patch and the factors on red, green and blue. With `ensemble` the coordinate
        `flip_disagreement` (y, x) holds, per pixel, the mean over bands of the standard deviation over the 8 estimates (of
        these 8, that is with ddof=0), each relative to their mean or to 0.01 where that is larger, and the attribute
        `flip_disagreement_mean` its average. It is no uncertainty: metamers agree.

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
        white=white,
        ensemble=ensemble,
        tile=tile,
        remember=remember,
    )
    return run_through(steps, progress)


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
    white: Sequence[int] | None = None,
    ensemble: bool = False,
    tile: int | None = None,
    remember: Callable[[Pass], object] | None = None,
) -> Generator[tuple[int, int], None, xr.DataArray]:
    """`reconstruct`, step by step: for callers with a thread, a progress bar and a cancel button of their own.

    Parameters
    ----------
    rgb, model, device, precision, encoding, profile, white_level, divisor, white, ensemble, tile, remember
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
    loaded = load_model(model)
    preparing = iter_prepared(
        rgb, loaded, encoding=encoding, profile=profile, white_level=white_level, divisor=divisor, white=white
    )
    while True:
        try:
            next(preparing)
        except StopIteration as prepared:
            image = prepared.value
            break
        # The steps that count are known only once the image is there.
        yield 0, 1
    return (
        yield from iter_estimate(
            image, loaded, device=device, precision=precision, ensemble=ensemble, tile=tile, remember=remember
        )
    )


def iter_estimate(
    image: PreparedImage,
    loaded: Model,
    *,
    device: str = "auto",
    precision: str = "auto",
    ensemble: bool = False,
    tile: int | None = None,
    remember: Callable[[Pass], object] | None = None,
) -> Generator[tuple[int, int], None, xr.DataArray]:
    """`iter_reconstruct` of an image that is prepared already: for callers who do that ahead, in a thread of their own.

    Parameters
    ----------
    image : PreparedImage
        From `napari_drcr.inference.preparation.read_prepared`, for this model.
    loaded : Model
        From `napari_drcr.models.store.load_model`.
    device, precision, ensemble, tile, remember
        As for `reconstruct`.

    Yields
    ------
    tuple of int
        As for `iter_reconstruct`.

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
    if tile is not None and not (isinstance(tile, int) and tile >= SMALLEST_SIDE):
        raise InputError(f"tile must be a whole number of at least {SMALLEST_SIDE} pixels, not {tile!r}.")
    if isinstance(loaded.estimator, PixelMap):
        if device != "auto":
            choose_device(device)
        if precision not in ("auto", "fp32"):
            raise InputError(f"{loaded.name} is a per-pixel map, which knows fp32 only, not {precision!r}.")
        values = loaded.estimator.apply(np.moveaxis(image.values, 0, -1))
        hardware = {"device": "cpu", "device_name": processor_name(), "precision": "fp32"}
        if ensemble:
            notify(
                f"{loaded.name} estimates each pixel by itself: flips and turns of the image cannot disagree, "
                "so it ran once, and there is no flip disagreement."
            )
            ensemble = False
        if not np.isfinite(values).all():
            raise InputError(f"the estimate of {loaded.name} holds values that are not finite; try another model.")
        yield 1, 1
    else:
        from napari_drcr.inference.passes import Runner

        runner = Runner(loaded.estimator, device, precision, tile)
        if ensemble:
            values, disagreement = yield from average_orientations(runner.estimate, image.values)
        else:
            values = yield from runner.estimate(image.values)
            if remember is not None and runner.latest is not None:
                remember(runner.latest)
        hardware = runner.hardware
    coordinates: dict[str, tuple[tuple[str, str], npt.NDArray[Any]]] = {CLIPPED: (("y", "x"), image.clipped)}
    facts: dict[str, Any] = {}
    if ensemble:
        coordinates[FLIP_DISAGREEMENT] = (("y", "x"), disagreement)
        facts["flip_disagreement_mean"] = float(disagreement.mean())
    cube = make_cube(
        values,
        loaded.wavelengths,
        quantity=loaded.card.quantity,
        name=Path(image.source).stem if image.source else None,
        attrs={
            "estimate": ESTIMATE,
            "model": loaded.name,
            "model_sha256": loaded.sha256,
            "tile": None,
            **hardware,
            "encoding": image.encoding,
            "white_level": image.white_level,
            "divisor": image.divisor,
            "camera": loaded.card.camera,
            "white": None if image.white is None else list(image.white),
            "white_gains": None if image.gains is None else list(image.gains),
            "ensemble": ensemble,
            **facts,
            "input_profile": image.profile,
            "clipped_share": float(image.clipped.mean()),
            "source": image.source or "array",
            "seconds": round(time.perf_counter() - started, 3),
            "versions": ", ".join(f"{name} {version(name)}" for name in ("napari-drcr", "torch", "numpy")),
        },
    )
    return cube.assign_coords(coordinates)


def run_through(
    steps: Generator[tuple[int, int], None, xr.DataArray], progress: Callable[[int, int], None] | None = None
) -> xr.DataArray:
    """Take all steps of `iter_reconstruct` or `iter_estimate`.

    Parameters
    ----------
    steps : generator
        What one of these two returned.
    progress : callable, optional
        Called with (steps done, steps in all) after each; what it raises ends the work.

    Returns
    -------
    xarray.DataArray
        The estimate.
    """
    while True:
        try:
            done, total = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if progress is not None:
            progress(done, total)
