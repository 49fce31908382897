"""`napari-drcr simulate`: RGB images from cubes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.cli._common import find_targets, for_each
from napari_drcr.errors import InputError


def simulate(
    cubes: Annotated[list[Path], typer.Argument(help="Cubes: .mat, .hdr, .nc, .tif, CAVE folders.", metavar="CUBE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .jpg or .png file, or a folder for one file per cube.")],
    camera: Annotated[
        str,
        typer.Option(
            help="photo, ntire2022, ntire2020-clean, ntire2020-real, or a CSV file of responses (wavelength in nm, r, g, b)."
        ),
    ] = "photo",
    exposure: Annotated[float | None, typer.Option(help="Exposure factor, applied before clipping.")] = None,
    photo_electrons: Annotated[
        float | None,
        typer.Option(help="Photo-electrons at white (ntire2020-real: at the scene's mean green), for shot noise; 0 for none."),
    ] = None,
    read_noise: Annotated[float | None, typer.Option(help="Standard deviation of the read noise, in photo-electrons.")] = None,
    jpeg_quality: Annotated[int | None, typer.Option(help="JPEG quality, 1-100, or 0 for PNG.")] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Encoding of the pixels: srgb, as in a finished photo, or linear, the default of CSV cameras."),
    ] = None,
    light: Annotated[
        str | None,
        typer.Option(help="Illuminate reflectance with this light first: A, D50, FL2, LED-B3, ...; the result is radiance."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option("--cubes", help="Folder for the cubes as photographed (with light and exposure), for `evaluate --truth`."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
) -> None:
    """Simulate the RGB images that a camera would make of cubes.

    Options that are not given keep the camera's own settings; `photo` writes JPEG of quality 90, without noise.
    """
    from napari_drcr.camera import find_camera, simulation
    from napari_drcr.cubes.colorimetry import check_illuminant

    given = {
        "exposure": exposure,
        "photo_electrons": photo_electrons,
        "read_noise": read_noise,
        "jpeg_quality": jpeg_quality,
        "encoding": encoding,
    }
    # 0 turns these two off.
    none = {name: None for name in ("photo_electrons", "jpeg_quality") if given[name] == 0}
    settings = {name: value for name, value in given.items() if value is not None} | none
    chosen = find_camera(camera).with_settings(**settings)
    if exposure is not None and not chosen.keeps_scale:
        raise InputError(f"camera {chosen.name} sets its exposure automatically; leave out --exposure.")
    if chosen.jpeg_quality and output.suffix.lower() == ".png":
        raise InputError(
            f"camera {chosen.name} writes JPEG: name a .jpg file instead of {output.name}, or add --jpeg-quality 0 for PNG."
        )
    targets = find_targets(cubes, output, simulation.SUFFIXES[chosen.suffix], chosen.suffix)
    if light is not None:
        check_illuminant(light)
    truths = dict.fromkeys(targets) if truth is None else {target: truth / f"{target.stem}.mat" for target in targets}
    if truth is not None:
        if truth.is_file() or (truth.suffix and not truth.is_dir()):
            raise InputError(f"{truth} is not a folder; name one for the cubes, which are named after their images.")
        if overwritten := {cube.resolve() for cube in cubes} & {path.resolve() for path in truths.values() if path}:
            raise InputError(
                f"{overwritten.pop()} is one of the inputs and would be overwritten; choose another folder for --cubes."
            )
        truth.mkdir(parents=True, exist_ok=True)

    def work(path: Path, target: Path, show: Callable[..., None]) -> str:
        simulation.simulate(path, target, chosen, light=light, seed=seed, truth=truths[target])
        return f"camera {chosen.name}{f', light {light}' if light else ''}, {target.stat().st_size / 1000:.0f} kB"

    for_each(cubes, targets, work)
