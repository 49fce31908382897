"""The most similar reference spectra of a library, and similar pixels in the image.

The scene is a photo, of which the cube is estimated, or a measured cube; the default is the photo of the synthetic scene. The library is
the ColorChecker, or your own CSV file or ENVI library. It writes references.png. Angles do not depend on brightness, so light and shadow
on one paint are alike. Expect the right patch of the chart even from an estimate, since the colours of the patches are far apart: this
identifies colours, not materials.
"""

from __future__ import annotations

import argparse
import sys
from itertools import cycle
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

import napari_drcr as nd
from napari_drcr.analysis.figures import save_figure
from napari_drcr.analysis.spectra import nearest, scaled, spectral_angle_map, spectrum_at
from napari_drcr.camera.sample import marked_pixels, synthetic_pair
from napari_drcr.io import looks_like_cube, read_library
from napari_drcr.io.library import colorchecker

CAVEAT = "Pixels with the same RGB get the same estimate: a small angle means similar colours, not similar materials."


def main() -> None:
    """Look up a few pixels, and map the spectral angle to the first of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", nargs="?", help="RGB image or measured cube; by default the photo of the synthetic scene")
    parser.add_argument("--library", help="CSV file or ENVI spectral library; by default the ColorChecker")
    parser.add_argument("--at", nargs=2, type=float, action="append", metavar=("Y", "X"), help="a pixel; may be repeated")
    parser.add_argument("-m", "--model", default="photo", help="photo, polynomial, linear, or a model's file")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()

    library = read_library(options.library) if options.library else colorchecker()
    if options.scene and looks_like_cube(options.scene):
        cube = nd.read_cube(options.scene)
    else:
        cube = nd.reconstruct(options.scene or synthetic_pair()[0], options.model)
    middle = [(cube.sizes["y"] // 2, cube.sizes["x"] // 2)]
    pixels = options.at or (middle if options.scene else [*marked_pixels().values()][:3])

    figure = Figure(figsize=(12, 4), dpi=150, layout="compressed")
    places, curves = figure.subplots(1, 2)
    angles = spectral_angle_map(cube, spectrum_at(cube, *pixels[0]))
    image = places.imshow(angles, cmap="viridis_r", vmin=0, vmax=20)
    figure.colorbar(image, ax=places, label="spectral angle (°)", extend="max")
    places.set(xlabel="x (pixels)", ylabel="y (pixels)", title="angle to the first pixel")
    for (y, x), colour in zip(pixels, cycle(matplotlib.color_sequences["petroff10"]), strict=False):
        spectrum = spectrum_at(cube, y, x)
        found = nearest(library, spectrum, 3)
        print(f"y {y:g}, x {x:g}:", ", ".join(f"{name} {angle:.1f}°" for name, angle in found))
        best, angle = found[0]
        reference = scaled(library.spectrum(best), "maximum")
        spectrum = scaled(spectrum, "maximum")
        curves.plot(spectrum["wavelength"], spectrum, color=colour, label=f"y {y:g}, x {x:g}")
        curves.plot(reference["wavelength"], reference, ":", color=colour, label=f"{best}, {angle:.1f}°")
        places.plot(x, y, "o", color=colour, markeredgecolor="white")
    curves.set(xlabel="wavelength (nm)", ylabel="divided by the maximum", title=f"dotted: nearest of {library.name}")
    curves.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)

    options.output.mkdir(parents=True, exist_ok=True)
    save_figure(options.output / "references.png", figure)
    print(f"Wrote references.png to {options.output}")
    if "estimate" in cube.attrs:
        print(cube.attrs["estimate"], CAVEAT)


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, OSError) as error:
        sys.exit(f"Error: {error}")
