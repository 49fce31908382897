"""How an RGB image comes from a cube: response, exposure, noise, clipping, encoding, 8 bit and JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.colorimetry import encode_srgb, srgb_response
from napari_drcr.cube import check_cube
from napari_drcr.errors import InputError, notify

JPEG_GRID = 16
"""Side in pixels of the squares that JPEG with halved chroma codes on their own."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A simulated camera; `CAMERAS` holds the named ones, `with_settings` varies them.

    Parameters
    ----------
    name : str
        What results say they were made with.
    exposure : float
        Factor on the linear signal before anything clips; 1 renders a white reflectance to white.
    photo_electrons : float or None
        Photo-electrons at a linear signal of 1: shot noise is Poisson in them. None for no noise.
    read_noise : float
        Standard deviation of the signal-independent noise, in photo-electrons; needs `photo_electrons`.
    jpeg_quality : int or None
        1-100, chroma halved in both directions as cameras do; None for no compression.

    Notes
    -----
    The response is the CIE 1931 observer in sRGB primaries under daylight D65, as an ordinary white-balanced photo has it.
    """

    name: str
    exposure: float = 1.0
    photo_electrons: float | None = None
    read_noise: float = 0.0
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.exposure) and self.exposure > 0):
            raise InputError(f"exposure must be a positive factor, not {self.exposure}.")
        if self.photo_electrons is not None and not self.photo_electrons > 0:
            raise InputError(f"photo_electrons must be positive, or left out for no noise, not {self.photo_electrons}.")
        if self.read_noise < 0 or (self.read_noise > 0 and self.photo_electrons is None):
            raise InputError(f"read_noise must be 0 or more and needs photo_electrons, but is {self.read_noise}.")
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise InputError(f"jpeg_quality must lie in 1-100, or be left out for no compression, not {self.jpeg_quality}.")

    def with_settings(self, **settings: Any) -> Camera:
        """The same camera with other `exposure`, `photo_electrons`, `read_noise` or `jpeg_quality`."""
        return replace(self, **settings)

    def response(self, wavelengths: npt.ArrayLike, quantity: str) -> npt.NDArray[np.float32]:
        """Linear RGB per unit of each band.

        Parameters
        ----------
        wavelengths : array_like
            Band centres in nm, length N.
        quantity : {"reflectance", "radiance", "unknown"}
            Light is multiplied onto reflectance (and onto an unknown quantity), never onto radiance.

        Returns
        -------
        ndarray, shape (N, 3), float32
        """
        light = None if quantity == "radiance" else "D65"
        return srgb_response(np.asarray(wavelengths, dtype=np.float64), illuminant=light).astype(np.float32)

    def render(self, cube: xr.DataArray, *, seed: int = 0) -> npt.NDArray[np.uint8]:
        """Photograph a cube.

        Parameters
        ----------
        cube : xarray.DataArray, shape (bands, y, x)
            Reflectance or radiance; an unknown quantity is taken as reflectance and the caller is told.
        seed : int
            Of the noise: the same seed gives the same image.

        Returns
        -------
        ndarray, shape (y, x, 3), uint8
            sRGB-encoded.
        """
        check_cube(cube)
        quantity = cube.attrs.get("quantity", "unknown")
        if quantity == "unknown":
            notify(
                f"This cube does not say what it holds: camera {self.name!r} takes it as reflectance and lights it with D65."
            )
        linear = np.einsum(
            "byx,bc->yxc",
            np.asarray(cube.values, dtype=np.float32),
            self.response(cube["wavelength"].values, quantity),
            optimize=True,
        )
        return self.develop(linear, np.random.default_rng(seed))

    def develop(self, linear: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Everything after the response: exposure, noise, clipping, sRGB encoding, 8 bit, JPEG.

        Parameters
        ----------
        linear : ndarray, shape (y, x, 3)
            Linear sRGB, 1 is white.
        random : numpy.random.Generator
            Source of the noise.

        Returns
        -------
        ndarray, shape (y, x, 3), uint8
        """
        signal = linear * np.float32(self.exposure)
        if self.photo_electrons is not None:
            electrons = random.poisson(np.maximum(signal, 0) * self.photo_electrons).astype(np.float32)
            if self.read_noise:
                electrons += random.normal(0, self.read_noise, electrons.shape).astype(np.float32)
            signal = electrons / np.float32(self.photo_electrons)
        pixels = np.rint(encode_srgb(signal) * 255).astype(np.uint8)
        if self.jpeg_quality is None:
            return pixels
        from PIL import Image

        with io.BytesIO(self.encode(pixels)) as file:
            return np.asarray(Image.open(file))

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """The file that the camera writes.

        Parameters
        ----------
        pixels : ndarray, shape (y, x, 3), uint8
            Before compression.

        Returns
        -------
        bytes
            JPEG of the camera's quality, or PNG where it does not compress; see `suffix`.
        """
        from PIL import Image

        with io.BytesIO() as file:
            if self.jpeg_quality is None:
                Image.fromarray(pixels).save(file, format="PNG")
            else:
                Image.fromarray(pixels).save(file, format="JPEG", quality=self.jpeg_quality, subsampling="4:2:0")
            return file.getvalue()

    @property
    def suffix(self) -> str:
        """Of the files that it writes: ``.jpg`` or ``.png``."""
        return ".png" if self.jpeg_quality is None else ".jpg"

    def photograph(self, cube: xr.DataArray, *, seed: int = 0) -> bytes:
        """`render`, as a file: decoding it gives the same pixels.

        Parameters
        ----------
        cube, seed
            As for `render`.

        Returns
        -------
        bytes
            See `encode`.
        """
        return self.encode(self.with_settings(jpeg_quality=None).render(cube, seed=seed))


CAMERAS = {"photo": Camera(name="photo", jpeg_quality=90)}
"""The named cameras. `photo`: an ordinary sRGB photo at JPEG quality 90, without noise."""


def find_camera(name: str) -> Camera:
    """The camera of that name.

    Parameters
    ----------
    name : str
        A key of `CAMERAS`.

    Returns
    -------
    Camera

    Raises
    ------
    InputError
        Listing the cameras there are.
    """
    if name not in CAMERAS:
        raise InputError(f"there is no camera {name!r}; there is {', '.join(CAMERAS)}.")
    return CAMERAS[name]
