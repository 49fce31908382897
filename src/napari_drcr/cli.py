"""The command line: a thin face over the library. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from napari_drcr import __version__
from napari_drcr.errors import Cancelled, InputError, Notice

BAD_INPUT = 2
INTERRUPTED = 130
TOO_LARGE = "there is not enough memory for this; try a smaller image, or a smaller --tile where there is that option."

app = typer.Typer(
    name="napari-drcr",
    help="Estimate 31-band spectral cubes (400-700 nm) from RGB images with DRCR Net, and see how far to trust them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def main() -> NoReturn:
    """Run the command line; bad input ends with one sentence on stderr and exit code 2."""
    warnings.showwarning = _show_warning
    warnings.simplefilter("always", Notice)
    try:
        app()
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
    except MemoryError:
        _fail(TOO_LARGE)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        _fail(TOO_LARGE)
    except (Cancelled, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:
    if issubclass(category, Notice):
        print(f"Note: {message}", file=sys.stderr)


@contextmanager
def _progress_bar(text: str) -> Iterator[Callable[..., None]]:
    """A bar on stderr while the work goes on; what it yields is called with (done, total, text=None)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=None)

        def show(done: int, total: int, description: str | None = None) -> None:
            bars.update(task, completed=done, total=total, description=description or text)

        yield show


