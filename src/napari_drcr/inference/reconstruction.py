"""RGB to cube: prepare, pad, choose device and precision, run, label."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.cube import CLIPPED, FLIP_DISAGREEMENT, UNFAMILIARITY, make_cube
from napari_drcr.errors import InputError, notify
from napari_drcr.inference.colours import exact_colours
from napari_drcr.inference.ensemble import average_orientations
from napari_drcr.inference.familiarity import iter_unfamiliarity
from napari_drcr.inference.pixels import SMALLEST_SIDE
from napari_drcr.inference.preparation import ImageSettings, PreparedImage, iter_prepared
from napari_drcr.models.store import DEFAULT_MODEL, Model, load_model
from napari_drcr.system.devices import choose_device, processor_name
from napari_drcr.system.steps import mapped, run_to_end

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
    colour_exact: bool = False,
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
        Checkpoints in the published layout were trained on linear values and decode nothing: "srgb" gives a notice.
    profile : bytes, optional
        ICC profile of an array. A file's own is found in the file.
    white_level : float, optional
        The value that means white, before decoding: by default 255, 65535, or 1. 16-bit files often hold 10, 12 or 14 bits:
        1023, 4095, 16383.
    divisor : float, optional
        What the decoded image is divided by; by default 1, or the image's own maximum if the model's card specifies it.
        Not for models that stretch each image to its own range.
    white : sequence of four int, optional
        Top, left, bottom and right, the last two excluded, of something white in the image, in pixels of the image as it is
        seen (upright). In linear light each channel is divided by its mean there, which takes out a colour cast and the
        exposure; what is brighter goes above 1 and is not clipped. For models that expect a photograph with white at 1:
        `photo`, `linear` and `polynomial`.
    ensemble : bool
        Take the mean of the estimates from the 8 flips and quarter turns of the image, in 8 times the time. Says how far they
        disagree. Per-pixel maps cannot disagree: they run once, with a notice.
    colour_exact : bool
        Change the estimate, once at the end, as little as possible, so that the camera that the model learned from sees the exact colours of
        the image in it; see `napari_drcr.inference.colours.ExactColours`. No value is then below 0. Noise and compression of the image
        go into the cube. Only for models whose card names a camera that is linear pixel by pixel and keeps scale.
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
        float32, not clipped. Its attributes name model, SHA-256, the camera that the model learned from, device, precision, offset and divisor, encoding, tile,
        versions and the seconds that the model took; `input_profile` what the colours were taken as, `clipped_share` the share of pixels of which a channel is at
        its white level. The coordinate `clipped` (y, x) marks these: what was brighter is lost, and the spectrum there wrong.
        `white` and `white_gains` are the white patch and the factors on red, green and blue. With `ensemble` the coordinate
        `flip_disagreement` (y, x) holds, per pixel, the mean over bands of the standard deviation over the 8 estimates (of
        these 8, that is with ddof=0), each relative to their mean or to 0.01 where that is larger, and the attribute
        `flip_disagreement_mean` its average, before colours are made exact. It is no uncertainty: metamers agree. Of a model that
        states what it learned from, the coordinate `unfamiliarity` (y, x) and the attributes `unfamiliar_share` and `unfamiliar` say
        how unlike that the image is; see `napari_drcr.unfamiliarity`.

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
        colour_exact=colour_exact,
        tile=tile,
        remember=remember,
    )
    return run_to_end(steps, None if progress is None else lambda step: progress(*step))


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
    colour_exact: bool = False,
    tile: int | None = None,
    remember: Callable[[Pass], object] | None = None,
) -> Generator[tuple[int, int], None, xr.DataArray]:
    """`reconstruct`, step by step: for callers with a thread, a progress bar and a cancel button of their own.

    Parameters
    ----------
    rgb, model, device, precision, encoding, profile, white_level, divisor, white, ensemble, colour_exact, tile, remember
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
    settings = ImageSettings(encoding, profile, white_level, divisor, white)
    estimator = Estimator(loaded, device=device, precision=precision, ensemble=ensemble, colour_exact=colour_exact, tile=tile)
    # The steps that count are known only once the image is there.
    image = yield from mapped(iter_prepared(rgb, loaded, settings), lambda _: (0, 1))
    return (yield from estimator.iter_estimate(image, remember=remember))


