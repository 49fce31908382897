"""The command line: a thin front end of the library, one file per command. Heavy packages are imported by the commands that need them."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from napari_drcr import __version__
from napari_drcr.cli._common import BAD_INPUT, INTERRUPTED, Notes, print_error
from napari_drcr.cli.benchmark import benchmark
from napari_drcr.cli.demo import demo
from napari_drcr.cli.evaluate import evaluate
from napari_drcr.cli.models import models
from napari_drcr.cli.reconstruct import reconstruct
from napari_drcr.cli.runs import runs
from napari_drcr.cli.simulate import simulate
from napari_drcr.cli.train import train
from napari_drcr.errors import Cancelled, notices_to
from napari_drcr.system.batch import FAILURES
from napari_drcr.system.memory import is_lack_of_memory

app = typer.Typer(
    name="napari-drcr",
    help="Estimate 31-band spectral cubes (400-700 nm) from RGB images with DRCR Net, and assess how far to trust them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, reconstruct, simulate, evaluate, train, runs, models, benchmark):
    app.command()(command)


def main() -> NoReturn:
    """Run the command line; bad input ends with one sentence on stderr and exit code 2."""
    notes = Notes()
    try:
        with notices_to(notes):
            app()
    except FAILURES as error:
        print_error(error)
        sys.exit(BAD_INPUT)
    except RuntimeError as error:
        if not is_lack_of_memory(error):
            raise
        print_error(MemoryError())
        sys.exit(BAD_INPUT)
    except (Cancelled, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    finally:
        notes.sum_up()
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"napari-drcr {__version__}")
        raise typer.Exit
