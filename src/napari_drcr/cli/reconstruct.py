"""`napari-drcr reconstruct`: cubes from RGB images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_drcr.cli._common import (
    ColourExactOption,
    DeviceOption,
    DevicesOption,
    EncodingOption,
    EnsembleOption,
    ModelOption,
    PrecisionOption,
    find_targets,
    print_error,
    progress_bar,
    refuse_failures,
    shared,
)
from napari_drcr.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from napari_drcr.inference.preparation import PreparedImage


def reconstruct(
    images: Annotated[list[Path], typer.Argument(help="RGB images: PNG, JPEG, TIFF, BMP; 8 or 16 bit.", metavar="IMAGE...")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .mat, .hdr, .nc or .tif file, or a folder for one .mat file per image.")
    ],
    model: ModelOption = "photo",
    device: DeviceOption = "auto",
    devices: DevicesOption = None,
    precision: PrecisionOption = "auto",
    encoding: EncodingOption = "srgb",
    white_level: Annotated[float | None, typer.Option(help="Value of white; 255, 65535 or 1 by default.")] = None,
    divisor: Annotated[
        float | None, typer.Option(help="Divide the image by this value instead of the one that the model's card specifies.")
    ] = None,
    white: Annotated[
        str | None,
        typer.Option(
            help="Box of something white in the image, in pixels, the last two excluded; corrects colour cast and exposure.",
            metavar="TOP,LEFT,BOTTOM,RIGHT",
        ),
    ] = None,
    ensemble: EnsembleOption = False,
    colour_exact: ColourExactOption = False,
    tile: Annotated[
        int | None, typer.Option(help="Side in pixels of the pieces computed at a time; does not change the result.")
    ] = None,
) -> None:
    """Estimate a cube from each RGB image."""
    from napari_drcr.inference.preparation import ImageSettings, read_prepared
    from napari_drcr.inference.reconstruction import Estimator
    from napari_drcr.io import CUBE_SUFFIXES, write_cube
    from napari_drcr.models.store import load_model
    from napari_drcr.system.batch import overlapped
    from napari_drcr.system.steps import run_to_end

    box = None if white is None else _numbers(white)
    targets = dict(zip(images, find_targets(images, output, CUBE_SUFFIXES, ".mat"), strict=True))
    loaded = load_model(model)

    settings = ImageSettings(encoding, None, white_level, divisor, box)

    def read(image: Path) -> PreparedImage:
        return read_prepared(image, loaded, settings)

    def write(image: Path, cube: xr.DataArray) -> None:
        write_cube(targets[image], cube)
        print(f"{targets[image]}  ({_summary(cube)})", flush=True)

    with shared(devices, device, len(images)) as share:
        mine = share.part(images)
        estimator = Estimator(
            loaded, device=share.device, precision=precision, ensemble=ensemble, colour_exact=colour_exact, tile=tile
        )
        with progress_bar("images", hidden=share.rank > 0) as show:

            def compute(image: Path, prepared: PreparedImage) -> xr.DataArray:
                show(0, None, image.name if len(mine) == 1 else f"{image.name}, {mine.index(image) + 1} of {len(mine)}")
                return run_to_end(estimator.iter_estimate(prepared), lambda step: show(*step))

            failures: list[Exception | None] = []
            for image, failure in zip(mine, overlapped(mine, read, compute, write), strict=True):
                failures.append(failure)
                if failure is not None and len(images) > 1:
                    print_error(failure, image)
        refuse_failures(images, share.gather(failures))
    if share.rank == 0:
        print("Estimates from three channels, not measurements.")


def _summary(cube: xr.DataArray) -> str:
    """How a cube was made, for its line on stdout."""
    made = cube.attrs
    exact = ", exact" * made["colour_exact"]
    colours = f"colours {made['input_profile']}{exact}, {made['clipped_share']:.1%} clipped"
    if made["white"] is not None:
        colours += f", white patch gains {' '.join(f'{gain:.3g}' for gain in made['white_gains'])}"
    if made["ensemble"]:
        colours += f"; flip disagreement {made['flip_disagreement_mean']:.1%} on average"
    if "unfamiliar_share" in made:
        colours += f"; {made['unfamiliar_share']:.0%} unfamiliar"
    return f"{made['model']}, {made['device_name']}, {made['precision']}, {made['seconds']:.1f} s; {colours}"


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--white takes integers TOP,LEFT,BOTTOM,RIGHT, such as 10,20,19,29, not {text!r}.") from None
