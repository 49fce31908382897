"""The scenes of a data folder: which there are, which are held back, and their half-precision copies in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import platformdirs

from napari_drcr.cube import WAVELENGTHS, Quantity, resample
from napari_drcr.errors import InputError, notify
from napari_drcr.files import atomic_path, naming
from napari_drcr.io import by_stem, cube_files, find_cubes, find_images, read_cube
from napari_drcr.preparation import prepare_rgb
from napari_drcr.training.config import DataConfig
from napari_drcr.weights import Card

LAYOUT = {
    "Train_spectral": "Train_RGB",
    "Valid_spectral": "Valid_RGB",
    "Valid_soectral": "Valid_RGB",  # as the README of the published code spells it
    "Train_Spec": "Train_RGB",
    "Valid_Spec": "Valid_RGB",
}
"""Folders of cubes and of their images, as ARAD_1K is laid out for DRCR Net and for MST++."""
HELD_BACK_LIST = Path("split_txt") / "valid_list.txt"
"""Where MST++ lists the scenes that are held back, one a line."""

Float16Array = npt.NDArray[np.float16]


@dataclass(frozen=True)
class SceneFiles:
    """A scene of a data folder.

    Attributes
    ----------
    name : str
        The cube's file name without suffix; of a CAVE folder without ``_ms``.
    cube : Path
    rgb : Path or None
        The image of the same name, where there is one.
    held_back : bool
        For validation.
    """

    name: str
    cube: Path
    rgb: Path | None
    held_back: bool


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


def find_scenes(config: DataConfig) -> list[SceneFiles]:
    """The scenes of a data folder.

    Parameters
    ----------
    config : DataConfig
        Its folder, and the scenes to hold back.

    Returns
    -------
    list of SceneFiles
        Sorted by name. Known are the layout of ARAD_1K for DRCR Net (``Train_spectral``, ``Train_RGB``, ``Valid_spectral``,
        ``Valid_RGB``), that of MST++ (``Train_Spec``, ``Train_RGB``, ``split_txt/valid_list.txt``), CAVE (a folder a scene), and
        cubes and images side by side.

    Raises
    ------
    InputError
        If there is nothing to learn from or nothing to validate on, or two cubes have one name.
    """
    if config.folder is None:
        raise InputError("no data folder is given: name it in data.folder or with --data.")
    folder = config.folder.expanduser()
    if not folder.is_dir():
        raise InputError(f"the data folder {folder} does not exist.")
    sides = [(folder / cubes, folder / images) for cubes, images in LAYOUT.items() if (folder / cubes).is_dir()]
    cubes = by_stem(path for side, _ in sides or [(folder, folder)] for path in find_cubes(side))
    images = {
        name: path for _, side in sides or [(folder, folder)] if side.is_dir() for name, path in find_images(side).items()
    }
    listed = folder / HELD_BACK_LIST
    lines = listed.read_text("utf-8", errors="replace").splitlines() if listed.is_file() else []
    names = {Path(line.strip()).stem for line in lines}
    if unknown := set(config.validation) - cubes.keys():
        raise InputError(f"data.validation names {', '.join(sorted(unknown))}, which {folder} does not hold.")
    names |= set(config.validation)
    scenes = [
        SceneFiles(name, cube, images.get(name) or _image_within(cube), name in names or cube.parent.name.startswith("Valid"))
        for name, cube in sorted(cubes.items())
    ]
    held_back = sum(scene.held_back for scene in scenes)
    if not 0 < held_back < len(scenes):
        raise InputError(
            f"{folder} gives {len(scenes) - held_back} training and {held_back} validation cubes, both are needed: "
            "hold some back in Valid_spectral or by name in data.validation."
        )
    return scenes


def _image_within(cube: Path) -> Path | None:
    """The rendering that a CAVE scene folder brings along."""
    if not cube.is_dir():
        return None
    inside = find_images(cube_files(cube)[0].parent)
    return next((path for path in inside.values() if path.suffix.lower() == ".bmp"), None)


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
        folder until they delete it; before anything is written its size is told.

    Raises
    ------
    InputError
        As for `find_scenes`; if a file cannot be read, a cube does not cover 400-700 nm or holds values that half precision
        cannot, an image is missing or of another size than its cube, a training scene is smaller than a patch, or the disk is
        full.
    """
    found = find_scenes(config)
    cache = _Cache(Path(platformdirs.user_cache_dir("napari-drcr")) / "scenes", len(found))
    scenes = []
    for files in found:
        if check is not None:
            check()
        scenes.append(_cache_scene(files, config, cache))
    if unknown := [scene.name for scene in scenes if scene.quantity == "unknown"]:
        notify(
            f"{len(unknown)} scenes (such as {unknown[0]}) do not say what they hold and are taken as reflectance (data.quantity)."
        )
    if config.lights and (lit := [scene.name for scene in scenes if scene.quantity == "radiance"]):
        raise InputError(f"{lit[0]} holds radiance, lit already; leave data.lights empty.")
    training, validation = (
        [scene for scene, files in zip(scenes, found, strict=True) if files.held_back is side] for side in (False, True)
    )
    if small := [scene.name for scene in training if min(scene.values().shape[1:]) < config.patch]:
        raise InputError(f"{small[0]} is smaller than data.patch = {config.patch} pixels; choose a smaller patch.")
    return training, validation


class _Cache:
    """Arrays by the content of the files that they were made from."""

    def __init__(self, folder: Path, scenes: int) -> None:
        self.folder = folder
        self.scenes = scenes
        self.announced = False

    def get(self, sources: Iterable[Path], how: str, convert: Callable[[], tuple[Float16Array, str]]) -> tuple[Path, str]:
        """The cached array and its label, converted now if it is not there."""
        digests = [hashlib.sha256(file.read_bytes()).digest() for file in sources]
        key = hashlib.sha256(b"".join([*digests, how.encode()])).hexdigest()
        cached, label = self.folder / f"{key}.npy", self.folder / f"{key}.txt"
        if not (cached.exists() and label.exists()):
            values, text = convert()
            self._announce(values.nbytes)
            with atomic_path(label) as temporary:
                temporary.write_text(text, encoding="utf-8")
            with atomic_path(cached) as temporary:
                np.save(temporary, values)
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
    scene = Scene(files.name, cached, quantity)
    if config.rgb == "simulated":
        return scene
    if files.rgb is None:
        raise InputError(f"scene {files.name} has no image of the same name; data.rgb is 'files'.")
    image = files.rgb
    how = f"rgb {config.encoding} {config.normalisation}"
    cached_rgb, _ = cache.get([image], how, lambda: (_half_precision_rgb(image, config), how))
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


def _half_precision_rgb(path: Path, config: DataConfig) -> Float16Array:
    from napari_drcr.io.rgb import read_stored_rgb

    card = Card(name="the model to be", encoding=config.card_encoding, normalisation=config.normalisation)
    with naming(path):
        pixels, profile = read_stored_rgb(path)
        prepared = prepare_rgb(pixels, card, encoding=config.encoding, profile=profile, source=path.name)
    return prepared.values.astype(np.float16)
