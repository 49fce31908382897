"""`napari-drcr benchmark`: speed of a network on this machine, and suggested settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.cli._common import DeviceOption, print_table, progress_bar


def benchmark(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A shipped network, a file, NETWORK:PRESET with random weights, or full-size: DRCR Net of the paper's size.",
        ),
    ] = "photo",
    size: Annotated[str, typer.Option(help="Height and width of the image in pixels.", metavar="HxW")] = "482x512",
    rounds: Annotated[int, typer.Option(help="Timed passes per way, in turn.")] = 3,
    device: DeviceOption = "auto",
    output: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.", metavar="FILE")] = None,
) -> None:
    """Time a network on this machine, compare with the plain whole image, and suggest settings."""
    from napari_drcr.benchmark.report import HEADER
    from napari_drcr.benchmark.run import run
    from napari_drcr.benchmark.subject import parse_size
    from napari_drcr.system.files import atomic_path

    with progress_bar("benchmark") as show:
        report = run(model, device=device, size=parse_size(size), rounds=rounds, progress=show)
    for sentence in report.head():
        print(sentence)
    print_table(HEADER, report.table())
    for sentence in report.findings():
        print(sentence)
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        print(output)
