"""What a data folder holds, before anything is converted or trained: one entry per scene, with its problems."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from napari_drcr.cubes.cube import WAVELENGTHS, Quantity
from napari_drcr.cubes.lazy import pieces
from napari_drcr.errors import InputError, notices_to
from napari_drcr.io import read_cube, scene_name
from napari_drcr.system.steps import run_to_end
from napari_drcr.training.dataset import DataFolder, SceneFiles, look_into
from napari_drcr.training.reflectances import RADIANT, Reflectances, read_reflectances
from napari_drcr.training.scenes import LIT, half_precision_rgb
from napari_drcr.training.sections import DataConfig, ReflectancesConfig

LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Problem:
    """A remark on a scene.

    Attributes
    ----------
    sentence : str
        Without the scene's name.
    stops : bool
        Whether training rejects the folder because of it.
    """

    sentence: str
    stops: bool


@dataclass(frozen=True)
class SceneEntry:
    """A scene of a data folder.

    Attributes
    ----------
    name : str
    held_back : bool
        For validation.
    cube : Path
        A file, or the folder of a CAVE scene.
    rgb : Path or None
        The image of the same name, where there is one.
    bands : int or None
        None where the cube cannot be read; so are the next two.
    nanometres : (float, float) or None
        First and last band.
    size : (int, int) or None
        Rows and columns.
    quantity : {"reflectance", "radiance", "unknown"}
        As stated in the file.
    problems : tuple of Problem
    left_out : bool
        Whether this is a file that should be a cube but is not, and that training skips.
    """

    name: str
    held_back: bool
    cube: Path
    rgb: Path | None
    bands: int | None = None
    nanometres: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    quantity: Quantity = "unknown"
    problems: tuple[Problem, ...] = ()
    left_out: bool = False

    @property
    def usable(self) -> bool:
        """Whether it can be trained with."""
        return not self.left_out and not any(problem.stops for problem in self.problems)


@dataclass(frozen=True)
class Survey:
    """What a data folder holds.

    Attributes
    ----------
    folder : Path
    layout : str
        Which of the known ones, in words.
    scenes : tuple of SceneEntry
        Sorted by name, those that are left out last.
    problems : tuple of str
        Sentences on the material as a whole, each of which stops training: doubled names, nothing held back, measured
        reflectances that cannot be used.
    reflectances : Reflectances or None
        The measured ones that are mixed in.
    """

    folder: Path
    layout: str
    scenes: tuple[SceneEntry, ...]
    problems: tuple[str, ...]
    reflectances: Reflectances | None = None

    @property
    def usable(self) -> bool:
        """Whether it can be trained with as it is, as far as was checked."""
        return not self.problems and all(scene.usable for scene in self.scenes if not scene.left_out)


def survey(
    config: DataConfig,
    reflectances: ReflectancesConfig | None = None,
    *,
    values: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """See what a data folder holds; `iter_survey` to the end.

    Parameters
    ----------
    config, reflectances, values
        As for `iter_survey`.
    progress : callable, optional
        Called with (scenes seen, scenes in all); may raise `Cancelled`.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If no folder is given, or it cannot be opened.
    """
    steps = iter_survey(config, reflectances, values=values)
    return run_to_end(steps, None if progress is None else lambda step: progress(step[0], step[1]))


def iter_survey(
    config: DataConfig, reflectances: ReflectancesConfig | None = None, *, values: bool = False
) -> Generator[tuple[int, int, SceneEntry], None, Survey]:
    """See what a data folder holds, scene by scene.

    Parameters
    ----------
    config : DataConfig
        The folder, what is held back, where the RGB comes from, and the patch: what is wrong depends on them.
    reflectances : ReflectancesConfig, optional
        Measured reflectances that are mixed in; they are always read.
    values : bool
        Whether to read the values of all cubes and images too. Else only headers are read, which is quick except for
        formats that are always read whole (MATLAB version 5, netCDF 3, compressed TIFF, CAVE).

    Yields
    ------
    tuple of (int, int, SceneEntry)
        Scenes seen, scenes in all, and this one. Close the generator to stop.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If no folder is given, or it cannot be opened.
    """
    folder = look_into(config)
    reflectances = reflectances or ReflectancesConfig()
    problems = folder.problems
    measured = None
    try:
        measured = read_reflectances(reflectances)
    except InputError as error:
        problems = (str(error), *problems)
    total = len(folder.scenes) + len(folder.left_out)
    entries: list[SceneEntry] = []
    for entry in _entries(folder, config, bool(reflectances.share), values):
        entries.append(entry)
        yield len(entries), total, entry
    return Survey(folder.path, folder.layout, tuple(entries), problems, measured)


def _entries(folder: DataFolder, config: DataConfig, mixed: bool, values: bool) -> Iterator[SceneEntry]:
    for files in folder.scenes:
        problems: list[Problem] = []
        if files.name in folder.doubled:
            problems.append(Problem(folder.doubled[files.name], stops=True))
        yield _entry(files, config, mixed and not files.held_back, values, problems)
    for path in folder.left_out:
        problems = []
        with _noting(path, problems, stops=False):
            read_cube(path, lazy=True)
        yield SceneEntry(scene_name(path), False, path, None, problems=tuple(problems), left_out=True)


def _entry(files: SceneFiles, config: DataConfig, mixed: bool, values: bool, problems: list[Problem]) -> SceneEntry:
    """The line of a scene; `mixed` says whether measured reflectances are mixed with it."""
    names = (files.name, files.held_back, files.cube, files.rgb)
    cube = None
    with _noting(files.cube, problems):
        cube = read_cube(files.cube, lazy=True)
        if values:
            problems += _problems_of_values(cube)
    if cube is None:
        return SceneEntry(*names, problems=tuple(problems))
    nm, size = cube["wavelength"].values, (cube.sizes["y"], cube.sizes["x"])
    quantity: Quantity = cube.attrs["quantity"]
    problems += _problems_of_bands(nm)
    taken_as = config.quantity if quantity == "unknown" else quantity
    if taken_as is None:
        problems.append(Problem("does not state its quantity, and is taken as reflectance (data.quantity)", stops=False))
    if taken_as == "radiance" and config.lights:
        problems.append(Problem(LIT, stops=True))
    if taken_as == "radiance" and mixed:
        problems.append(Problem(RADIANT, stops=True))
    if not files.held_back and min(size) < config.patch:
        problems.append(Problem(f"is smaller than a patch of {config.patch} pixels (data.patch)", stops=True))
    if config.rgb == "files":
        problems += _problems_of_image(files, size, config, values)
    return SceneEntry(*names, len(nm), (float(nm[0]), float(nm[-1])), size, quantity, tuple(problems))


def _problems_of_bands(nm: np.typing.NDArray[np.float64]) -> Iterator[Problem]:
    if not (nm[0] <= WAVELENGTHS[0] and nm[-1] >= WAVELENGTHS[-1]):
        yield Problem(f"covers {nm[0]:g}-{nm[-1]:g} nm only; training needs 400-700 nm", stops=True)
    elif not np.array_equal(nm, WAVELENGTHS):
        yield Problem(f"is resampled from {len(nm)} bands of {nm[0]:g}-{nm[-1]:g} nm", stops=False)


def _problems_of_values(cube: xr.DataArray) -> Iterator[Problem]:
    """Counted over the cube as it is stored; NaN is neither dark nor too large."""
    undefined = dark = large = 0
    for _, values in pieces(cube):
        undefined += int(np.count_nonzero(~np.isfinite(values)))
        dark += int(np.count_nonzero(values <= 0))
        large += int(np.count_nonzero(values > LARGEST_HALF))
    if undefined:
        yield Problem(f"holds {_share(undefined, cube)} that are NaN or infinite; replace them first", stops=True)
    elif large:
        yield Problem(f"holds {_share(large, cube)} beyond {LARGEST_HALF:g}; divide them by their white level", stops=True)
    if dark:
        yield Problem(f"holds {_share(dark, cube)} of 0 or less, which count as learning.floor in the loss", stops=False)


def _share(count: int, cube: xr.DataArray) -> str:
    return f"{count} value{'s' if count > 1 else ''} ({count / cube.size:.2g} of all)"


def _problems_of_image(files: SceneFiles, size: tuple[int, int], config: DataConfig, values: bool) -> list[Problem]:
    from napari_drcr.io.rgb import image_size

    if files.rgb is None:
        return [Problem("has no image of the same name, though data.rgb is 'files'", stops=True)]
    problems: list[Problem] = []
    with _noting(files.rgb, problems):
        rows, columns = image_size(files.rgb)
        if values:
            half_precision_rgb(files.rgb, config)
        if (rows, columns) != size:
            sentence = f"has {size[0]} x {size[1]} pixels, its image {files.rgb.name} {rows} x {columns}"
            problems.append(Problem(sentence, stops=True))
    return problems


@contextmanager
def _noting(path: Path, problems: list[Problem], *, stops: bool = True) -> Iterator[None]:
    """Record why a file cannot be read, or else what was assumed."""
    said: dict[str, None] = {}
    with notices_to(lambda notice: said.setdefault(str(notice))):
        try:
            yield
        except (InputError, OSError, MemoryError) as error:
            reason = (str(error) or "it does not fit into memory").removeprefix(f"{path.name}: ").rstrip(".")
            problems.append(Problem(f"{path.name} cannot be read: {reason}", stops))
    problems += [Problem(text.removeprefix(f"{path.name}: ").rstrip("."), stops=False) for text in said]
