"""What the commands share: options, progress, tables, files in and out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.errors import InputError

TOO_LARGE = "there is not enough memory for this; try a smaller image, or a smaller --tile where there is that option."

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A shipped model (see `models`) or a .safetensors or .pth file.")
]
DeviceOption = Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[str, typer.Option("--precision", "-p", help="auto, fp32, bf16, fp16.")]
EncodingOption = Annotated[
    str,
    typer.Option(
        help="How the image's values are encoded: srgb, converted from the file's colour profile where that is another; or "
        "linear, taken untouched."
    ),
]
EnsembleOption = Annotated[
    bool,
    typer.Option(
        "--ensemble", help="Average over the 8 flips and quarter turns, in 8 times the time; says how far they differ."
    ),
]


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr while the work goes on; what it yields is called with (done, total, text=None)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=None)

        def show(done: int, total: int, description: str | None = None) -> None:
            bars.update(task, completed=done, total=total, description=description or text)

        yield show


def print_table(header: list[str], rows: list[list[str]], *, sum_up: bool = False, words: tuple[str, ...] = ()) -> None:
    """A table on stdout, figures to the right, the first column and those of `words` to the left; `sum_up` sets the last row apart."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, title in enumerate(header):
        table.add_column(title, justify="right" if number and title not in words else "left", overflow="fold")
    for number, row in enumerate(rows):
        if sum_up and number == len(rows) - 1:
            table.add_section()
        # Names come from files: what looks like markup or moves the cursor is shown, not obeyed.
        table.add_row(
            *(Text("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in cell)) for cell in row)
        )
    Console().print(table)


def printable(text: str) -> str:
    """Text from somebody's file, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def find_targets(sources: list[Path], output: Path, suffixes: tuple[str, ...], default: str) -> list[Path]:
    """Where each result goes: `output` itself for a single source, else a file in the folder `output`."""
    kinds = " or ".join(suffixes)
    if len(sources) == 1 and output.suffix.lower() in suffixes and not output.is_dir():
        targets = [output]
    elif output.is_file():
        raise InputError(f"{output} is a file; name a folder, or a {kinds} file for a single result.")
    elif output.suffix and not output.is_dir():
        what = "several results" if len(sources) > 1 else "this result"
        raise InputError(f"{output} cannot hold {what}: name a folder that exists, or a {kinds} file for a single one.")
    else:
        targets = [output / f"{source.stem}{default}" for source in sources]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise InputError(
                f"{sources[number]} and {sources[targets.index(target)]} would both be written to {target}; rename one."
            )
        if target.resolve() in {source.resolve() for source in sources}:
            raise InputError(f"{target} is one of the inputs and would be overwritten; choose another output.")
    if targets[0] is not output:
        output.mkdir(parents=True, exist_ok=True)
    return targets


def for_each(sources: list[Path], targets: list[Path], work: Callable[[Path, Path, Callable[..., None]], str]) -> None:
    """Do one file after the other, past those that fail, and say at the end which did."""
    failed = []
    for source, target in zip(sources, targets, strict=True):
        try:
            with progress_bar(source.name) as show:
                said = work(source, target, show)
            print(f"{target}  ({said})")
        except (InputError, OSError, MemoryError) as error:
            if len(sources) == 1:
                raise
            sentence = str(error) or TOO_LARGE
            print(f"Error: {sentence if source.name in sentence else f'{source}: {sentence}'}", file=sys.stderr)
            failed.append(source)
    if failed:
        names = ", ".join(str(source) for source in failed)
        raise InputError(f"{len(failed)} of {len(sources)} files failed: {names}.")
