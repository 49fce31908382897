"""Which estimate and which truth belong together, judged by what the layers say about themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari.layers import Image, Layer

from napari_drcr.cubes.cube import common_bands
from napari_drcr.errors import InputError
from napari_drcr.io import CUBE_SUFFIXES, IMAGE_SUFFIXES
from napari_drcr.widgets.viewer.background import sentence_of
from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY, is_cube_layer, layer_to_cube, model_of_layer

NO_ESTIMATE = "There is no cube to compare yet. Reconstruct an image, or open a cube."
NO_TRUTH = "There is no true cube yet. Open one with the button beside Ground truth."


def likeliest_truth(estimate: Layer | None, layers: Sequence[Layer]) -> Image | None:
    """The layer that most likely is the truth of an estimate.

    It is a cube of the same height and width that no model made, one of the same scene if there is any, of several the newest.
    """
    if estimate is None:
        return None
    fitting = [
        layer
        for layer in layers
        if layer is not estimate and is_cube_layer(layer) and model_of_layer(layer) is None and _same_size(layer, estimate)
    ]
    return max(enumerate(fitting), key=lambda found: (_same_scene(estimate, found[1], layers), found[0]), default=(0, None))[1]


def likeliest_pair(layers: Sequence[Layer]) -> tuple[Image | None, Image | None]:
    """The estimate and the truth that are most likely to be compared.

    Of the estimates, one whose truth is of the same scene, else one that has a truth, else any; of several the newest.
    """
    estimates = [layer for layer in layers if is_cube_layer(layer) and model_of_layer(layer) is not None]
    pairs = [(estimate, likeliest_truth(estimate, layers)) for estimate in estimates]

    def likelihood(found: tuple[int, tuple[Image, Image | None]]) -> tuple[bool, bool, int]:
        place, (estimate, truth) = found
        return truth is not None and _same_scene(estimate, truth, layers), truth is not None, place

    return max(enumerate(pairs), key=likelihood, default=(0, (None, None)))[1]


def unfit(estimate: Image | None, truth: Image | None) -> str:
    """Why an estimate and a truth cannot be compared, in one sentence; empty if they can be."""
    if estimate is None:
        return NO_ESTIMATE
    if truth is None:
        return NO_TRUTH
    if estimate is truth:
        return "Reconstruction and ground truth are the same layer; choose another one for either."
    if not _same_size(estimate, truth):
        (height, width), (rows, columns) = estimate.data.shape[1:], truth.data.shape[1:]
        return (
            f"The reconstruction is {height} x {width} pixels, the ground truth {rows} x {columns}; "
            "only cubes of one size can be compared."
        )
    try:
        common_bands(layer_to_cube(truth), layer_to_cube(estimate))
    except InputError as error:
        return sentence_of(error)
    return ""


def _same_size(one: Layer, other: Layer) -> bool:
    return bool(one.data.shape[1:] == other.data.shape[1:])


def _same_scene(estimate: Layer, truth: Layer, layers: Iterable[Layer]) -> bool:
    facts = estimate.metadata[PROVENANCE_KEY]
    source = facts.get("source_layer")
    names = [estimate.name, estimate.source.path, source, facts.get("image")]
    names += [layer.source.path for layer in layers if layer.name == source]
    return bool(_stems(*names) & _stems(truth.name, truth.source.path))


def _stems(*names: object) -> set[str]:
    """Names of scenes: of paths the file's, without what napari and this plugin put behind a name."""
    stems = set()
    for name in filter(None, names):
        path = Path(str(name))
        stem = path.stem if path.suffix.lower() in (*CUBE_SUFFIXES, *IMAGE_SUFFIXES) else path.name
        stem = re.sub(r"(\s*(\[\d+\]|\([^()]*\)))+$", "", stem).removesuffix("_ms")
        stems.add(stem.casefold())
    return stems - {""}
