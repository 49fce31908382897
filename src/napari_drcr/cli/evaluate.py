"""`napari-drcr evaluate`: scores of a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.cli._common import (
    ColourExactOption,
    DeviceOption,
    DevicesOption,
    EncodingOption,
    EnsembleOption,
    ModelOption,
    PrecisionOption,
    print_table,
    progress_bar,
    shared,
)
from napari_drcr.errors import InputError


def evaluate(
    rgb: Annotated[Path, typer.Option(help="Folder of RGB images.")],
    truth: Annotated[Path, typer.Option(help="Folder of true cubes; scene.mat belongs to scene.jpg.")],
    model: ModelOption = "photo",
    protocol: Annotated[
        str, typer.Option(help="full, or ntire2022 (without border of 128 pixels, clipped to [0, 1]).")
    ] = "full",
    floor: Annotated[float | None, typer.Option(help="Floor of MRAE: 0.01 by default, none for ntire2022; 0 for none.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the table to this file.")] = None,
    device: DeviceOption = "auto",
    devices: DevicesOption = None,
    precision: PrecisionOption = "auto",
    encoding: EncodingOption = "srgb",
    ensemble: EnsembleOption = False,
    colour_exact: ColourExactOption = False,
) -> None:
    """Score a model on pairs of RGB images and true cubes."""
    from napari_drcr.analysis import evaluation

    if csv is not None and not csv.parent.is_dir():
        raise InputError(f"the folder {csv.parent} does not exist, so the table cannot be written there.")
    pairs, _ = evaluation.find_pairs(rgb, truth)
    with shared(devices, device, len(pairs)) as share, progress_bar("scenes", hidden=share.rank > 0) as show:
        result = evaluation.evaluate(
            rgb,
            truth,
            model,
            protocol=protocol,
            floor=floor,
            device=share.device,
            precision=precision,
            encoding=encoding,
            ensemble=ensemble,
            colour_exact=colour_exact,
            share=share,
            progress=show,
        )
    if share.rank > 0:
        return
    print(f"{result.model}, protocol {result.protocol}: {evaluation.PROTOCOLS[result.protocol]}")
    rows = [score.row() for score in (*result.scores, result.mean)]
    print_table(result.header(), rows, sections=(len(rows) - 1,))
    if result.ensemble:
        print(f"Means over 8 flips and turns; {evaluation.FLIP_CORRELATION_MEANING}.")
    if result.colour_exact:
        print(evaluation.COLOUR_EXACT_SENTENCE)
    for scene, reason in result.skipped.items():
        print(f"Skipped {scene}: {reason}", file=sys.stderr)
    if csv is not None:
        result.write_csv(csv)
        print(csv)
