"""The scenes of a data folder as training reads them: half-precision copies in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, overload

import numpy as np
import numpy.typing as npt
import platformdirs

from napari_drcr.cubes.cube import WAVELENGTHS, Quantity, resample
from napari_drcr.errors import InputError, notify
from napari_drcr.inference.preparation import ImageSettings, prepare_rgb
from napari_drcr.io import cube_files, read_cube
from napari_drcr.models.store import Card
from napari_drcr.system.files import atomic_paths, naming
from napari_drcr.training.dataset import SceneFiles, find_scenes
from napari_drcr.training.digests import Digests
from napari_drcr.training.sections import DataConfig

LIT = "holds radiance, lit already; leave data.lights empty"

Float16Array = npt.NDArray[np.float16]


@dataclass(frozen=True)
class Scene:
    """A scene in the cache, half precision, memory-mapped when read.

    Attributes
    ----------
    name : str
    cached : Path
        Cube (31, y, x) at 400-700 nm.
    quantity : {"reflectance", "radiance", "unknown"}
    cached_rgb : Path or None
        RGB (3, y, x) as the model will take it; None where a camera makes it.
    """

    name: str
    cached: Path
    quantity: Quantity
    cached_rgb: Path | None = None

    def values(self) -> Float16Array:
        """The memory-mapped cube, shape (31, y, x)."""
        return np.load(self.cached, mmap_mode="r")  # type: ignore[no-any-return]

    def rgb(self) -> Float16Array:
        """The memory-mapped RGB, shape (3, y, x).

        Raises
        ------
        ValueError
            If it has none.
        """
        if self.cached_rgb is None:
            raise ValueError(f"scene {self.name} has no RGB of its own")
        return np.load(self.cached_rgb, mmap_mode="r")  # type: ignore[no-any-return]


def cache_scenes(config: DataConfig, *, check: Callable[[], object] | None = None) -> tuple[list[Scene], list[Scene]]:
    """Convert the scenes of a folder once, to half precision at 400-700 nm.

    Parameters
    ----------
    config : DataConfig
        Its folder, what is held back, where the RGB comes from, and the size of a patch.
    check : callable, optional
        Called before each scene; may raise to stop.

    Returns
    -------
    tuple of two lists of Scene
        Training, validation. Their files are keyed by the content of what they were made from, and lie in the user's cache
        folder until deleted; a notice states their size before anything is written.

    Raises
    ------
    InputError
        As for `find_scenes`; if a file cannot be read, a cube does not cover 400-700 nm or holds values that half precision
        cannot represent, an image is missing or of another size than its cube, a training scene is smaller than a patch, or the disk is
        full.
    """
    found = find_scenes(config)
    copies = _open_cache(len(found))
    scenes = []
    try:
        for files in found:
            if check is not None:
                check()
            scenes.append(_cache_scene(files, config, copies))
    finally:
        copies.digests.save()
    if unknown := [scene.name for scene in scenes if scene.quantity == "unknown"]:
        notify(
            f"{len(unknown)} scenes (such as {unknown[0]}) do not state their quantity and are taken as reflectance (data.quantity)."
        )
    training, validation = (
        [scene for scene, files in zip(scenes, found, strict=True) if files.held_back is side] for side in (False, True)
    )
    return training, validation


class ScenesOnDemand(Sequence[Scene]):
    """The training scenes of a folder, each converted on first access: to preview a few samples.

    Parameters
    ----------
    config : DataConfig
        As for `cache_scenes`, which raises the same errors, but for all scenes.
    at_most : int
        The number of scenes that will be accessed.
    """

    def __init__(self, config: DataConfig, at_most: int) -> None:
        self.config = config
        self.files = [files for files in find_scenes(config) if not files.held_back]
        self._copies = _open_cache(min(at_most, len(self.files)))
        self._scenes: dict[int, Scene] = {}

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, number: int) -> Scene: ...
    @overload
    def __getitem__(self, number: slice) -> list[Scene]: ...
    def __getitem__(self, number: int | slice) -> Scene | list[Scene]:
        """One scene, or several."""
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        if number not in self._scenes:
            self._scenes[number] = _cache_scene(self.files[number], self.config, self._copies)
            self._copies.digests.save()
        return self._scenes[number]


def _open_cache(scenes: int) -> _Cache:
    return _Cache(Path(platformdirs.user_cache_dir("napari-drcr")) / "scenes", scenes)


class _Cache:
    """Arrays by the content of the files that they were made from."""

    def __init__(self, folder: Path, scenes: int) -> None:
        self.folder = folder
        self.digests = Digests(folder / "digests.json")
        self.scenes = scenes
        self.announced = False

    def get(self, sources: Iterable[Path], how: str, convert: Callable[[], tuple[Float16Array, str]]) -> tuple[Path, str]:
        """The cached array and its label, converted now if it is not there."""
        key = hashlib.sha256(b"".join([*(self.digests[file] for file in sources), how.encode()])).hexdigest()
        cached, label = self.folder / f"{key}.npy", self.folder / f"{key}.txt"
        if not (cached.exists() and label.exists()):
            values, text = convert()
            values = np.ascontiguousarray(values)
            self._announce(values.nbytes)
            with atomic_paths(cached, label) as (values_file, label_file):
                label_file.write_text(text, encoding="utf-8")
                with values_file.open("wb") as file:
                    # Not numpy.save, whose errors do not state why a file cannot be written.
                    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(values))
                    file.write(values.data)
        return cached, label.read_text(encoding="utf-8")

    def _announce(self, size: int) -> None:
        if self.announced:
            return
        self.announced = True
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = size * self.scenes, shutil.disk_usage(self.folder).free
        if needed > free:
            raise InputError(
                f"the half-precision copies of {self.scenes} scenes need about {needed / 1e9:.1f} GB, but only {free / 1e9:.1f} GB "
                f"are free in {self.folder}; make room there."
            )
        notify(
            f"Up to {self.scenes} scenes are now converted once to half precision: about {max(needed / 1e6, 1):.0f} MB in {self.folder}."
        )


def _cache_scene(files: SceneFiles, config: DataConfig, cache: _Cache) -> Scene:
    cached, label = cache.get(cube_files(files.cube), "", lambda: _half_precision_cube(files.cube))
    quantity = cast(Quantity, label)
    if quantity == "unknown":
        quantity = config.quantity or quantity
    if quantity == "radiance" and config.lights:
        raise InputError(f"{files.name} {LIT}.")
    scene = Scene(files.name, cached, quantity)
    if not files.held_back and min(scene.values().shape[1:]) < config.patch:
        raise InputError(f"{files.name} is smaller than data.patch = {config.patch} pixels; choose a smaller patch.")
    if config.rgb == "simulated":
        return scene
    if files.rgb is None:
        raise InputError(f"scene {files.name} has no image of the same name; data.rgb is 'files'.")
    image = files.rgb
    how = f"rgb {config.encoding} {config.normalisation}"
    cached_rgb, _ = cache.get([image], how, lambda: (half_precision_rgb(image, config), how))
    scene = Scene(files.name, cached, quantity, cached_rgb)
    sizes = scene.values().shape[1:], scene.rgb().shape[1:]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"{files.cube.name} has {sizes[0][0]} x {sizes[0][1]} pixels, its image {image.name} {sizes[1][0]} x {sizes[1][1]}; "
            "training needs images that match pixel by pixel."
        )
    return scene


def _half_precision_cube(path: Path) -> tuple[Float16Array, str]:
    cube = resample(read_cube(path), WAVELENGTHS)
    if cube.sizes["wavelength"] != len(WAVELENGTHS):
        nm = cube["wavelength"].values
        raise InputError(f"{path.name} covers {nm[0]:g}-{nm[-1]:g} nm only; training needs 400-700 nm.")
    with np.errstate(over="ignore"):
        values = np.asarray(cube.values, dtype=np.float16)
    if not np.isfinite(values).all():
        raise InputError(f"{path.name} holds values that are not finite, or beyond 65504; divide them by their white level.")
    return values, str(cube.attrs.get("quantity", "unknown"))


def half_precision_rgb(path: Path, config: DataConfig) -> Float16Array:
    """An image of the folder as the model will take it.

    Parameters
    ----------
    path : Path
        The image.
    config : DataConfig
        Its encoding and normalisation.

    Returns
    -------
    ndarray, shape (3, y, x), float16

    Raises
    ------
    InputError
        If it cannot be read, or not be prepared for a model.
    """
    from napari_drcr.io.rgb import read_stored_rgb

    card = Card(name="the model to be", encoding=config.card_encoding, normalisation=config.normalisation)
    with naming(path):
        pixels, profile = read_stored_rgb(path)
        prepared = prepare_rgb(pixels, card, ImageSettings(config.encoding, profile), source=path.name)
    return prepared.values.astype(np.float16)
