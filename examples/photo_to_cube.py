"""From a photo to a spectral cube, in files that other programs read: MATLAB (.mat) and ENVI (.hdr with its .img).

The default photo is the cup of coffee included in scikit-image, a dependency of napari. It prints the limits stated on the model's card, and
the share of clipped pixels, which no model can recover. Expect about 15 seconds per megapixel for `photo` on one processor core, and a
second or two for `linear` and `polynomial`.
"""

from __future__ import annotations

import argparse
import sys
from importlib.resources import as_file, files
from pathlib import Path

import napari_drcr as nd


def main() -> None:
    """Estimate a cube, print its provenance, and write it in two formats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", nargs="?", help="RGB image; by default a cup of coffee")
    parser.add_argument("-m", "--model", default="photo", help="photo, polynomial, linear, or a model's file")
    parser.add_argument("-o", "--output", default="examples-output", type=Path, help="folder for the results")
    options = parser.parse_args()

    model = nd.load_model(options.model)
    if options.photo:
        cube = nd.reconstruct(options.photo, model)
    else:
        with as_file(files("skimage") / "data" / "coffee.png") as coffee:
            cube = nd.reconstruct(coffee, model)

    facts, card = cube.attrs, model.card
    bands, height, width = cube.shape
    nm = cube["wavelength"].values
    print(
        f"{facts['source']}: {height} x {width} pixels, {facts['clipped_share']:.2%} clipped, colours: {facts['input_profile']}."
    )
    print(f"Model {card.name}: {card.architecture}, {model.parameters:,} parameters, SHA-256 {model.sha256[:12]}...")
    print(f"- training data: {card.data}")
    print(f"- limits: {card.limits}")
    print("- on held-out scenes:", *(f"  {condition} {score:g}" for condition, score in card.scores.items()), sep="\n")

    options.output.mkdir(parents=True, exist_ok=True)
    for suffix in (".mat", ".hdr"):
        path = options.output / f"{Path(facts['source']).stem}{suffix}"
        nd.write_cube(path, cube)
        print(f"Wrote {path}")
    print(
        f"{facts['quantity'].capitalize()}, {bands} bands, {nm[0]:g}-{nm[-1]:g} nm, in {facts['seconds']:g} s on {facts['device_name']}."
    )
    print(facts["estimate"])


if __name__ == "__main__":
    try:
        main()
    except (nd.InputError, ImportError, OSError) as error:
        sys.exit(f"Error: {error}")
