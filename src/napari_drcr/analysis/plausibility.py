"""Plausibility without ground truth: an estimated cube, rendered with its camera, compared with the image it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.camera import CAMERAS, Camera, find_camera
from napari_drcr.cubes.cube import check_cube
from napari_drcr.errors import InputError, notify
from napari_drcr.inference.pixels import open_rgb
from napari_drcr.inference.preparation import ImageSettings, PreparedImage, prepare_rgb
from napari_drcr.models.store import Card

MEANING = (
    "Small residuals do not prove the spectrum: countless spectra (metamers) give the same RGB, and all of them pass; "
    "large residuals do show that the estimate contradicts the image, or that the camera was another."
)

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Plausibility:
    """Deviation of a cube, rendered with a camera, from the image; `MEANING` states what that does not prove.

    Parameters
    ----------
    residuals : xarray.DataArray, shape (y, x), float32
        Per pixel the root mean square, over red, green and blue, of the difference in linear light, where 1 is white. NaN where the
        image is clipped.
    residual : float
        The same over all pixels that count.
    assumption : str
        Through which camera and light the cube was seen.
    exposure : float
        What the cube was multiplied with. 1, unless cube and image do not share a white: then what fits best.
    clipped_share : float
        Share of the pixels that are left out.
    """

    residuals: xr.DataArray
    residual: float
    assumption: str
    exposure: float
    clipped_share: float


def assess_plausibility(
    cube: xr.DataArray,
    rgb: npt.ArrayLike | str | Path,
    camera: str | Path | Camera | None = None,
    *,
    encoding: str | None = None,
    profile: bytes | None = None,
    white_level: float | None = None,
) -> Plausibility:
    """Project an estimated cube back to RGB and compare it with the image that it was estimated from.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The estimate. Its attributes, as `reconstruct` writes them, say how the image was prepared: white level, encoding, divisor and
        white patch are applied again.
    rgb : array_like, shape (y, x, 3), or str or Path
        The image, or the file of it, as it was given to `reconstruct`.
    camera : str, Path or Camera, optional
        See `napari_drcr.camera.find_camera`. By default the one that the cube's attribute ``camera`` names, or else the CIE 1931
        observer. Response and light alone are applied: no noise, no mosaic, no compression. Radiance has its light already.
    encoding, profile, white_level
        As for `reconstruct`; by default what the cube's attributes say, or what `reconstruct` would take.

    Returns
    -------
    Plausibility

    Raises
    ------
    InputError
        If cube and image differ in size, this cannot be the image, the camera is not known, or nothing is left to compare.

    Notes
    -----
    Only reflectance ties the cube's 1 to the image's white. For other cubes, and cameras that expose automatically, the exposure that
    fits best, by least squares, is taken out first.
    """
    check_cube(cube)
    pixels, profile, source = open_rgb(rgb, profile)
    image = _as_prepared(cube, pixels, source, encoding, profile, white_level)
    if image.clipped.shape != cube.shape[1:]:
        raise InputError(
            f"the cube has {cube.shape[1]} x {cube.shape[2]} pixels, the image {image.clipped.shape[0]} x {image.clipped.shape[1]}; "
            "give the image that the cube was estimated from."
        )
    counted = ~image.clipped
    if not counted.any():
        raise InputError("every pixel of the image is clipped, so there is nothing to compare the cube with.")
    chosen, assumption = _choose_camera(cube, camera)
    seen = _project(cube, chosen)
    fits = np.moveaxis(image.values, 0, -1)
    exposure = chosen.exposure
    if cube.attrs.get("quantity", "unknown") != "reflectance" or not chosen.keeps_scale:
        exposure = _best_exposure(seen[counted], fits[counted])
        assumption += ", exposure matched"
    if cube.attrs.get("colour_exact"):
        assumption += "; the estimate was given the image's colours, so small residuals say nothing about it"
    squares = np.square(seen * np.float32(exposure) - fits).mean(axis=-1)
    residuals = np.where(counted, np.sqrt(squares), np.float32(np.nan))
    return Plausibility(
        residuals=xr.DataArray(
            residuals,
            dims=("y", "x"),
            name="RGB residual",
            attrs={"units": "1", "assumption": assumption, "meaning": MEANING, "left_out": int(image.clipped.sum())},
        ),
        residual=float(np.sqrt(squares[counted].mean(dtype=np.float64))),
        assumption=assumption,
        exposure=exposure,
        clipped_share=float(image.clipped.mean()),
    )


def _as_prepared(
    cube: xr.DataArray,
    pixels: npt.NDArray[Any],
    source: str | None,
    encoding: str | None,
    profile: bytes | None,
    white_level: float | None,
) -> PreparedImage:
    """The image in the linear light that the model took it for."""
    facts = cube.attrs
    if white_level is None and (recorded := facts.get("white_level")) is not None:
        white_level = float(recorded)
        _check_same_depth(pixels, white_level)
    taken = facts.get("encoding", "srgb")
    if encoding is None:
        # What a model takes "as given" was converted to sRGB first unless it was said to be linear.
        colours = str(facts.get("input_profile"))
        linear = colours == "none" or colours.endswith(", not applied")
        encoding = ("linear" if linear else "srgb") if taken == "as given" else taken
    card = Card(name=str(facts.get("model", "the model")), encoding="as given" if taken == "as given" else "linear")
    white = facts.get("white")
    # An offset is not taken away again: the cube is of the scene, not of its stretched image.
    # With a white patch the divisor is 1, and may not be given.
    divisor = None if white is not None else facts.get("divisor")
    return prepare_rgb(pixels, card, ImageSettings(encoding, profile, white_level, divisor, white), source=source)


def _check_same_depth(pixels: npt.NDArray[Any], white_level: float) -> None:
    """Refuse an image that is not on the scale of the one that the cube was estimated from, and would come out black."""
    if pixels.dtype.kind == "f":
        largest = 1.0 if pixels.size and pixels.max() <= 1 else np.inf
    elif pixels.dtype.kind == "u":
        largest = float(np.iinfo(pixels.dtype).max)
    else:
        return
    if white_level > largest:
        raise InputError(
            f"the cube was estimated from an image whose white is {white_level:g}, but the values of this {pixels.dtype} image end at "
            f"{largest:g}; give the same image, or its white_level."
        )


def _choose_camera(cube: xr.DataArray, camera: str | Path | Camera | None) -> tuple[Camera, str]:
    """The camera to see the cube through, and what to call it."""
    radiance = cube.attrs.get("quantity") == "radiance"
    named = str(cube.attrs.get("camera") or "")
    if camera is None and not named:
        light = ", its light being in the cube" if radiance else " under D65"
        chosen, assumption = CAMERAS["photo"], f"assumes CIE 1931{light}"
    else:
        if camera is None and named not in CAMERAS:
            raise InputError(
                f"the cube was made for the camera {named!r}, which is not one of {', '.join(CAMERAS)}; "
                "give it, or the CSV file of its responses, as camera."
            )
        chosen = camera if isinstance(camera, Camera) else find_camera(camera or named)
        assumption = f"camera {chosen.name}"
    if cube.attrs.get("quantity", "unknown") == "unknown":
        notify(
            "This cube does not state its quantity: it is taken as reflectance"
            f"{f' and lit with {chosen.illuminant}' if chosen.illuminant else ''}."
        )
    return chosen, assumption


def _project(cube: xr.DataArray, camera: Camera) -> Float32Array:
    """Linear RGB (y, x, 3) before exposure; piece by piece where the cube is lazy (dask)."""
    response = camera.response(cube["wavelength"].values, cube.attrs.get("quantity", "unknown"))
    weights = xr.DataArray(response, dims=("wavelength", "channel"))
    with np.errstate(invalid="ignore"):
        seen = xr.dot(xr.DataArray(cube.variable).astype(np.float32), weights, dim="wavelength")
        values = np.asarray(seen.transpose("y", "x", "channel").values)
    if wrong := int(np.count_nonzero(~np.isfinite(values).all(axis=-1))):
        raise InputError(f"the cube holds values that are NaN or infinite in {wrong} pixels; replace them first.")
    # No camera has negative signals, though the response to very pure colours can be.
    return np.asarray(np.maximum(values, 0))


def _best_exposure(seen: Float32Array, image: Float32Array) -> float:
    power = float(np.square(seen, dtype=np.float64).sum())
    if power == 0:
        raise InputError("the cube is black to this camera, so no exposure fits it to the image.")
    return float(np.multiply(seen, image, dtype=np.float64).sum()) / power
