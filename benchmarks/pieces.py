"""Networks that look at whole images: exact pieces against the whole image at once, in time, memory and result.

usage: python benchmarks/pieces.py [NETWORK:PRESET ...] [--size HxW ...]

The weights are random, always the same ones. Each network, size and way has a process of its own with one thread; its time is processor time,
its memory what the pass takes at most on top of what the process had before. AWAN goes without its last layer, which compares all pixels with each
other. Pieces are as large as the package chooses them.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated, Any

import numpy as np
import typer

from napari_drcr.benchmark.subject import make_image, parse_size
from napari_drcr.errors import InputError
from napari_drcr.models.architecture import find_architecture, find_preset

NETWORKS = ("mst_plus_plus:published", "rcan_chain:published", "awan:toolbox")
SIZES = ("482x512", "2048x2048")


def measure(entry: str, size: tuple[int, int], whole: bool) -> tuple[float, float, Any]:
    """Processor seconds, GB, and some pixels of the cube; the work of a process of its own."""
    import torch

    from napari_drcr.benchmark.subject import SEED
    from napari_drcr.inference.passes import pad_to_multiple
    from napari_drcr.models.execution import WholeImage
    from napari_drcr.models.piecewise import PiecewisePasses
    from napari_drcr.system.memory import peak, reset_peak, resident
    from napari_drcr.system.steps import run_to_end

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    settings = find_preset(entry)
    if "non_local" in type(settings).model_fields:
        settings = settings.model_copy(update={"non_local": False})
    architecture = find_architecture(settings.architecture)
    network = architecture.build(settings, 31).eval().requires_grad_(False)
    rgb = (make_image(*size).transpose(2, 0, 1) / 255).astype(np.float32)
    padded = torch.from_numpy(pad_to_multiple(rgb, architecture.multiple))
    way: Any = WholeImage(network, "cpu", torch.float32)
    if not whole:
        way = PiecewisePasses(network, "cpu", torch.float32, multiple=architecture.multiple)
    side = way.piece_side(*padded.shape[1:])
    run_to_end(way.run(padded[:, :64, :64], side=64, size=(64, 64)))  # The first pass of a process prepares torch.
    before, began = resident(), time.process_time()
    reset_peak()
    cube = run_to_end(way.run(padded, side=side, size=size)).cube
    return time.process_time() - began, (peak() - before) / 1e9, cube[:, ::16, ::16].numpy()


def alone(*work: Any) -> tuple[float, float, Any]:
    """`measure` in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(measure, *work).result()


def main(
    networks: Annotated[list[str] | None, typer.Argument(help="NETWORK or NETWORK:PRESET.", metavar="[NETWORK]...")] = None,
    size: Annotated[list[str] | None, typer.Option(help="Height and width of the image in pixels.", metavar="HxW")] = None,
) -> None:
    """Compare pieces with the whole image."""
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| network | size | whole: CPU s | GB | pieces: CPU s | GB | time | memory | largest difference |")
    print("|" + " --- |" * 9)
    for entry in networks or NETWORKS:
        find_preset(entry)
        for height, width in map(parse_size, size or SIZES):
            seconds, memory, expected = alone(entry, (height, width), True)
            seconds_too, memory_too, found = alone(entry, (height, width), False)
            cells = [
                entry,
                f"{height} x {width}",
                f"{seconds:.1f}",
                f"{memory:.2f}",
                f"{seconds_too:.1f}",
                f"{memory_too:.2f}",
                f"{seconds_too / seconds:.2f}",
                f"{memory_too / memory:.2f}",
                f"{abs(found - expected).max() / abs(expected).max():.0e}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    try:
        typer.run(main)
    except InputError as error:
        sys.exit(f"Error: {error}")
