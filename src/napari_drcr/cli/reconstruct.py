"""`napari-drcr reconstruct`: cubes from RGB images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.cli._common import (
    DeviceOption,
    EncodingOption,
    EnsembleOption,
    ModelOption,
    PrecisionOption,
    find_targets,
    for_each,
)
from napari_drcr.errors import InputError


def reconstruct(
    images: Annotated[list[Path], typer.Argument(help="RGB images: PNG, JPEG, TIFF, BMP; 8 or 16 bit.", metavar="IMAGE...")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .mat, .hdr, .nc or .tif file, or a folder for one .mat an image.")
    ],
    model: ModelOption = "photo",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    encoding: EncodingOption = "srgb",
    white_level: Annotated[float | None, typer.Option(help="The value that means white; 255, 65535 or 1 by default.")] = None,
    divisor: Annotated[
        float | None, typer.Option(help="Divide the image by this instead of what the model's card says.")
    ] = None,
    white: Annotated[
        str | None,
        typer.Option(
            help="A box of something white in the image, in pixels, the last two excluded; takes out a colour cast and the exposure.",
            metavar="TOP,LEFT,BOTTOM,RIGHT",
        ),
    ] = None,
    ensemble: EnsembleOption = False,
    tile: Annotated[
        int | None, typer.Option(help="Side in pixels of the pieces computed at a time; the result is the same.")
    ] = None,
) -> None:
    """Estimate a cube from each RGB image."""
    from napari_drcr.io import CUBE_SUFFIXES, write_cube
    from napari_drcr.reconstruction import reconstruct as estimate
    from napari_drcr.weights import load_model

    box = None if white is None else _numbers(white)
    targets = find_targets(images, output, CUBE_SUFFIXES, ".mat")
    loaded = load_model(model)

    def work(image: Path, target: Path, show: Callable[..., None]) -> str:
        cube = estimate(
            image,
            loaded,
            device=device,
            precision=precision,
            encoding=encoding,
            white_level=white_level,
            divisor=divisor,
            white=box,
            ensemble=ensemble,
            tile=tile,
            progress=show,
        )
        write_cube(target, cube)
        made = cube.attrs
        colours = f"colours {made['input_profile']}, {made['clipped_share']:.1%} clipped"
        if made["white"] is not None:
            colours += f", white patch gains {' '.join(f'{gain:.3g}' for gain in made['white_gains'])}"
        if made["ensemble"]:
            colours += f"; flip disagreement {made['flip_disagreement_mean']:.1%} on average"
        return f"{made['model']}, {made['device_name']}, {made['precision']}, {made['seconds']:.1f} s; {colours}"

    for_each(images, targets, work)
    print("Estimates from three channels, not measurements.")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--white takes whole numbers, TOP,LEFT,BOTTOM,RIGHT such as 10,20,19,29, not {text!r}.") from None
