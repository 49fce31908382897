"""The cost of naive tiles: overlapping tiles, each run through the whole network independently, and blended.

    python benchmarks/naive_tiles.py DATA [--models photo,FILE]

The scenes are the cubes in DATA/Valid_spectral, photographed by the camera `photo` as in the first row of benchmarks/conditions.py. A tile
has no context beyond its edges, and its gates follow from its own mean instead of the image's. Tiles are blended with a Hann window. The
exact cube is that of `napari_drcr.inference.passes.NetworkRunner`; both are float32 and channels-last, one after the other in one process.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer
from conditions import FLOOR, SCENES, TABLES, photographed
from torch import nn

from napari_drcr.analysis.evaluation import find_pairs
from napari_drcr.analysis.metrics import metric_name, mrae
from napari_drcr.benchmark.subject import find_network
from napari_drcr.cubes.cube import align, make_cube
from napari_drcr.errors import InputError, Notice
from napari_drcr.inference.passes import NetworkRunner, pad_to_multiple
from napari_drcr.inference.preparation import prepare_rgb
from napari_drcr.io import read_cube, read_rgb
from napari_drcr.models.store import Model
from napari_drcr.system.steps import run_to_end

TILES = ((128, 32), (256, 64))
"""Side and overlap in pixels."""

Float32Array = npt.NDArray[np.float32]


def starts(length: int, side: int, overlap: int) -> Iterator[int]:
    """Start positions of tiles along an axis; the last one ends where the image does."""
    for start in range(0, max(length - overlap, 1), side - overlap):
        yield max(min(start, length - side), 0)


@torch.inference_mode()
def naive(network: nn.Module, image: Float32Array, side: int, overlap: int) -> Float32Array:
    """The cube from overlapping tiles, each computed independently.

    Parameters
    ----------
    network : torch.nn.Module
        Channels-last.
    image : ndarray, shape (3, y, x), float32
        y and x as the network needs them.
    side, overlap : int
        In pixels.

    Returns
    -------
    ndarray, shape (bands, y, x), float32
    """
    _, height, width = image.shape
    total: Float32Array | float = 0.0
    weight = np.zeros((height, width), dtype=np.float32)
    for top in starts(height, side, overlap):
        for left in starts(width, side, overlap):
            y, x = slice(top, top + side), slice(left, left + side)
            tile = torch.from_numpy(image[:, y, x])[None].contiguous(memory_format=torch.channels_last)
            cube = network(tile)[0].numpy()
            # Nowhere 0, so that the edges of the image, which are in one tile only, have a weight.
            ramps = [np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2 for length in cube.shape[1:]]
            window = np.outer(*ramps).astype(np.float32)
            if isinstance(total, float):
                total = np.zeros((len(cube), height, width), dtype=np.float32)
            total[:, y, x] += window * cube
            weight[y, x] += window
    return total / weight


def compare(model: Model, pairs: list[tuple[Path, Path]]) -> list[str]:
    """Rows of the table for a model: exact, then each size of tiles."""
    titles = ["exact", *(f"tiles of {side}, overlap {overlap}" for side, overlap in TILES)]
    errors: dict[str, list[float]] = {title: [] for title in titles}
    deviations: dict[str, list[tuple[float, float]]] = {title: [] for title in titles}
    seconds = dict.fromkeys(titles, 0.0)
    runner = NetworkRunner(model, "cpu", "fp32")
    flat = model.estimator.to(memory_format=torch.channels_last)
    warm = True
    for photo, cube in pairs:
        truth, image = read_cube(cube), prepare_rgb(read_rgb(photo), model).values
        height, width = image.shape[1:]
        padded = pad_to_multiple(image, model.architecture.multiple)
        ways: dict[str, Callable[[], Float32Array]] = {titles[0]: lambda image=padded: run_to_end(runner.estimate(image))}  # type: ignore[misc]
        for title, (side, overlap) in zip(titles[1:], TILES, strict=True):
            ways[title] = partial(naive, flat, padded, side, overlap)
        if warm:
            for way in ways.values():
                way()
            warm = False
        reference = None
        for title, way in ways.items():
            begun = time.perf_counter()
            found = way()[:, :height, :width]
            seconds[title] += time.perf_counter() - begun
            reference = found if reference is None else reference
            difference = np.abs(found - reference)
            deviations[title].append((difference.mean() / np.abs(reference).mean(), difference.max() / np.abs(reference).max()))
            estimate = make_cube(found, model.wavelengths, quantity=model.card.quantity)
            errors[title].append(mrae(*align(truth, estimate), FLOOR))
    rows = []
    for title in titles:
        mean, largest = (fmean(each) for each in zip(*deviations[title], strict=True))
        far = "-, -" if title == "exact" else f"{mean:.2%}, {largest:.1%}"
        ratio = seconds[title] / seconds["exact"]
        rows.append(f"| `{model.name}` | {title} | {far.replace(', ', ' | ')} | {fmean(errors[title]):.4f} | {ratio:.2f} |")
    return rows


def main(
    data: Annotated[Path, typer.Argument(help=f"Folder with the true cubes in {SCENES}.")],
    models: Annotated[str, typer.Option(help="Networks, shipped or files, separated by commas.")] = "photo",
) -> None:
    """Compare naive overlapping tiles with the exact pass, on photographed scenes."""
    warnings.simplefilter("ignore", Notice)
    if not (data / SCENES).is_dir():
        raise InputError(f"{data} has no folder {SCENES} with the true cubes.")
    found = [find_network(name) for name in models.split(",")]
    with TemporaryDirectory() as scratch:
        images, cubes = photographed(TABLES["photo"].conditions[0], data, Path(scratch))
        pairs, _ = find_pairs(images, cubes)
        print(
            f"| model | {len(pairs)} scenes, JPEG 90 | mean deviation | largest deviation | {metric_name('mrae', FLOOR)} | time / exact |"
        )
        print("| --- | --- | --- | --- | --- | --- |")
        for model in found:
            print("\n".join(compare(model, pairs)), flush=True)
    print(
        "\nDeviations from the exact cube: the mean relative to its mean, the largest relative to its largest value; averaged over the scenes."
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
