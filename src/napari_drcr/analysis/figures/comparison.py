"""The comparison of models that papers print: the image, true bands, and each model's error there on one common scale."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.analysis.figures._page import INK, NO_ERROR, QUIET, as_picture, check_suffix, save_figure
from napari_drcr.analysis.metrics import error_cube, error_curve, metric_name, mrae, rmse, sam
from napari_drcr.cubes.cube import CLIPPED, align, check_cube
from napari_drcr.cubes.rendering import nearest_band
from napari_drcr.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MODELS = 5
MOST_BANDS = 5
WIDTH = 180.0
"""Of the page, in mm: two columns of a journal."""
TALLEST = 150.0
"""What all rows of images may take together, in mm."""
LEFT, RIGHT, GAP, BAND_LABEL = 1.5, 15.0, 1.5, 4.0
SCORE, LINE, TOTALS = 4.2, 3.2, 9.5
"""Heights of texts, in mm: under a map, of one line, and under the last map."""
TEXT, SMALL = 7.0, 6.0
"""Sizes of type, in points."""
LINE_SPACING = 1.35


def comparison_figure(
    path: str | Path,
    rgb: npt.NDArray[Any],
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    *,
    bands: Sequence[float] = (450.0, 550.0, 650.0),
    floor: float = 0.01,
    scale: float | None = None,
) -> None:
    """Write the comparison of models with the truth, as `draw_comparison` draws it.

    Parameters
    ----------
    path : str or Path
        Ends in ``.pdf``, ``.svg`` or ``.png``; a file that is already there is replaced. Text stays text in PDF and SVG.
    rgb, truth, estimates, bands, floor, scale
        As for `draw_comparison`.

    Raises
    ------
    InputError
        As from `draw_comparison`, or if the file cannot be written.
    """
    path = check_suffix(path)
    save_figure(path, draw_comparison(rgb, truth, estimates, bands=bands, floor=floor, scale=scale))


def draw_comparison(
    rgb: npt.NDArray[Any],
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    *,
    bands: Sequence[float] = (450.0, 550.0, 650.0),
    floor: float = 0.01,
    scale: float | None = None,
) -> Figure:
    """The image, the true bands, and where each model is wrong in them: a row a band, a column a model.

    Parameters
    ----------
    rgb : ndarray, shape (y, x, 3)
        The image that the estimates were made from: uint8, uint16, or floating in [0, 1].
    truth : xarray.DataArray, shape (bands, y, x)
        The true cube.
    estimates : mapping of str to xarray.DataArray
        Name to cube, 1 to 5 of them. All cubes are put on common bands first. Pixels that the coordinate `clipped` marks are
        left out of the maps, and count in the scores.
    bands : sequence of float
        1 to 5 wavelengths in nm; see `napari_drcr.cubes.rendering.nearest_band`.
    floor : float
        Of MRAE and maps; see `napari_drcr.analysis.metrics.mrae`.
    scale : float, optional
        Relative error at the upper end of the common colour scale; by default the 95th percentile of all that the maps show.

    Returns
    -------
    matplotlib.figure.Figure
        180 mm wide, at 300 dots an inch. Under each map stands the MRAE of that band, under the last one the scores over all bands.
        Drawn without pyplot, so no screen is needed.

    Raises
    ------
    InputError
        If there are too few or too many models or bands, sizes differ, a band is out of range, or floor or scale is not positive.

    Notes
    -----
    After the layout of Fig. 4 in Li et al., "DRCR Net", CVPR Workshops 2022.
    """
    from matplotlib.figure import Figure

    check_cube(truth)
    picture = _as_shown(rgb)
    _check(picture, truth, estimates, bands, floor, scale)
    truth, cubes = _on_common_bands(truth, estimates)
    shown = list(dict.fromkeys(nearest_band(truth, nm) for nm in bands))
    masks = {name: cube[CLIPPED].values if CLIPPED in cube.coords else None for name, cube in estimates.items()}
    ascending = sorted(shown)
    maps = {
        name: error_cube(truth.sel(wavelength=ascending), cube.sel(wavelength=ascending), floor=floor, clipped=masks[name])
        for name, cube in cubes.items()
    }
    if scale is None:
        scale = max(1e-3, float(np.nanpercentile(np.stack(list(maps.values())), 95)))

    columns = 2 + len(cubes)
    width = (WIDTH - LEFT - BAND_LABEL - RIGHT - columns * GAP) / columns
    height = min(width * picture.shape[0] / picture.shape[1], TALLEST / len(shown))
    titles = {name: textwrap.wrap(name, max(4, int(width / 1.55)), max_lines=3, placeholder="…") for name in cubes}
    heading = LINE * max(len(lines) for lines in titles.values()) + 1.5
    caption = textwrap.wrap(_caption(floor, maps, masks), 150)
    top = heading + len(shown) * (height + SCORE) + TOTALS + LINE * len(caption) + 1.5
    page = Figure(figsize=(WIDTH / 25.4, top / 25.4), dpi=300, facecolor="white")

    def place(column: int, row: int) -> Axes:
        """Axes without ticks; those right of the image stand back for the names of the bands."""
        left = LEFT + column * (width + GAP) + (BAND_LABEL if column else 0)
        bottom = top - heading - row * (height + SCORE) - height
        axes = page.add_axes((left / WIDTH, bottom / top, width / WIDTH, height / top))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        return axes

    def write_under(axes: Axes, text: str, **style: Any) -> None:
        axes.annotate(
            text, (0.5, 0), (0, -2), xycoords="axes fraction", textcoords="offset points", ha="center", va="top", **style
        )

    error = metric_name("mrae", floor)
    first = place(0, 0)
    first.imshow(picture)
    first.set_title("RGB", size=TEXT, color=INK, pad=3)
    for row, nm in enumerate(shown):
        axes = place(1, row)
        band = truth.sel(wavelength=nm)
        axes.imshow(as_picture(band, like=band), cmap="gray", vmin=0, vmax=1)
        axes.set_ylabel(f"{nm:g} nm", size=TEXT, color=INK, labelpad=2)
        if row == 0:
            axes.set_title("truth", size=TEXT, color=INK, pad=3)
    write_under(axes, f"\nall {truth.sizes['wavelength']} bands", size=SMALL, color=INK, linespacing=LINE_SPACING)
    for column, (name, cube) in enumerate(cubes.items(), start=2):
        curve = error_curve(truth, cube, floor=floor)
        for row, nm in enumerate(shown):
            axes = place(column, row)
            axes.set_facecolor(NO_ERROR)
            image = axes.imshow(maps[name].sel(wavelength=nm), cmap="magma", vmin=0, vmax=scale)
            write_under(axes, f"{error} {float(curve.sel(wavelength=nm)):.3f}", size=SMALL, color=QUIET)
            if row == 0:
                axes.set_title("\n".join(titles[name]), size=TEXT, color=INK, pad=3)
        scores = (f"{error} {mrae(truth, cube, floor):.3f}", f"RMSE {rmse(truth, cube):.4f}", f"SAM {sam(truth, cube):.2f}°")
        write_under(axes, "\n" + "\n".join(scores), size=SMALL, color=INK, linespacing=LINE_SPACING)
    _draw_scale(page, image, top=top, heading=heading, height=len(shown) * (height + SCORE) - SCORE)
    page.text(LEFT / WIDTH, 1.2 / top, "\n".join(caption), size=SMALL, color=QUIET, style="italic", va="bottom")
    return page


def _caption(floor: float, maps: Mapping[str, xr.DataArray], masks: Mapping[str, npt.NDArray[np.bool_] | None]) -> str:
    caption = "Maps: relative error of each pixel, |estimate - truth| / truth."
    if any(errors.attrs["left_out"] for errors in maps.values()):
        marked = any(mask is not None and mask.any() for mask in masks.values())
        clipped = ", or image clipped (counted in the scores)" if marked else ""
        caption += f" Gray: truth below {floor:g}{clipped}."
    return caption


def _draw_scale(page: Figure, image: Any, *, top: float, heading: float, height: float) -> None:
    left = WIDTH - RIGHT + GAP
    axes = page.add_axes((left / WIDTH, (top - heading - height) / top, 2.5 / WIDTH, height / top))
    # The arrow marks errors beyond the scale, which have its last colour.
    bar = page.colorbar(image, cax=axes, extend="max", extendfrac=0.03)
    bar.set_label("relative error", size=TEXT, color=INK, labelpad=2)
    axes.tick_params(labelsize=SMALL, color=QUIET, labelcolor=INK, length=2, width=0.5, pad=1.5)
    bar.outline.set_visible(False)


def _as_shown(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    picture = np.asarray(rgb)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(f"an RGB image has the shape (y, x, 3), not {picture.shape}.")
    return picture / np.float32(65535) if picture.dtype == np.uint16 else picture


def _check(
    picture: npt.NDArray[Any],
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    bands: Sequence[float],
    floor: float,
    scale: float | None,
) -> None:
    if not 1 <= len(estimates) <= MOST_MODELS:
        raise InputError(f"the figure compares 1 to {MOST_MODELS} models, not {len(estimates)}.")
    if not 1 <= len(bands) <= MOST_BANDS:
        raise InputError(f"the figure shows 1 to {MOST_BANDS} bands, not {len(bands)}.")
    if picture.shape[:2] != truth.shape[1:]:
        raise InputError(
            f"the image has {picture.shape[0]} x {picture.shape[1]} pixels, the true cube {truth.shape[1]} x {truth.shape[2]}."
        )
    for name, value in (("floor", floor), ("scale", scale)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(f"the {name} of relative errors must be positive, not {value:g}.")


def _on_common_bands(
    truth: xr.DataArray, estimates: Mapping[str, xr.DataArray]
) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Everything on the bands that the truth shares with all estimates."""
    for cube in estimates.values():
        truth, _ = align(truth, cube)
    return truth, {name: align(truth, cube)[1] for name, cube in estimates.items()}
