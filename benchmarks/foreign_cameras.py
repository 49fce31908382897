"""Make response tables of cameras that no model was trained on, for their finished sRGB photos.

usage: python benchmarks/foreign_cameras.py SPECTRA.npz OUT

SPECTRA.npz holds `camera_names` (n), `cameras` (n, bands, 3), `reflectances_munsell` (chips, bands) and `wavelengths_nm` (bands).

A camera converts its raw values to sRGB by white balance and a 3 x 3 matrix. Both are linear, so combined with the sensor they give
another table of three curves, partly negative. The matrix preserves white and is fitted by least squares to the sRGB of the CIE
1931 observer, over Munsell chips under D65. It cannot correct for differences between the camera's spectral sensitivities and the eye's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_drcr.camera.responses import Response, linear_response
from napari_drcr.cubes.colorimetry import daylight, srgb_response
from napari_drcr.system.files import atomic_path

FOREIGN = ("Canon EOS 5D Mark II", "Nikon D700", "Sony ILCE-7M3", "Arashi Vision Insta360 X5")
HEADER = """\
# {name}: responses of its finished sRGB photos, for `--encoding srgb`, without the light.
# Made by benchmarks/foreign_cameras.py from the spectral sensitivities in rawtoaces-data (Academy Software Foundation,
# Apache License 2.0): changed here by a white balance for D65 and a 3 x 3 matrix that preserves white and fits the
# CIE 1931 observer over {chips} Munsell chips (University of Eastern Finland) to {error:.4f} in linear sRGB (root mean square).
wavelength,r,g,b
"""

FloatArray = npt.NDArray[np.float64]


def finished(
    sensitivities: FloatArray, wavelengths: FloatArray, reflectances: FloatArray, name: str = "camera"
) -> tuple[FloatArray, float]:
    """Response curves after white balance and colour matrix.

    Parameters
    ----------
    sensitivities : ndarray, shape (bands, 3)
        Sensitivities of the sensor, in any unit.
    wavelengths : ndarray, shape (bands,)
        In nm, evenly spaced.
    reflectances : ndarray, shape (n, bands)
        Reflectances for fitting the matrix.
    name : str
        Name of the camera, for messages.

    Returns
    -------
    tuple of (ndarray of shape (bands, 3), float)
        Curves without the light D65, under which white gives (1, 1, 1); and the root mean square error in linear sRGB.
    """
    nm = tuple(wavelengths.tolist())
    curves = tuple((float(r), float(g), float(b)) for r, g, b in sensitivities)
    balanced = linear_response(Response(name, nm, curves), nm, "D65", True)
    raw, wanted = reflectances @ balanced, reflectances @ srgb_response(wavelengths)
    # Each column of the matrix sums to 1, so its last row is 1 minus the others: the fit is relative to blue.
    rows = np.linalg.lstsq(raw[:, :2] - raw[:, 2:], wanted - raw[:, 2:], rcond=None)[0]
    matrix = np.vstack([rows, 1 - rows.sum(axis=0)])
    error = float(np.sqrt(np.mean((raw @ matrix - wanted) ** 2)))
    return balanced @ matrix / daylight(wavelengths)[:, None], error


def main(spectra: str, out: str) -> None:
    """Write one CSV file per camera."""
    with np.load(spectra) as tables:
        nm = tables["wavelengths_nm"].astype(np.float64)
        sensitivities = dict(zip(tables["camera_names"].tolist(), tables["cameras"].astype(np.float64), strict=True))
        chips = tables["reflectances_munsell"].astype(np.float64)
    for name in FOREIGN:
        curves, error = finished(sensitivities[name], nm, chips, name)
        with atomic_path(Path(out) / f"{name.lower().replace(' ', '-')}.csv") as temporary:
            rows = "".join(f"{band:g},{r:.6g},{g:.6g},{b:.6g}\n" for band, (r, g, b) in zip(nm, curves, strict=True))
            temporary.write_text(HEADER.format(name=name, chips=len(chips), error=error) + rows, encoding="utf-8")
        print(f"{name:28} error {error:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
