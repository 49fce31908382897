"""Samples: every crop, turn, noise and JPEG is a pure function of (seed, sample index), whatever the workers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import platformdirs
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from napari_drcr.camera import JPEG_GRID, Camera, find_camera
from napari_drcr.cube import WAVELENGTHS, Quantity, resample
from napari_drcr.errors import InputError, notify
from napari_drcr.files import atomic_path
from napari_drcr.io import cube_files, find_cubes, read_cube
from napari_drcr.training.config import EXPOSURE, CameraConfig, DataConfig, TrainingConfig

SPECTRAL_FOLDERS = ("Train_spectral", "Valid_spectral")


@dataclass(frozen=True)
class Scene:
    """A cube in the cache: half precision, (31, y, x), memory-mapped when read."""

    name: str
    cached: Path
    quantity: Quantity

    def values(self) -> npt.NDArray[np.float16]:
        """The memory-mapped values, shape (31, y, x)."""
        return np.load(self.cached, mmap_mode="r")  # type: ignore[no-any-return]


def split_cubes(config: DataConfig) -> tuple[list[Path], list[Path]]:
    """Training and validation cubes of a folder.

    Parameters
    ----------
    config : DataConfig
        Its folder, and the scenes to hold back.

    Returns
    -------
    tuple of two lists of Path
        Training, validation.

    Raises
    ------
    InputError
        If there is nothing to learn from or nothing to validate on.
    """
    if config.folder is None:
        raise InputError("no data folder is given: name it in data.folder or with --data.")
    folder = config.folder.expanduser()
    if not folder.is_dir():
        raise InputError(f"the data folder {folder} does not exist.")
    split = [folder / name for name in SPECTRAL_FOLDERS]
    if split[0].is_dir():
        cubes = [path for side in split if side.is_dir() for path in find_cubes(side)]
        held_back = {path.stem for path in cubes if path.parent == split[1]} | set(config.validation)
    else:
        cubes = find_cubes(folder)
        held_back = set(config.validation)
    if unknown := set(config.validation) - {path.stem for path in cubes}:
        raise InputError(f"data.validation names {', '.join(sorted(unknown))}, which {folder} does not hold.")
    training = [path for path in cubes if path.stem not in held_back]
    validation = [path for path in cubes if path.stem in held_back]
    if not training or not validation:
        raise InputError(
            f"{folder} gives {len(training)} training and {len(validation)} validation cubes, both are needed: "
            "hold some back in Valid_spectral or by name in data.validation."
        )
    return training, validation


def cache_scene(path: Path, config: DataConfig) -> Scene:
    """Convert a cube once, to half precision at 400-700 nm.

    Parameters
    ----------
    path : Path
        A cube file or folder.
    config : DataConfig
        For the quantity, where the file does not say.

    Returns
    -------
    Scene
        Its cached file is keyed by the content of the cube, and lies in the user's cache folder until they delete it.

    Raises
    ------
    InputError
        If the cube cannot be read, does not cover 400-700 nm, or holds values that half precision cannot.
    """
    digest = hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in cube_files(path))).hexdigest()
    folder = Path(platformdirs.user_cache_dir("napari-drcr")) / "scenes"
    folder.mkdir(parents=True, exist_ok=True)
    cached, label = folder / f"{digest}.npy", folder / f"{digest}.txt"
    if not (cached.exists() and label.exists()):
        cube = resample(read_cube(path), WAVELENGTHS)
        if cube.sizes["wavelength"] != len(WAVELENGTHS):
            nm = cube["wavelength"].values
            raise InputError(f"{path.name} covers {nm[0]:g}-{nm[-1]:g} nm only; training needs 400-700 nm.")
        values = np.asarray(cube.values, dtype=np.float16)
        if not np.isfinite(values).all():
            raise InputError(
                f"{path.name} holds values that are not finite, or beyond 65504; divide them by their white level."
            )
        with atomic_path(label) as temporary:
            temporary.write_text(str(cube.attrs.get("quantity", "unknown")), encoding="utf-8")
        with atomic_path(cached) as temporary:
            np.save(temporary, values)
    quantity = cast(Quantity, label.read_text(encoding="utf-8"))
    if quantity == "unknown":
        quantity = config.quantity or quantity
    return Scene(path.stem, cached, quantity)


def cache_scenes(config: DataConfig) -> tuple[list[Scene], list[Scene]]:
    """Both sides of the split, cached.

    Parameters
    ----------
    config : DataConfig
        Its folder, the scenes to hold back, and the size of a patch.

    Returns
    -------
    tuple of two lists of Scene
        Training, validation.

    Raises
    ------
    InputError
        As for `split_cubes` and `cache_scene`, or if a training scene is smaller than a patch.
    """
    training, validation = ([cache_scene(path, config) for path in side] for side in split_cubes(config))
    if unknown := [scene.name for scene in training + validation if scene.quantity == "unknown"]:
        notify(
            f"{len(unknown)} scenes (such as {unknown[0]}) do not say what they hold and are taken as reflectance (data.quantity)."
        )
    if small := [scene.name for scene in training if min(scene.values().shape[1:]) < config.patch]:
        raise InputError(f"{small[0]} is smaller than data.patch = {config.patch} pixels; choose a smaller patch.")
    return training, validation


def metered_camera(camera: Camera, scene: Scene) -> Camera:
    """The camera as it is set for the whole of a scene; see `napari_drcr.camera.Camera.metered`.

    Parameters
    ----------
    camera : Camera
        Any camera; the same comes back where nothing about it is automatic, and then the scene is not read.
    scene : Scene
        What it looks at.

    Returns
    -------
    Camera

    Raises
    ------
    InputError
        If the scene is black.
    """
    if not camera.needs_metering:
        return camera
    mean = scene.values().mean(axis=(1, 2), dtype=np.float64)
    try:
        return camera.metered(mean @ camera.response(WAVELENGTHS, scene.quantity))
    except InputError as error:
        raise InputError(f"scene {scene.name}: {error}") from error


def draw_camera(camera: Camera, config: CameraConfig, random: np.random.Generator) -> Camera:
    """A camera with noise and compression drawn from the configuration's ranges.

    Parameters
    ----------
    camera : Camera
        As it is set for a scene.
    config : CameraConfig
        The ranges.
    random : numpy.random.Generator
        Where the draws come from, always in the same order.

    Returns
    -------
    Camera
    """
    return camera.with_settings(
        photo_electrons=float(np.exp(random.uniform(*np.log(config.photo_electrons)))),
        read_noise=config.read_noise,
        jpeg_quality=None
        if random.random() < config.uncompressed
        else int(random.integers(*config.jpeg_quality, endpoint=True)),
    )


class Patches(Dataset[tuple[Tensor, Tensor]]):
    """Random patches of random scenes, photographed on the fly.

    Parameters
    ----------
    scenes : list of Scene
        What to cut from.
    config : TrainingConfig
        Seed, patch size and camera.

    Notes
    -----
    Item i is linear RGB (3, patch, patch) and the cube (31, patch, patch), both float32, the cube scaled by the exposure that
    was drawn for the photo. Any i from 0 up is valid; it depends on nothing but the seed and i. Patches are turned after the
    JPEG. A camera that sets itself is set for whole scenes; automatic exposure leaves the cube as it is.
    """

    def __init__(self, scenes: list[Scene], config: TrainingConfig) -> None:
        self.scenes = scenes
        self.config = config
        camera = find_camera(config.camera.name)
        self._cameras = [metered_camera(camera, scene) for scene in scenes]
        self._exposure = (config.camera.exposure or EXPOSURE) if camera.keeps_scale else (1.0, 1.0)
        self._values: dict[int, npt.NDArray[np.float16]] = {}

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Sample `index`, see the class."""
        random = np.random.default_rng((self.config.seed, index))
        patch = self.config.data.patch
        number = int(random.integers(len(self.scenes)))
        if number not in self._values:
            self._values[number] = self.scenes[number].values()
        values = self._values[number]
        top, left = (JPEG_GRID * int(random.integers((side - patch) // JPEG_GRID + 1)) for side in values.shape[1:])
        cube = values[:, top : top + patch, left : left + patch].astype(np.float32)
        exposure = float(np.exp(random.uniform(*np.log(self._exposure))))
        camera = self._cameras[number]
        camera = draw_camera(camera.with_settings(exposure=camera.exposure * exposure), self.config.camera, random)
        response = camera.response(WAVELENGTHS, self.scenes[number].quantity)
        rgb = camera.decode(np.moveaxis(camera.develop(np.tensordot(cube, response, axes=(0, 0)), random), -1, 0))
        cube *= exposure
        quarter_turns, mirror = int(random.integers(4)), bool(random.integers(2))
        return _turned(rgb, quarter_turns, mirror), _turned(cube, quarter_turns, mirror)


def _turned(image: npt.NDArray[np.float32], quarter_turns: int, mirror: bool) -> Tensor:
    image = np.rot90(image, quarter_turns, axes=(1, 2))
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1] if mirror else image))


