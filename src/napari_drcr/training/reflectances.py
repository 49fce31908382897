"""Measured reflectances that training mixes in: read from spectral libraries, brought to the bands of training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from napari_drcr.cubes.cube import WAVELENGTHS, make_cube, resample
from napari_drcr.errors import InputError, notify
from napari_drcr.io import read_libraries
from napari_drcr.io.library import Library
from napari_drcr.system.files import atomic_path, naming
from napari_drcr.training.scenes import Scene
from napari_drcr.training.sections import ReflectancesConfig

LARGEST = 1.5
"""Measured reflectances lie a little above 1 at most; beyond this they are percentages, or no reflectances."""
RADIANT = "holds radiance, but measured reflectances are mixed in; set reflectances.share to 0"

Float32Array = npt.NDArray[np.float32]
_DIGESTS = TypeAdapter(dict[str, str])


@dataclass(frozen=True, eq=False)
class Reflectances:
    """Measured reflectances at 400-700 nm.

    Attributes
    ----------
    spectra : ndarray, shape (n, 31), float32
        One collection after the other; 0 or more.
    collections : dict of str to int
        Names and numbers of spectra, in the order of `spectra`.
    digests : dict of str to str
        SHA-256 of wavelengths and values of each collection, as its file has them.
    unused : dict of str to int
        Collections with spectra that cannot be used, and how many: those that do not cover 400-700 nm, and black ones.
    left_out : tuple of str
        Collections that the configuration leaves out.
    """

    spectra: Float32Array
    collections: dict[str, int]
    digests: dict[str, str]
    unused: dict[str, int]
    left_out: tuple[str, ...] = ()

    def by_collection(self) -> list[Float32Array]:
        """The spectra of each collection, shape (n, 31), in the order of `collections`."""
        return np.split(self.spectra, np.cumsum(list(self.collections.values()))[:-1])

    @cached_property
    def _chances(self) -> npt.NDArray[np.float64]:
        sizes = np.array(list(self.collections.values()))
        weights = np.repeat(1 / np.sqrt(sizes), sizes)
        chances: npt.NDArray[np.float64] = weights / weights.sum()
        return chances

    def draw(self, count: int, random: np.random.Generator) -> Float32Array:
        """Draw spectra.

        Parameters
        ----------
        count : int
            How many.
        random : numpy.random.Generator
            Where the draws come from.

        Returns
        -------
        ndarray, shape (count, 31), float32
            A collection is drawn in proportion to the square root of its size, so that a large one does not displace the others.
        """
        return self.spectra[random.choice(len(self.spectra), size=count, p=self._chances)]

    def __str__(self) -> str:
        """How many spectra there are, and of which collections."""
        names = ", ".join(f"{name} {count}" for name, count in self.collections.items())
        plural = "s" if len(self.collections) > 1 else ""
        left_out = f"; left out: {', '.join(self.left_out)}" if self.left_out else ""
        return f"{len(self.spectra)} measured reflectances in {len(self.collections)} collection{plural} ({names}{left_out})"


def read_reflectances(config: ReflectancesConfig) -> Reflectances | None:
    """Read the spectral libraries of a configuration.

    Parameters
    ----------
    config : ReflectancesConfig
        Files, and collections to leave out.

    Returns
    -------
    Reflectances or None
        None where the share is 0. Spectra that do not cover 400-700 nm, or are black, are left out with a notice; values below 0
        count as 0. Other wavelengths are resampled as those of cubes are.

    Raises
    ------
    InputError
        If a file cannot be read, two collections have one name, one to be left out is in no file, values are no reflectances, or
        no spectrum is left.
    """
    if not config.share:
        return None
    libraries = _by_name(config.files)
    if unknown := set(config.left_out) - libraries.keys():
        raise InputError(
            f"reflectances.left_out names {', '.join(sorted(unknown))}, but the collections are {', '.join(libraries)}; "
            "leave out one of these."
        )
    found = {name: (library, _usable(library)) for name, library in libraries.items() if name not in config.left_out}
    kept = {name: spectra for name, (_, spectra) in found.items() if len(spectra)}
    if not kept:
        raise InputError(
            "no measured reflectance is left to learn from: each collection is in reflectances.left_out, or covers less than "
            "400-700 nm; name other files in reflectances.files."
        )
    unused = {name: len(library.names) - len(spectra) for name, (library, spectra) in found.items()}
    unused = {name: count for name, count in unused.items() if count}
    if unused:
        notify(
            f"{sum(unused.values())} measured reflectances (of {', '.join(unused)}) are left out, because they do not cover "
            "400-700 nm or are black."
        )
    return Reflectances(
        spectra=np.concatenate(list(kept.values())),
        collections={name: len(spectra) for name, spectra in kept.items()},
        digests={name: _digest(found[name][0]) for name in kept},
        unused=unused,
        left_out=config.left_out,
    )


def refuse_radiance(scenes: Sequence[Scene]) -> None:
    """Refuse scenes that measured reflectances do not go with.

    Parameters
    ----------
    scenes : sequence of Scene
        To learn from.

    Raises
    ------
    InputError
        If one holds radiance.
    """
    if radiant := next((scene for scene in scenes if scene.quantity == "radiance"), None):
        raise InputError(f"{radiant.name} {RADIANT}.")


def write_digests(path: Path, reflectances: Reflectances) -> None:
    """Keep what a run learns from, for `refuse_others`.

    Parameters
    ----------
    path : Path
        A file of the run folder.
    reflectances : Reflectances
        Those of the run.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(_DIGESTS.dump_json(reflectances.digests))


