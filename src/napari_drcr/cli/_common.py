"""Shared by the commands: options, progress, tables, input and output files."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from napari_drcr.errors import Cancelled, InputError, Notice
from napari_drcr.system.batch import FAILURES
from napari_drcr.system.sharing import Share, join

BAD_INPUT = 2
INTERRUPTED = 130
TOO_LARGE = "there is not enough memory; try a smaller image, or a smaller --tile if the command has that option."

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A shipped model (see `models`) or a .safetensors or .pth file.")
]
DeviceOption = Annotated[str, typer.Option("--device", "-d", help="auto, cpu, cuda, cuda:1, mps.")]
PrecisionOption = Annotated[str, typer.Option("--precision", "-p", help="auto, fp32, bf16, fp16.")]
EncodingOption = Annotated[
    str,
    typer.Option(
        help="Encoding of the image's values: srgb, converted from the file's colour profile if it has another one; or "
        "linear, used unchanged."
    ),
]
DevicesOption = Annotated[
    int | None,
    typer.Option(help="Distribute the files over this many GPUs, or CPU processes. Not needed under torchrun."),
]
EnsembleOption = Annotated[
    bool,
    typer.Option(
        "--ensemble", help="Average over the 8 flips and quarter turns, in 8 times the time, and report how far they differ."
    ),
]
ColourExactOption = Annotated[
    bool,
    typer.Option(
        "--colour-exact",
        help="Change the estimate as little as possible so that its camera sees the photo's exact colours in it, JPEG artefacts included.",
    ),
]


@contextmanager
def progress_bar(text: str, *, hidden: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr; yields a function to be called with (done, total, text=None)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Output on a terminal goes above the bar; output to a file is left alone.
    bars = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty(), disable=hidden)
    with bars:
        task = bars.add_task(text, total=None)

        def show(done: int, total: int | None, description: str | None = None) -> None:
            if not done:
                bars.reset(task)
            bars.update(task, completed=done, total=total, description=description)

        yield show


def print_table(
    header: list[str],
    rows: list[list[str]],
    *,
    sections: Collection[int] = (),
    words: tuple[str, ...] = (),
    unbroken: tuple[str, ...] = (),
) -> None:
    """Print a table on stdout, right-aligned but for the first column and those in `words`; the rows in `sections` begin one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for number, title in enumerate(header):
        side: Literal["left", "right"] = "right" if number and title not in words else "left"
        table.add_column(title, justify=side, overflow="fold", no_wrap=title in unbroken)
    for number, row in enumerate(rows):
        if number in sections:
            table.add_section()
        # Names come from files: a Text shows markup literally.
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)


def printable(text: str) -> str:
    """Text from a file, with control characters replaced."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def find_targets(sources: list[Path], output: Path, suffixes: tuple[str, ...], default: str) -> list[Path]:
    """The path of each result: `output` itself for a single source, else a file in the folder `output`."""
    kinds = " or ".join(suffixes)
    if len(sources) == 1 and output.suffix.lower() in suffixes and not output.is_dir():
        targets = [output]
    elif output.is_file():
        raise InputError(f"{output} is a file; name a folder, or a {kinds} file for a single result.")
    elif output.suffix and not output.is_dir():
        what = "several results" if len(sources) > 1 else "this result"
        raise InputError(f"{output} cannot hold {what}: name an existing folder, or a {kinds} file for a single one.")
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


class Notes:
    """A handler that prints notices on stderr; one about many files is printed once, with their number at the end."""

    def __init__(self) -> None:
        self._further: Counter[str] = Counter()

    def __call__(self, notice: Notice) -> None:
        """Print a notice, or count it."""
        if notice.message in self._further:
            self._further[notice.message] += bool(notice.source)
        else:
            self._further[notice.message] = 0
            print(f"Note: {printable(str(notice))}", file=sys.stderr, flush=True)

    def sum_up(self) -> None:
        """Print the number of further files."""
        for message, number in self._further.items():
            if number:
                print(f"Note, {number} more file{'s' * (number > 1)}: {printable(message)}", file=sys.stderr)
        self._further.clear()


def error_message(error: BaseException) -> str:
    """The message of an error, for users."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."
    return str(error) or TOO_LARGE


def print_error(error: BaseException, source: Path | None = None) -> None:
    """Print an error, with the file it is about."""
    message = error_message(error)
    named = source is None or source.name in message
    print(f"Error: {message if named else f'{source}: {message}'}", file=sys.stderr, flush=True)


def refuse_failures(sources: Sequence[Path], failures: Sequence[Exception | None]) -> None:
    """Raise an error that names the files that failed, or that of a single file."""
    failed = [(source, failure) for source, failure in zip(sources, failures, strict=True) if failure is not None]
    if len(sources) == 1 and failed:
        raise failed[0][1]
    if failed:
        raise InputError(f"{len(failed)} of {len(sources)} files failed: {', '.join(str(source) for source, _ in failed)}.")


def for_each(sources: list[Path], targets: list[Path], work: Callable[[Path, Path, Callable[..., None]], str]) -> None:
    """Process one file after the other, continue after failures, and report these at the end."""
    failures: list[Exception | None] = []
    for source, target in zip(sources, targets, strict=True):
        try:
            with progress_bar(source.name) as show:
                said = work(source, target, show)
            print(f"{target}  ({said})")
            failures.append(None)
        except FAILURES as error:
            failures.append(error.with_traceback(None))
            if len(sources) > 1:
                print_error(error, source)
    refuse_failures(sources, failures)


@contextmanager
def shared(devices: int | None, device: str, files: int) -> Iterator[Share]:
    """Share files with other processes (`napari_drcr.system.sharing.join`); the first one reports what ends the work of all."""
    share = join(devices, device, files)
    if share.count == 1:
        yield share
        return
    code = 0
    try:
        yield share
    except FAILURES as error:
        code = BAD_INPUT
        # torchrun ends all processes as soon as one ends, so the others wait until the message is printed.
        if share.rank == 0:
            print_error(error)
            share.meet()
        elif not share.meet():
            print_error(error)
    except (Cancelled, KeyboardInterrupt):
        if share.rank == 0:
            raise
        code = INTERRUPTED
    if code:
        # Lightning watches the exit codes of the processes it started, and would kill the first one in the middle of a file.
        sys.exit(code if share.rank == 0 or share.by_torchrun else 0)