class StepSampler(Sampler[int]):
    """Sample indices that follow from the step that training has reached, so that resuming continues the sequence.

    Parameters
    ----------
    samples : int
        How many a pass hands out.
    batch : int
        Samples a step.
    reached : callable
        Returns how many steps have been taken; asked as a pass begins.
    """

    def __init__(self, samples: int, batch: int, reached: Callable[[], int]) -> None:
        self.samples = samples
        self.batch = batch
        self.reached = reached

    def __len__(self) -> int:
        return self.samples

    def __iter__(self) -> Iterator[int]:
        start = self.reached() * self.batch
        return iter(range(start, start + self.samples))


class Photographs(Dataset[tuple[Tensor, Tensor]]):
    """Whole validation scenes as the camera's standard settings show them: linear RGB (3, y, x) and cube (31, y, x).

    Parameters
    ----------
    scenes : list of Scene
        What to photograph; cut to multiples of 4 pixels.
    camera : Camera
        With its standard settings.
    """

    def __init__(self, scenes: list[Scene], camera: Camera) -> None:
        self.scenes = scenes
        self.camera = camera

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Scene `index`, see the class."""
        scene = self.scenes[index]
        values = scene.values()
        height, width = (side // 4 * 4 for side in values.shape[1:])
        cube = values[:, :height, :width].astype(np.float32)
        linear = np.tensordot(cube, self.camera.response(WAVELENGTHS, scene.quantity), axes=(0, 0))
        rgb = self.camera.decode(np.moveaxis(self.camera.develop(linear, np.random.default_rng(index)), -1, 0))
        return torch.from_numpy(np.ascontiguousarray(rgb)), torch.from_numpy(cube)
