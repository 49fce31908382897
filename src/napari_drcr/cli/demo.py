"""`napari-drcr demo`: the workflow on the bundled sample."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.cli._common import DeviceOption, ModelOption, PrecisionOption, print_table, progress_bar


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo"),
    model: ModelOption = "photo",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Run the whole workflow on a bundled synthetic scene: no GPU, no screen, no download."""
    from napari_drcr.analysis.demo import run_demo

    with progress_bar("demo") as show:
        result = run_demo(output, model=model, device=device, precision=precision, progress=show)
    print("Spectra estimated from RGB, compared with the exact ones of a synthetic scene (not a benchmark):")
    print_table(result.header(), [score.row() for score in result.scores])
    print(
        f"{result.model} on {result.device_name}, {result.seconds:.1f} s. An estimate from three channels, not a measurement."
    )
    for path in result.paths:
        print(f"  {path}")
