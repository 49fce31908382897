"""The named cameras, and those of CSV files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from napari_drcr.camera.pipeline import Camera
from napari_drcr.camera.responses import Response, StandardObserver, read_response
from napari_drcr.errors import InputError, shown


def _challenge(name: str, *, balanced: bool) -> Response:
    with resources.as_file(resources.files("napari_drcr.camera") / "tables" / f"{name}.csv") as path:
        return read_response(path, balanced=balanced)


NTIRE2022_GREEN = 8.6139307
"""Sum over 31 bands of the green response of the NTIRE 2022 challenge: its signal at a white of 1."""

CAMERAS = {
    camera.name: camera
    for camera in (
        Camera(name="photo", jpeg_quality=90),
        Camera(
            name="ntire2022",
            sensor=_challenge("ntire2022", balanced=False),
            illuminant=None,
            automatic_exposure=True,
            photo_electrons=750 * NTIRE2022_GREEN,
            encoding="linear",
            rounding="truncate",
            jpeg_quality=65,
        ),
        Camera(
            name="ntire2020-clean",
            sensor=StandardObserver("CIE 1964 10 Degree Standard Observer"),
            illuminant=None,
            encoding="linear",
        ),
        Camera(
            name="ntire2020-real",
            sensor=_challenge("ntire2020-real", balanced=True),
            illuminant=None,
            photo_electrons=5000,
            electrons_at="mean green",
            read_noise=100,
            mosaic=True,
            encoding="linear",
            jpeg_quality=80,
        ),
    )
}
"""The named cameras.

`photo`: an ordinary sRGB photo at JPEG quality 90, without noise.

`ntire2022`, `ntire2020-clean`, `ntire2020-real`: the pipelines of the NTIRE spectral challenges with their public sample settings
(the settings of the contests were kept secret), linear, and without a light of their own: cubes are taken as they are. They
follow the published descriptions and do not give the challenges' files to the bit: the noise is drawn otherwise, `ntire2020-real`
fills in its mosaic after Menon (2007) where the challenge used OpenCV's edge-aware method, and JPEG coders differ.
"""


def find_camera(name: str | Path) -> Camera:
    """The camera of that name, or one with the responses of a CSV file.

    Parameters
    ----------
    name : str or Path
        A key of `CAMERAS`, or a file for `napari_drcr.camera.responses.read_response`: a linear camera without noise or compression,
        balanced so that a white reflectance under daylight D65 renders to (1, 1, 1).

    Returns
    -------
    Camera
        Named for the key or the file.

    Raises
    ------
    InputError
        Listing the cameras there are, or saying what is wrong with the file.
    """
    if str(name) in CAMERAS:
        return CAMERAS[str(name)]
    path = Path(name)
    if path.suffix.lower() != ".csv":
        raise InputError(
            f"there is no camera {shown(str(name))}; there is {', '.join(CAMERAS)}, or name a CSV file of responses."
        )
    return Camera(name=path.stem, sensor=read_response(path), encoding="linear")