class Estimator:
    """A model on a device, for any number of images that are prepared already.

    Parameters
    ----------
    model : Model
        From `napari_drcr.load_model`. It is put on the device with the first image.
    device, precision, ensemble, colour_exact, tile
        As for `reconstruct`.

    Raises
    ------
    InputError
        If `tile` cannot be used, or colours cannot be exact with this model.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: str = "auto",
        precision: str = "auto",
        ensemble: bool = False,
        colour_exact: bool = False,
        tile: int | None = None,
    ) -> None:
        if tile is not None and not (isinstance(tile, int) and tile >= SMALLEST_SIDE):
            raise InputError(f"tile must be a whole number of at least {SMALLEST_SIDE} pixels, not {tile!r}.")
        self._model = model
        self._device, self._precision, self._tile = device, precision, tile
        self._ensemble = ensemble
        self._colours = exact_colours(model.card) if colour_exact else None
        self._runner: Runner | None = None

    def iter_estimate(
        self, image: PreparedImage, *, remember: Callable[[Pass], object] | None = None
    ) -> Generator[tuple[int, int], None, xr.DataArray]:
        """Estimate the cube of an image, step by step.

        Parameters
        ----------
        image : PreparedImage
            From `napari_drcr.inference.preparation.read_prepared`, for this model.
        remember : callable, optional
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
        if self._runner is None:
            self._runner = self._start()
        runner, disagreement = self._runner, None
        colours = None if self._colours is None else self._colours.of_image(image)
        if self._ensemble and self._model.architecture.per_pixel:
            notify(
                f"{self._model.name} estimates each pixel independently: flips and turns of the image cannot disagree, "
                "so it ran once, and there is no flip disagreement."
            )
        if self._ensemble and not self._model.architecture.per_pixel:
            values, disagreement = yield from average_orientations(runner.estimate, image.values)
        else:
            values = yield from runner.estimate(image.values)
            if remember is not None and runner.latest is not None:
                runner.latest.colours = colours
                remember(runner.latest)
        if colours is not None:
            yield from mapped(colours.iter_correct(values, image.values), lambda _: (1, 1))
        seconds = round(time.perf_counter() - started, 3)
        unfamiliarity = yield from mapped(iter_unfamiliarity(image, self._model), lambda _: (1, 1))
        if unfamiliarity is not None and unfamiliarity.attrs["unfamiliar"]:
            notify(
                f"{unfamiliarity.attrs['unfamiliar_share']:.0%} of the image is unlike what {self._model.name} learned from, in colour "
                "or texture: its scores do not hold there.",
                image.source or "The image",
            )
        run = {**runner.hardware, "colour_exact": colours is not None, "seconds": seconds}
        return _labelled(self._model, image, values, (disagreement, unfamiliarity), run)

    def _start(self) -> Runner:
        if self._model.architecture.per_pixel:
            return PixelRunner(self._model, self._device, self._precision)
        from napari_drcr.inference.passes import NetworkRunner

        return NetworkRunner(self._model, self._device, self._precision, self._tile)


class Runner(Protocol):
    """What estimates the values of one image after another."""

    @property
    def hardware(self) -> dict[str, Any]:
        """Device and precision, as in a cube's attributes."""

    @property
    def latest(self) -> Pass | None:
        """Of the last image, where windows of it can be computed again."""

    def estimate(self, image: npt.NDArray[np.float32]) -> Generator[tuple[int, int], None, npt.NDArray[np.float32]]:
        """Estimate (bands, y, x) from (3, y, x); yields steps done and steps in all."""


class PixelRunner:
    """A per-pixel map, ready for images: a product of matrices on the CPU, without torch.

    Parameters
    ----------
    model : Model
        With a per-pixel map.
    device, precision : str
        Checked, though the map runs on the CPU in float32 whatever they are.

    Raises
    ------
    InputError
        If there is no such device, or the precision is neither fp32 nor auto.
    """

    latest = None

    def __init__(self, model: Model, device: str = "auto", precision: str = "auto") -> None:
        if device != "auto":
            choose_device(device)
        if precision not in ("auto", "fp32"):
            raise InputError(f"{model.name} is a per-pixel map, which supports fp32 only, not {precision!r}.")
        self._model = model

    @property
    def hardware(self) -> dict[str, Any]:
        """See `Runner`."""
        return {"device": "cpu", "device_name": processor_name(), "precision": "fp32", "tile": None}

    def estimate(self, image: npt.NDArray[np.float32]) -> Generator[tuple[int, int], None, npt.NDArray[np.float32]]:
        """See `Runner`."""
        values: npt.NDArray[np.float32] = self._model.estimator.apply(np.moveaxis(image, 0, -1))
        if not np.isfinite(values).all():
            raise InputError(f"the estimate of {self._model.name} holds values that are not finite; try another model.")
        yield 1, 1
        return values


def _labelled(
    model: Model,
    image: PreparedImage,
    values: npt.NDArray[np.float32],
    maps: tuple[npt.NDArray[np.float32] | None, xr.DataArray | None],
    run: dict[str, Any],
) -> xr.DataArray:
    """The cube with its attributes, and the maps of flip disagreement and unfamiliarity where there are any."""
    disagreement, unfamiliarity = maps
    coordinates: dict[str, tuple[tuple[str, str], npt.NDArray[Any]]] = {CLIPPED: (("y", "x"), image.clipped)}
    facts: dict[str, Any] = {}
    if disagreement is not None:
        coordinates[FLIP_DISAGREEMENT] = (("y", "x"), disagreement)
        facts["flip_disagreement_mean"] = float(disagreement.mean())
    if unfamiliarity is not None:
        coordinates[UNFAMILIARITY] = (("y", "x"), unfamiliarity.values)
        facts |= {name: unfamiliarity.attrs[name] for name in ("unfamiliar_share", "unfamiliar")}
    cube = make_cube(
        values,
        model.wavelengths,
        quantity=model.card.quantity,
        name=Path(image.source).stem if image.source else None,
        attrs={
            "estimate": ESTIMATE,
            "model": model.name,
            "model_sha256": model.sha256,
            "tile": run["tile"],
            "device": run["device"],
            "device_name": run["device_name"],
            "precision": run["precision"],
            "encoding": image.encoding,
            "white_level": image.white_level,
            "offset": image.offset,
            "divisor": image.divisor,
            "camera": model.card.camera,
            "white": None if image.white is None else list(image.white),
            "white_gains": None if image.gains is None else list(image.gains),
            "ensemble": disagreement is not None,
            **facts,
            "colour_exact": run["colour_exact"],
            "input_profile": image.profile,
            "clipped_share": float(image.clipped.mean()),
            "source": image.source or "array",
            "seconds": run["seconds"],
            "versions": ", ".join(f"{name} {version(name)}" for name in ("napari-drcr", "torch", "numpy")),
        },
    )
    return cube.assign_coords(coordinates)
