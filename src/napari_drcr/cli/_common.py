"""What the commands share: options, progress, tables, files in and out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from napari_drcr.errors import Cancelled, InputError, Notice
from napari_drcr.system.batch import FAILURES
from napari_drcr.system.sharing import Share, join

BAD_INPUT = 2
INTERRUPTED = 130
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
DevicesOption = Annotated[
    int | None,
    typer.Option(help="Spread the files over so many GPUs, or processes on the CPU. Not needed under torchrun."),
]
EnsembleOption = Annotated[
    bool,
    typer.Option(
        "--ensemble", help="Average over the 8 flips and quarter turns, in 8 times the time; says how far they differ."
    ),
]


@contextmanager
def progress_bar(text: str, *, hidden: bool = False) -> Iterator[Callable[..., None]]:
    """A bar on stderr while the work goes on; what it yields is called with (done, total, text=None)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # What is printed meanwhile goes above the bar, but a file stays a file.
    bars = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty(), disable=hidden)
    with bars:
        task = bars.add_task(text, total=None)

        def show(done: int, total: int | None, description: str | None = None) -> None:
            if not done:
                bars.reset(task)
            bars.update(task, completed=done, total=total, description=description)

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


class Notes:
    """A handler of notices that prints them on stderr; one that is about many files is printed once, with their number at the end."""

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
        """Print how many other files there were."""
        for message, number in self._further.items():
            if number:
                print(f"Note, {number} more file{'s' * (number > 1)}: {printable(message)}", file=sys.stderr)
        self._further.clear()


def sentence(error: BaseException) -> str:
    """What went wrong, as users are told."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}."
    return str(error) or TOO_LARGE


def tell(error: BaseException, source: Path | None = None) -> None:
    """Say what went wrong, and with which file."""
    words = sentence(error)
    named = source is None or source.name in words
    print(f"Error: {words if named else f'{source}: {words}'}", file=sys.stderr, flush=True)


def refuse_failures(sources: Sequence[Path], failures: Sequence[Exception | None]) -> None:
    """Say at the end which files failed, or of a single one why."""
    failed = [(source, failure) for source, failure in zip(sources, failures, strict=True) if failure is not None]
    if len(sources) == 1 and failed:
        raise failed[0][1]
    if failed:
        raise InputError(f"{len(failed)} of {len(sources)} files failed: {', '.join(str(source) for source, _ in failed)}.")


def for_each(sources: list[Path], targets: list[Path], work: Callable[[Path, Path, Callable[..., None]], str]) -> None:
    """Do one file after the other, past those that fail, and say at the end which did."""
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
                tell(error, source)
    refuse_failures(sources, failures)


@contextmanager
def shared(devices: int | None, device: str, files: int) -> Iterator[Share]:
    """Share files with other processes (`napari_drcr.system.sharing.join`); what ends the work of all, the first one says."""
    share = join(devices, device, files)
    if share.count == 1:
        yield share
        return
    code = 0
    try:
        yield share
    except FAILURES as error:
        code = BAD_INPUT
        # torchrun ends all as soon as one ends, so the others wait until it is said.
        if share.rank == 0:
            tell(error)
            share.meet()
        elif not share.meet():
            tell(error)
    except (Cancelled, KeyboardInterrupt):
        if share.rank == 0:
            raise
        code = INTERRUPTED
    if code:
        # Of the processes that Lightning starts it watches the codes, and kills the first one for them, in the middle of a file.
        sys.exit(code if share.rank == 0 or share.by_torchrun else 0)
