"""How an RGB image comes from a cube: response, exposure, mosaic, noise, clipping, encoding, 8 bit and JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.camera.mosaic import Float32Array, demosaic, mosaic
from napari_drcr.camera.responses import Sensor, linear_response
from napari_drcr.cubes.colorimetry import decode_srgb, encode_srgb, srgb_response
from napari_drcr.cubes.cube import check_cube
from napari_drcr.errors import InputError, notify

JPEG_GRID = 16
"""Side in pixels of the squares that JPEG with halved chroma codes on their own."""
AUTOMATIC_MEAN = 0.18
"""What automatic exposure brings the mean of a whole scene to: the reflectance of a typical one."""

LARGEST_EXPOSURE = 1e6
MOST_ELECTRONS = 1e9
"""Beyond these nothing is left of an image, or of its noise."""

Light = Literal["D65"]
ElectronsAt = Literal["white", "mean green"]
Encoding = Literal["srgb", "linear"]
Rounding = Literal["round", "truncate"]


@cache
def _levels(encoding: Encoding) -> Float32Array:
    """The linear signal of each of the 256 levels of a pixel."""
    levels = np.arange(256, dtype=np.float32) / np.float32(255)
    levels = decode_srgb(levels).astype(np.float32, copy=False) if encoding == "srgb" else levels
    levels.setflags(write=False)
    return levels


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A simulated camera; `CAMERAS` holds the named ones, `with_settings` varies them.

    Parameters
    ----------
    name : str
        What results say they were made with.
    sensor : Response or StandardObserver or None
        The response curves. None is the CIE 1931 observer in sRGB primaries, as an ordinary white-balanced photo has it.
    illuminant : "D65" or None
        Light multiplied onto reflectance, never onto radiance, and the light that white is balanced for; None for none, as if
        it had equal power everywhere.
    exposure : float
        Factor on the linear signal before anything clips; 1 renders a white reflectance to white.
    automatic_exposure : bool
        Whether the signal, its noise with it, is then amplified until the mean of the whole scene is 0.18.
    photo_electrons : float or None
        Shot noise is Poisson in them; None for no noise.
    electrons_at : {"white", "mean green"}
        Where the signal has that many `photo_electrons`: at a linear signal of 1 before any automatic exposure, or at the mean
        of the whole scene's green.
    read_noise : float
        Standard deviation of the signal-independent noise, in photo-electrons; needs `photo_electrons`.
    mosaic : bool
        Whether the sensor sees one colour a pixel through a Bayer pattern (RGGB), and the others are filled in after Menon,
        Andriani and Calvagno (IEEE Transactions on Image Processing 16(1), 2007).
    encoding : {"srgb", "linear"}
        Of the pixels.
    rounding : {"round", "truncate"}
        To the nearest of 256 levels, or down.
    jpeg_quality : int or None
        1-100, chroma halved in both directions as cameras do; None for no compression.

    Notes
    -----
    What automatic exposure and "mean green" need to know of a scene is found by `metered`. To photograph a crop as part of its
    scene, meter the scene and use the result.
    """

    name: str
    sensor: Sensor | None = None
    illuminant: Light | None = "D65"
    exposure: float = 1.0
    automatic_exposure: bool = False
    photo_electrons: float | None = None
    electrons_at: ElectronsAt = "white"
    read_noise: float = 0.0
    mosaic: bool = False
    encoding: Encoding = "srgb"
    rounding: Rounding = "round"
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        for setting, values in (
            ("illuminant", (None, *get_args(Light))),
            ("electrons_at", get_args(ElectronsAt)),
            ("encoding", get_args(Encoding)),
            ("rounding", get_args(Rounding)),
        ):
            if getattr(self, setting) not in values:
                raise InputError(
                    f"{setting} must be {' or '.join(map(str, values))}, not {getattr(self, setting)!r}, for camera {self.name!r}."
                )
        if not 0 < self.exposure <= LARGEST_EXPOSURE:
            raise InputError(f"exposure must be a positive factor of up to {LARGEST_EXPOSURE:g}, not {self.exposure}.")
        if self.photo_electrons is not None and not 0 < self.photo_electrons <= MOST_ELECTRONS:
            raise InputError(
                f"photo_electrons must be positive and at most {MOST_ELECTRONS:g}, or left out for no noise, not {self.photo_electrons}."
            )
        if not 0 <= self.read_noise <= MOST_ELECTRONS or (self.read_noise > 0 and self.photo_electrons is None):
            raise InputError(f"read_noise must be 0 or more and needs photo_electrons, but is {self.read_noise}.")
        if self.jpeg_quality is not None and self.jpeg_quality not in range(1, 101):
            raise InputError(f"jpeg_quality must lie in 1-100, or be left out for no compression, not {self.jpeg_quality}.")

    def with_settings(self, **settings: Any) -> Camera:
        """The same camera with other settings.

        Parameters
        ----------
        **settings
            Named as the parameters of the class.

        Returns
        -------
        Camera

        Raises
        ------
        InputError
            If a setting is out of its range.
        """
        return replace(self, **settings)

    @property
    def keeps_scale(self) -> bool:
        """Whether a scene twice as bright gives an image twice as bright; not so with automatic exposure."""
        return not self.automatic_exposure

    @property
    def needs_metering(self) -> bool:
        """Whether it must see a whole scene before it can photograph a part of it; see `metered`."""
        return self.automatic_exposure or self._counts_green

    @property
    def _counts_green(self) -> bool:
        return self.photo_electrons is not None and self.electrons_at == "mean green"

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

        Raises
        ------
        InputError
            If the sensor sees nothing of these bands.
        """
        lit = quantity != "radiance"
        if self.sensor is None:
            light = self.illuminant if lit else None
            return srgb_response(np.asarray(wavelengths, dtype=np.float64), illuminant=light).astype(np.float32)
        nm = tuple(np.asarray(wavelengths, dtype=np.float64).tolist())
        return linear_response(self.sensor, nm, self.illuminant, lit and self.illuminant is not None).astype(np.float32)

    def metered(self, mean: npt.ArrayLike) -> Camera:
        """The camera with fixed settings for one scene, in place of automatic ones.

        Parameters
        ----------
        mean : array_like, shape (3,)
            Mean linear RGB of the whole scene, which is its mean spectrum times `response`.

        Returns
        -------
        Camera
            The same one where nothing is automatic. Otherwise `exposure` and `photo_electrons`, now at a linear signal of 1 after
            that exposure, hold for every crop of the scene.

        Raises
        ------
        InputError
            If the scene is black.
        """
        if not self.needs_metering:
            return self
        rgb = np.asarray(mean, dtype=np.float64)
        if not (np.isfinite(rgb).all() and rgb.mean() > 0 and rgb[1] > 0):
            raise InputError(f"this scene is black to camera {self.name!r}, or not finite: there is nothing to expose for.")
        exposure = AUTOMATIC_MEAN / float(rgb.mean()) if self.automatic_exposure else self.exposure
        electrons = self.photo_electrons
        if electrons is not None:
            electrons *= 1 / (float(rgb[1]) * exposure) if self._counts_green else self.exposure / exposure
        return replace(self, exposure=exposure, automatic_exposure=False, photo_electrons=electrons, electrons_at="white")

    def render(self, cube: xr.DataArray, *, seed: int = 0) -> npt.NDArray[np.uint8]:
        """Photograph a cube.

        Parameters
        ----------
        cube : xarray.DataArray, shape (bands, y, x)
            Reflectance or radiance; an unknown quantity is taken as reflectance, with a notice.
        seed : int
            Of the noise: the same seed gives the same image.

        Returns
        -------
        ndarray, shape (y, x, 3), uint8
            In the camera's `encoding`.

        Raises
        ------
        InputError
            If the cube holds values that are not finite, the sensor sees nothing of its bands, or nothing at all where it exposes
            automatically.
        """
        check_cube(cube)
        if seed < 0:
            raise InputError(f"the seed of the noise must be 0 or more, not {seed}.")
        if wrong := int(np.count_nonzero(~np.isfinite(cube.values))):
            raise InputError(f"this cube holds {wrong} values that are NaN or infinite; replace them first.")
        quantity = cube.attrs.get("quantity", "unknown")
        if quantity == "unknown" and self.illuminant is not None:
            notify(
                f"This cube does not state its quantity: camera {self.name!r} takes it as reflectance and lights it with {self.illuminant}."
            )
        linear = np.einsum(
            "byx,bc->yxc",
            np.asarray(cube.values, dtype=np.float32),
            self.response(cube["wavelength"].values, quantity),
            optimize=True,
        )
        return self.develop(linear, np.random.default_rng(seed))

    def develop(self, linear: Float32Array, random: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Everything after the response: exposure, mosaic, noise, clipping, encoding, 8 bit, JPEG.

        Parameters
        ----------
        linear : ndarray, shape (y, x, 3)
            Linear RGB, 1 is white: a whole scene, or a crop of one that the camera has been `metered` for.
        random : numpy.random.Generator
            Source of the noise.

        Returns
        -------
        ndarray, shape (y, x, 3), uint8

        Raises
        ------
        InputError
            If the image is too small for a mosaic, or black where the camera exposes automatically.
        """
        if self.needs_metering:
            return self.metered(linear.mean(axis=(0, 1), dtype=np.float64)).develop(linear, random)
        signal = linear * np.float32(self.exposure)
        if self.mosaic:
            signal = mosaic(signal)
        if self.photo_electrons is not None:
            electrons = random.poisson(np.maximum(signal, 0) * self.photo_electrons).astype(np.float32)
            if self.read_noise:
                electrons += random.normal(0, self.read_noise, electrons.shape).astype(np.float32)
            signal = electrons / np.float32(self.photo_electrons)
        if self.mosaic:
            signal = demosaic(np.clip(signal, 0, 1))
        pixels = self._quantised(signal)
        if self.jpeg_quality is None:
            return pixels
        from PIL import Image

        with io.BytesIO(self.encode(pixels)) as file:
            return np.asarray(Image.open(file))

    def _quantised(self, signal: Float32Array) -> npt.NDArray[np.uint8]:
        levels = (encode_srgb(signal) if self.encoding == "srgb" else np.clip(signal, 0, 1)) * 255
        # Before truncating a little is added, so that a signal that is a whole level but for rounding errors stays on it.
        levels = np.rint(levels) if self.rounding == "round" else np.minimum(levels + 1e-3, 255)
        return levels.astype(np.uint8)

    def decode(self, pixels: npt.NDArray[np.uint8]) -> Float32Array:
        """The linear signal encoded in an image.

        Parameters
        ----------
        pixels : ndarray, uint8
            As `render` gives them, of any shape.

        Returns
        -------
        ndarray, float32
            In [0, 1], of the same shape.
        """
        return _levels(self.encoding)[pixels]

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