def refuse_others(path: Path, reflectances: Reflectances) -> None:
    """Refuse reflectances other than those that a run began with.

    Parameters
    ----------
    path : Path
        What `write_digests` has written.
    reflectances : Reflectances
        As they are now.

    Raises
    ------
    InputError
        Naming a collection that has changed since, or if the file cannot be read.
    """
    with naming(path):
        try:
            before = _DIGESTS.validate_json(path.read_bytes())
        except ValidationError as error:
            raise InputError("the file is damaged; start the run anew.") from error
    for name in sorted(before.keys() | reflectances.digests.keys()):
        if before.get(name) != reflectances.digests.get(name):
            raise InputError(
                f"the measured reflectances {name!r} have changed since the run began; restore their file, or start the run anew."
            )


def _by_name(files: Sequence[Path]) -> dict[str, Library]:
    libraries: dict[str, Library] = {}
    for file in files:
        for library in read_libraries(file.expanduser()):
            if library.name in libraries:
                raise InputError(
                    f"two collections of reflectances are called {library.name!r}; rename one, or leave its file out."
                )
            libraries[library.name] = library
    return libraries


def _usable(library: Library) -> Float32Array:
    """Its spectra at the bands of training, (n, 31), without those that cannot be used."""
    largest = np.nanmax(library.values)
    if largest > LARGEST:
        raise InputError(
            f"the collection {library.name!r} holds values up to {largest:g}, but reflectances lie between 0 and 1; "
            "divide percentages by 100."
        )
    found = np.full((len(library.names), len(WAVELENGTHS)), np.nan, np.float32)
    for rows, bands in _alike(np.isfinite(library.values)):
        nm = library.wavelengths[bands]
        if nm[0] <= WAVELENGTHS[0] and nm[-1] >= WAVELENGTHS[-1]:
            cube = make_cube(library.values[np.ix_(rows, bands)].T[:, None], nm, quantity="reflectance")
            found[rows] = resample(cube, WAVELENGTHS).values[:, 0].T
    usable: Float32Array = np.maximum(found[found.sum(axis=1) > 0], 0)
    return usable


def _alike(finite: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Rows that have values at the same bands, and these bands."""
    patterns, which = np.unique(finite, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        yield np.flatnonzero(which.ravel() == number), np.flatnonzero(pattern)


def _digest(library: Library) -> str:
    # Of the values as they are read, for a library of two files, and for one that was moved.
    content = np.ascontiguousarray(library.wavelengths).tobytes() + np.ascontiguousarray(library.values).tobytes()
    return hashlib.sha256(content).hexdigest()
