"""What the figures have in common: their colours, how a band is shown, and how they are written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.cubes.colorimetry import encode_srgb
from napari_drcr.errors import InputError
from napari_drcr.system.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
INK, QUIET = "#1a1a1a", "#595959"
NO_ERROR = "#d9d9d9"
"""What pixels without an error are filled with."""


def as_picture(band: xr.DataArray, like: xr.DataArray) -> npt.NDArray[np.float32]:
    """One band (y, x) as gray values in [0, 1], as bright as befits the band `like`."""
    brightest = max(1e-6, float(np.quantile(like, 0.998)))
    return encode_srgb(band.values / brightest)


def check_suffix(path: str | Path) -> Path:
    """Return the path of a figure if one can be written under that name, else say why not."""
    path = Path(path)
    if path.suffix.lower() not in FIGURE_SUFFIXES:
        raise InputError(
            f"{path.name}: figures are written as {', '.join(FIGURE_SUFFIXES)}, not {path.suffix or 'without a suffix'}."
        )
    return path


def save_figure(path: str | Path, figure: Figure) -> None:
    """Write a figure, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Ends in ``.png``, ``.svg`` or ``.pdf``; a file that is already there is replaced.
    figure : matplotlib.figure.Figure
        What to write, at its own size and resolution.

    Raises
    ------
    InputError
        If the suffix is another or the folder cannot be written to.
    """
    from matplotlib import rc_context

    path = check_suffix(path)
    # Text stays text, to be searched and edited, and is not turned into outlines.
    content = BytesIO()
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(content, format=path.suffix[1:].lower())  # not to the file: on a full disk matplotlib leaves it open
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())
