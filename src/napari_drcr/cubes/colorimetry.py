"""From spectra to sRGB: the CIE 1931 observer, daylight and lamps, and the sRGB transfer function."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from napari_drcr.errors import InputError, notify, shown

FloatArray = npt.NDArray[np.floating]

DAYLIGHT_REFERENCE_NM = 560.0
VISIBLE = (400, 700)
"""Range in nm outside which a band alone has hardly any colour."""
LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear R, G and B (sRGB, IEC 61966-2-1; ITU-R BT.709)."""
NEEDED = (430, 660)
"""Range in nm that bands must cover for colours to be about right."""


def srgb_response(wavelengths: Sequence[float] | FloatArray, *, illuminant: str | None = "D65") -> FloatArray:
    """Linear-sRGB response of the CIE 1931 2-degree observer, sampled at the given wavelengths.

    Parameters
    ----------
    wavelengths : sequence of float
        Band centres in nm, ascending, length N.
    illuminant : "D65" or None
        The light to multiply onto a reflectance; None when the spectrum already is radiance.

    Returns
    -------
    ndarray, shape (N, 3), float64
        ``spectrum @ response`` is linear sRGB. With D65 a reflectance of 1 in every band gives exactly (1, 1, 1).
        Without, a radiance in the shape of D65, 1 at 560 nm, does.

    Raises
    ------
    InputError
        If no band lies in the visible range. A notice is given if part of it is missing.

    Notes
    -----
    CIE 015:2018 for observer and illuminant, IEC 61966-2-1 for the primaries. Both are tabulated by colour-science, which
    is imported on the first call only.
    """
    nm = tuple(float(nm) for nm in wavelengths)
    if nm[0] > VISIBLE[1] or nm[-1] < VISIBLE[0]:
        raise InputError(
            f"bands of {nm[0]:g}-{nm[-1]:g} nm have no colour: none of them lies within {VISIBLE[0]}-{VISIBLE[1]} nm."
        )
    if nm[0] > NEEDED[0] or nm[-1] < NEEDED[1]:
        notify(
            f"Bands of {nm[0]:g}-{nm[-1]:g} nm miss part of what the eye sees ({NEEDED[0]}-{NEEDED[1]} nm): their colours are off."
        )
    return _srgb_response(nm, illuminant)


@cache
def _srgb_response(wavelengths: tuple[float, ...], illuminant: str | None) -> FloatArray:
    import colour

    nm = np.asarray(wavelengths)
    observer = colour.MSDS_CMFS["CIE 1931 2 Degree Standard Observer"]
    xyz = np.stack([np.interp(nm, observer.wavelengths, channel, 0, 0) for channel in observer.values.T], axis=1)
    light = daylight(nm)
    width = np.gradient(nm) if nm.size > 1 else np.ones(1)
    response = (xyz * width[:, None]) @ colour.RGB_COLOURSPACES["sRGB"].matrix_XYZ_to_RGB.T
    # Sampled at a few bands D65 is not quite sRGB's white: dividing by the white's own response makes white exactly white.
    response = response / (light @ response)
    if illuminant == "D65":
        response = response * light[:, None]
    elif illuminant is not None:
        raise ValueError(f"illuminant must be 'D65' or None, not {illuminant!r}")
    response.setflags(write=False)
    return np.asarray(response)


def daylight(wavelengths: FloatArray) -> FloatArray:
    """Relative power of daylight D65 (CIE 015:2018).

    Parameters
    ----------
    wavelengths : ndarray, shape (N,)
        In nm.

    Returns
    -------
    ndarray, shape (N,), float64
        1 at 560 nm; 0 outside 300-780 nm.
    """
    import colour

    table = colour.SDS_ILLUMINANTS["D65"]
    light = np.interp(wavelengths, table.wavelengths, table.values, 0, 0)
    return np.asarray(light / np.interp(DAYLIGHT_REFERENCE_NM, table.wavelengths, table.values))


def illuminant_names() -> list[str]:
    """The lights available in `illuminant`.

    Returns
    -------
    list of str
        As colour-science names them: CIE standard illuminants and daylights (A, D50, D65, ...), fluorescent lamps (FL1, ...),
        high-pressure discharge lamps (HP1, ...), LEDs (LED-B1, ...) and those of ISO 7589.
    """
    import colour

    return list(colour.SDS_ILLUMINANTS)


def check_illuminant(name: str) -> str:
    """Return the name of a light if there is one of that name, else say which there are.

    Parameters
    ----------
    name : str
        What should be one of `illuminant_names`.

    Returns
    -------
    str
        The same.

    Raises
    ------
    InputError
        Listing them.
    """
    if name not in (names := illuminant_names()):
        raise InputError(f"there is no light {shown(name)}; there is {', '.join(names)}.")
    return name


def illuminant(name: str, wavelengths: Sequence[float] | FloatArray) -> FloatArray:
    """Relative spectral power of a CIE illuminant or lamp.

    Parameters
    ----------
    name : str
        One of `illuminant_names`.
    wavelengths : sequence of float
        In nm, length N.

    Returns
    -------
    ndarray, shape (N,), float64
        Interpolated linearly, with a mean of 1 over these wavelengths.

    Raises
    ------
    InputError
        If there is no such light, its table does not cover the wavelengths, or it has no power there.

    Notes
    -----
    CIE 015:2018, as tabulated by colour-science, mostly for 300-780 or 380-780 nm.
    """
    import colour

    table = colour.SDS_ILLUMINANTS[check_illuminant(name)]
    nm = np.asarray(wavelengths, dtype=np.float64)
    if nm.min() < table.wavelengths[0] or nm.max() > table.wavelengths[-1]:
        raise InputError(
            f"light {name} is tabulated for {table.wavelengths[0]:g}-{table.wavelengths[-1]:g} nm, which does not cover "
            f"{nm.min():g}-{nm.max():g} nm; resample the cube to that range first."
        )
    power = np.interp(nm, table.wavelengths, table.values)
    if not power.mean() > 0:
        raise InputError(f"light {name} has no power at {nm.min():g}-{nm.max():g} nm.")
    return np.asarray(power / power.mean())


def encode_srgb(linear: FloatArray) -> FloatArray:
    """Apply the sRGB transfer function (IEC 61966-2-1).

    Parameters
    ----------
    linear : ndarray
        Linear values; clipped to [0, 1] first.

    Returns
    -------
    ndarray
        Encoded values in [0, 1], same shape and floating type.
    """
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(linear.dtype, copy=False)


def decode_srgb(encoded: FloatArray) -> FloatArray:
    """Undo the sRGB transfer function (IEC 61966-2-1).

    Parameters
    ----------
    encoded : ndarray
        sRGB values, nominally in [0, 1]; negative values continue the linear part.

    Returns
    -------
    ndarray
        Linear values, same shape and floating type.
    """
    curve = ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, curve).astype(encoded.dtype, copy=False)
