"""Colour profiles (ICC): what an image's numbers mean, and the way from there to sRGB."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import notify

ASSUMED = "sRGB (assumed)"
"""What is said of an image without a usable profile."""

SAME_COLOURS = 1 / 255
"""A profile that moves no colour by more than this is sRGB, whatever its name."""

Float32Array = npt.NDArray[np.float32]


def profile_name(profile: bytes) -> str:
    """Name that a colour profile gives itself.

    Parameters
    ----------
    profile : bytes
        An ICC profile.

    Returns
    -------
    str
        "unnamed" where none can be read.
    """
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return " ".join((ImageCms.getProfileDescription(opened) or "").replace("\0", " ").split()) or "unnamed"
    except (ImageCms.PyCMSError, OSError):
        return "unnamed"


def examine_profile(profile: bytes | None, source: str) -> tuple[str, bool]:
    """Determine whether an image must be converted to sRGB, and give a notice of it.

    Parameters
    ----------
    profile : bytes or None
        The image's ICC profile, if it has one.
    source : str
        What to call the image in a `Notice`.

    Returns
    -------
    label : str
        For the metadata: the profile's name, "Display P3, converted" for one that is not sRGB, "sRGB (assumed)" without any.
    foreign : bool
        Whether `convert_to_srgb` is needed. A profile that is damaged, or for other than RGB, is left out of account.
    """
    if profile is None:
        return ASSUMED, False
    import imagecodecs

    name = profile_name(profile)
    levels = np.linspace(0, 1, 6, dtype=np.float32)
    probes = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 6, 3)
    try:
        moved = float(np.abs(convert_to_srgb(probes, profile) - probes).max())
    except imagecodecs.CmsError:
        notify(f"its colour profile ({name}) is damaged or not one for RGB; the values are taken as sRGB.", source)
        return ASSUMED, False
    if moved <= SAME_COLOURS:
        return name, False
    notify(f"its colour profile ({name}) was converted to sRGB.", source)
    return f"{name}, converted", True


def convert_to_srgb(values: Float32Array, profile: bytes) -> Float32Array:
    """Bring RGB values from their colour profile to sRGB.

    Parameters
    ----------
    values : ndarray, shape (y, x, 3), float32 in [0, 1]
        Encoded as the profile says.
    profile : bytes
        An ICC profile for RGB, as `examine_profile` found it to be.

    Returns
    -------
    ndarray, shape (y, x, 3), float32
        sRGB-encoded values. Colours outside sRGB are clipped to [0, 1].

    Raises
    ------
    imagecodecs.CmsError
        If the profile cannot be used.

    Notes
    -----
    Relative colorimetric with black point compensation (ICC.1:2022), computed in floating point by Little CMS, so nothing is
    rounded on the way.
    """
    import imagecodecs

    converted = imagecodecs.cms_transform(
        np.ascontiguousarray(values),
        profile,
        imagecodecs.cms_profile("srgb"),
        colorspace="rgb",
        outcolorspace="rgb",
        outdtype="float32",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION,
    )
    return np.asarray(np.clip(converted, 0, 1), dtype=np.float32)


def convert_stored(pixels: npt.NDArray[Any], profile: bytes) -> npt.NDArray[Any]:
    """Bring the values of a file from their colour profile to sRGB, white being the largest value of their type.

    Parameters
    ----------
    pixels : ndarray, shape (y, x, 3), uint8, uint16 or float32
        As stored. Floating values outside [0, 1] are clipped.
    profile : bytes
        As for `convert_to_srgb`.

    Returns
    -------
    ndarray, shape (y, x, 3), uint16 or float32
        8-bit values become 16-bit ones, so that they are not rounded a second time.
    """
    floating = pixels.dtype.kind == "f"
    white = np.float32(1 if floating else np.iinfo(pixels.dtype).max)
    values = convert_to_srgb((pixels / white).clip(0, 1).astype(np.float32), profile)
    return values if floating else np.round(values * 65535).astype(np.uint16)
