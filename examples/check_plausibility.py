"""Does an estimate reproduce its photo? What this check detects, and what it cannot.

Without ground truth, a cube can be projected through its camera again and compared with the photo. The script does so for three cubes: the
estimate; the same with its bands reversed; and a metamer, that is different spectra with the same RGB in this camera. Expect a small
residual for the first, a large one for the second, and for the third, though its error is large, that of the first. The default photo is
that of the synthetic scene. It writes plausibility.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import napari_drcr as nd
from napari_drcr.analysis.figures import save_figure
from napari_drcr.analysis.metrics import metric_name
from napari_drcr.analysis.plausibility import MEANING
from napari_drcr.camera import find_camera
from napari_drcr.camera.sample import synthetic_pair

FLOOR = 0.01


def metamer_of(cube: xr.DataArray) -> xr.DataArray:
    """Other spectra with the same RGB: the component of a wave that the camera does not see is added, as far as they stay in [0, 1]."""
    nm = cube["wavelength"]
    seen = find_camera(cube.attrs["camera"] or "photo").response(nm.values, cube.attrs["quantity"])
    wave = np.sin(nm.values / 15)
    unseen = nm.copy(data=wave - seen @ np.linalg.lstsq(seen, wave)[0])
    margin = cube.where(cube < 0.5, 1 - cube).clip(0) / abs(unseen)
    return (cube + unseen * margin.min("wavelength")).assign_attrs(cube.attrs)


def main() -> None:
    """Check an estimate, a cube that contradicts the photo, and a wrong cube that passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", help="RGB image; by default that of the synthetic scene")
    parser.add_argument("-m", "--model", default="photo", help="photo, polynomial, linear, or a model's file")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()

    photo = options.photo or synthetic_pair()[0]
    estimate = nd.reconstruct(photo, options.model)
    metamer = metamer_of(estimate)
    cubes = {"estimate": estimate, "bands reversed": estimate.copy(data=estimate.values[::-1]), "metamer": metamer}
    change = nd.error_map(estimate, metamer, "rmse")
    y, x = (int(index) for index in np.unravel_index(change.values.argmax(), change.shape))

    figure = Figure(figsize=(15, 3.4), dpi=150, layout="compressed")
    *maps, curves = figure.subplots(1, 4)
    for axes, (name, cube) in zip(maps, cubes.items(), strict=True):
        found = nd.assess_plausibility(cube, photo)
        differs = nd.mrae(estimate, cube, FLOOR)
        print(f"{name:18}residual {found.residual:.4f}, {metric_name('mrae', FLOOR)} from the estimate {differs:.3f}")
        image = axes.imshow(found.residuals, cmap="magma", vmin=0, vmax=0.1)
        axes.set(xticks=[], yticks=[], facecolor="0.85", title=f"{name}: {found.residual:.4f}")
        curves.plot(cube["wavelength"], cube[:, y, x], label=name)
    figure.colorbar(image, ax=maps, label="RGB residual (1: white)", extend="max", location="bottom", aspect=60, pad=0.04)
    curves.set(xlabel="wavelength (nm)", ylabel=estimate.attrs["quantity"], title=f"y {y}, x {x}")
    curves.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    options.output.mkdir(parents=True, exist_ok=True)
    save_figure(options.output / "plausibility.png", figure)
    print(f"Projected through: {found.assumption}; {found.clipped_share:.2%} of the pixels are clipped and excluded.")
    print(f"Wrote plausibility.png to {options.output}")
    print(estimate.attrs["estimate"], MEANING)


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, OSError) as error:
        sys.exit(f"Error: {error}")