def _print_table(header: list[str], rows: list[list[str]], *, sum_up: bool = False) -> None:
    """A table on stdout, figures to the right; `sum_up` sets the last row apart."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for number, title in enumerate(header):
        table.add_column(title, justify="right" if number else "left", overflow="fold")
    for number, row in enumerate(rows):
        if sum_up and number == len(rows) - 1:
            table.add_section()
        table.add_row(*row)
    Console().print(table)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        print(f"napari-drcr {__version__}")
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for what the demo writes.")] = Path("demo"),
    model: ModelOption = "photo",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> None:
    """Show the whole story on a bundled synthetic scene: no GPU, no screen, no download."""
    from napari_drcr.demo import run_demo

    with _progress_bar("demo") as show:
        result = run_demo(output, model=model, device=device, precision=precision, progress=show)
    print("Spectra estimated from RGB, against the exact ones of a synthetic scene (not a benchmark):")
    _print_table(result.header(), [score.row() for score in result.scores])
    print(
        f"{result.model} on {result.device_name}, {result.seconds:.1f} s. An estimate from three channels, not a measurement."
    )
    for path in result.paths:
        print(f"  {path}")


@app.command()
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
    targets = _targets(images, output, CUBE_SUFFIXES, ".mat")
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

    _for_each(images, targets, work)
    print("Estimates from three channels, not measurements.")


@app.command()
def simulate(
    cubes: Annotated[list[Path], typer.Argument(help="Cubes: .mat, .hdr, .nc, .tif, CAVE folders.", metavar="CUBE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .jpg or .png file, or a folder for one an image.")],
    camera: Annotated[
        str,
        typer.Option(
            help="photo, ntire2022, ntire2020-clean, ntire2020-real, or a CSV file of responses (wavelength in nm, r, g, b)."
        ),
    ] = "photo",
    exposure: Annotated[float | None, typer.Option(help="Factor on the light before anything clips.")] = None,
    photo_electrons: Annotated[
        float | None,
        typer.Option(help="For shot noise, 0 for none: at white; of ntire2020-real at the scene's mean green."),
    ] = None,
    read_noise: Annotated[float | None, typer.Option(help="Standard deviation in photo-electrons.")] = None,
    jpeg_quality: Annotated[int | None, typer.Option(help="1-100, or 0 for PNG.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of the pixels: srgb, as a finished photo, or linear, as CSV cameras are by themselves.")
    ] = None,
    light: Annotated[
        str | None, typer.Option(help="Put reflectance under this light first: A, D50, FL2, LED-B3, ...; then it is radiance.")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--cubes", help="A folder for the cubes as they were photographed (light, exposure), for `evaluate --truth`."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
) -> None:
    """Photograph cubes: the RGB that a camera would have made of them.

    What is not given is the camera's own; `photo` writes JPEG of quality 90, without noise.
    """
    from napari_drcr import simulation
    from napari_drcr.camera import find_camera
    from napari_drcr.colorimetry import check_illuminant

    given = {
        "exposure": exposure,
        "photo_electrons": photo_electrons,
        "read_noise": read_noise,
        "jpeg_quality": jpeg_quality,
        "encoding": encoding,
    }
    # Typed as 0, these two are left out.
    none = {name: None for name in ("photo_electrons", "jpeg_quality") if given[name] == 0}
    settings = {name: value for name, value in given.items() if value is not None} | none
    chosen = find_camera(camera).with_settings(**settings)
    if exposure is not None and not chosen.keeps_scale:
        raise InputError(f"camera {chosen.name} sets its exposure by itself; leave out --exposure.")
    if chosen.jpeg_quality and output.suffix.lower() == ".png":
        raise InputError(
            f"camera {chosen.name} writes JPEG: name a .jpg file instead of {output.name}, or add --jpeg-quality 0 for PNG."
        )
    targets = _targets(cubes, output, simulation.SUFFIXES[chosen.suffix], chosen.suffix)
    if light is not None:
        check_illuminant(light)
    truths = dict.fromkeys(targets) if truth is None else {target: truth / f"{target.stem}.mat" for target in targets}
    if truth is not None:
        if truth.is_file() or (truth.suffix and not truth.is_dir()):
            raise InputError(f"{truth} is not a folder; name one for the cubes, which get the names of their images.")
        if spoilt := {cube.resolve() for cube in cubes} & {path.resolve() for path in truths.values() if path}:
            raise InputError(
                f"{spoilt.pop()} is one of the inputs and would be overwritten; choose another folder for --cubes."
            )
        truth.mkdir(parents=True, exist_ok=True)

    def work(path: Path, target: Path, show: Callable[..., None]) -> str:
        simulation.simulate(path, target, chosen, light=light, seed=seed, truth=truths[target])
        return f"camera {chosen.name}{f', light {light}' if light else ''}, {target.stat().st_size / 1000:.0f} kB"

    _for_each(cubes, targets, work)


@app.command()
def evaluate(
    rgb: Annotated[Path, typer.Option(help="Folder of RGB images.")],
    truth: Annotated[Path, typer.Option(help="Folder of true cubes; scene.mat belongs to scene.jpg.")],
    model: ModelOption = "photo",
    protocol: Annotated[str, typer.Option(help="full, or ntire2022 (no border of 128 pixels, clipped to [0, 1]).")] = "full",
    floor: Annotated[float | None, typer.Option(help="Of MRAE: 0.01 by default, none for ntire2022; 0 for none.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    encoding: EncodingOption = "srgb",
    ensemble: EnsembleOption = False,
) -> None:
    """Score a model on pairs of RGB images and true cubes."""
    from napari_drcr import evaluation

    if csv is not None and not csv.parent.is_dir():
        raise InputError(f"the folder {csv.parent} does not exist, so the table cannot be written there.")
    with _progress_bar("scenes") as show:
        result = evaluation.evaluate(
            rgb,
            truth,
            model,
            protocol=protocol,
            floor=floor,
            device=device,
            precision=precision,
            encoding=encoding,
            ensemble=ensemble,
            progress=show,
        )
    print(f"{result.model}, protocol {result.protocol}: {evaluation.PROTOCOLS[result.protocol]}")
    _print_table(result.header(), [score.row() for score in (*result.scores, result.mean)], sum_up=True)
    if result.ensemble:
        print(f"Means over 8 flips and turns; {evaluation.FLIP_CORRELATION_MEANING}.")
    for scene, reason in result.skipped.items():
        print(f"Skipped {scene}: {reason}", file=sys.stderr)
    if csv is not None:
        result.write_csv(csv)
        print(csv)


@app.command()
def train(
    config: Annotated[
        str | None,
        typer.Argument(help="A YAML file, or a preset: small, fine-tune, paper. Without, the defaults.", metavar="CONFIG"),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of scenes, in place of the configuration's.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run's folder; must be new.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this folder.", metavar="RUN")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, in place of the configuration's.")] = None,
    device: Annotated[str | None, typer.Option("--device", "-d", help="In place of the configuration's.")] = None,
) -> None:
    """Train a model; a run is a folder with configuration, metrics, checkpoints, log and the best model so far."""
    from napari_drcr.training import run

    if resume is not None:
        if any(value is not None for value in (config, data, output, steps, device)):
            raise InputError("--resume takes the run's own configuration; leave out everything else.")
        folder, start = resume, partial(run.resume_run, resume)
    else:
        from napari_drcr.training.config import make_config, read_config

        overrides: dict[str, Any] = {"data__folder": data, "learning__steps": steps, "device": device}
        settings = read_config(config, **overrides) if config is not None else make_config({}, **overrides)
        folder = output if output is not None else run.new_run_folder(settings.name)
        start = partial(run.start_run, settings, folder)
    try:
        with _progress_bar("train") as show:
            model = start(progress=show)
    except (Cancelled, KeyboardInterrupt):
        print(f"To go on: napari-drcr train --resume {folder}", file=sys.stderr)
        raise
    print(f"Best model: {model}")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="Print the whole card of this model or file.")] = None,
) -> None:
    """List the shipped models, or print one card."""
    from napari_drcr.weights import load_model, shipped_models

    if name is not None:
        model = load_model(name)
        print(f"parameters: {model.parameters}\nsha256: {model.sha256}")
        for key, value in model.card.model_dump().items():
            if key == "wavelengths":
                value = f"{value[0]:g}-{value[-1]:g} nm in {len(value)} bands"
            elif key == "scores":
                value = ", ".join(f"{title} {figure:g}" for title, figure in value.items())
            print(f"{key}: {value}")
        return
    rows = []
    for shipped in shipped_models():
        model = load_model(shipped)
        figures = "\n".join(f"{title} {figure:g}" for title, figure in model.card.scores.items())
        rows.append(
            [shipped, model.card.architecture, f"{model.parameters:,}", f"{model.encoding}, by {model.normalisation}", figures]
        )
    _print_table(["model", "architecture", "parameters", "input", "scores"], rows)
    print("`napari-drcr models NAME` prints the card.")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise InputError(f"--white takes whole numbers, TOP,LEFT,BOTTOM,RIGHT such as 10,20,19,29, not {text!r}.") from None


def _targets(sources: list[Path], output: Path, suffixes: tuple[str, ...], default: str) -> list[Path]:
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


def _for_each(sources: list[Path], targets: list[Path], work: Callable[[Path, Path, Callable[..., None]], str]) -> None:
    """Do one file after the other, past those that fail, and say at the end which did."""
    failed = []
    for source, target in zip(sources, targets, strict=True):
        try:
            with _progress_bar(source.name) as show:
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
