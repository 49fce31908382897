"""Samples: every crop, light, rotation, noise and JPEG is a pure function of (seed, sample index), independent of the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from napari_drcr.camera import Camera, find_camera
from napari_drcr.camera.charts import chart_of
from napari_drcr.cubes.colorimetry import illuminant
from napari_drcr.cubes.cube import WAVELENGTHS, Quantity
from napari_drcr.errors import InputError
from napari_drcr.system.devices import usable_cores
from napari_drcr.training.patchworks import make_patchwork
from napari_drcr.training.reflectances import Reflectances
from napari_drcr.training.scenes import Float16Array, Scene
from napari_drcr.training.sections import EXPOSURE, CameraConfig, TrainingConfig

ONE_THREAD = 32768
"""Number of values up to which torch converts in a single thread."""
MOST_WORKERS = 4
"""Default of processes that prepare samples for a GPU; each takes some hundred MB."""

CHART_SPECTRA, CHART_SIDE = 21**2, 8
"""Squares of a chart, and pixels of their sides."""

Float32Array = npt.NDArray[np.float32]
Samples = DataLoader[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Patchwork:
    """An image of measured reflectances, which is lit and photographed as a scene in itself.

    Attributes
    ----------
    cube : ndarray, shape (31, y, x), float32
    """

    cube: Float32Array
    name: ClassVar[str] = "patchwork"
    quantity: ClassVar[Quantity] = "reflectance"
    cached_rgb: ClassVar[None] = None

    def values(self) -> Float32Array:
        """The cube."""
        return self.cube


def charts(reflectances: Reflectances, count: int, seed: int) -> list[Patchwork]:
    """Charts of drawn reflectances, to stand beside whole scenes.

    Parameters
    ----------
    reflectances : Reflectances
        What they are drawn from.
    count : int
        Of charts.
    seed : int
        Of the draws.

    Returns
    -------
    list of Patchwork
        Of 441 squares each, see `napari_drcr.camera.charts.chart_of`.
    """
    random = np.random.default_rng(seed)
    return [
        Patchwork(chart_of(reflectances.draw(CHART_SPECTRA, random), CHART_SIDE, seed=seed + number).values)
        for number in range(count)
    ]


@dataclass(frozen=True)
class Setting:
    """How a scene is lit and photographed: determined once per scene, and shared by all its crops.

    Attributes
    ----------
    camera : Camera
        Metered for the scene.
    response : ndarray, shape (31, 3), float32
        Linear RGB per unit of each band of the cube as lit.
    light : ndarray, shape (31, 1, 1), float32
        Factor of the cached cube: 1, or the light over the largest value that the scene has under it.
    """

    camera: Camera
    response: Float32Array
    light: Float32Array


def set_up(camera: Camera, scene: Scene | Patchwork, light: str | None) -> Setting:
    """Light a scene and set the camera for it.

    Parameters
    ----------
    camera : Camera
        With its standard settings; see `napari_drcr.camera.Camera.metered`.
    scene : Scene or Patchwork
        Read as a whole only if something depends on all of it.
    light : str or None
        See `DataConfig.lights`; None leaves the cube as it is.

    Returns
    -------
    Setting

    Raises
    ------
    InputError
        If the scene is black.
    """
    factors = np.ones(len(WAVELENGTHS)) if light is None else illuminant(light, WAVELENGTHS)
    if light is not None:
        brightest = float((scene.values().max(axis=(1, 2)) * factors).max())
        if brightest <= 0:
            raise InputError(f"scene {scene.name} is black: it cannot be divided by its maximum.")
        factors = factors / brightest
    response = camera.response(WAVELENGTHS, scene.quantity if light is None else "radiance")
    if camera.needs_metering:
        mean = scene.values().mean(axis=(1, 2), dtype=np.float64) * factors
        try:
            camera = camera.metered(mean @ response)
        except InputError as error:
            raise InputError(f"scene {scene.name}: {error}") from error
    return Setting(camera, response, factors.astype(np.float32)[:, None, None])


def draw_camera(camera: Camera, config: CameraConfig, random: np.random.Generator) -> Camera:
    """A camera with noise and compression drawn from the configuration's ranges.

    Parameters
    ----------
    camera : Camera
        As it is set for a scene.
    config : CameraConfig
        The ranges.
    random : numpy.random.Generator
        Source of the draws, always in the same order.

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
    """Random patches of random scenes, photographed on the fly or cut from the scenes' own images.

    Parameters
    ----------
    scenes : sequence of Scene
        What to cut from.
    config : TrainingConfig
        Seed, patches, lights and camera.
    reflectances : Reflectances, optional
        What patchworks are composed of, in the share of samples that the configuration gives; without them, there are none.

    Notes
    -----
    Item i is RGB as the network takes it (3, patch, patch) and the cube (31, patch, patch), both float32, the cube scaled by the
    exposure that was drawn for the photo. Any i from 0 up is valid; it depends on nothing but the seed and i. Patches are turned
    after the JPEG. A camera that adapts to the scene is metered on whole scenes; automatic exposure leaves the cube as it is.
    """

    def __init__(self, scenes: Sequence[Scene], config: TrainingConfig, reflectances: Reflectances | None = None) -> None:
        self.scenes = scenes
        self.config = config
        self.reflectances = reflectances
        self._camera = find_camera(config.camera.name)
        self._exposure = (config.camera.exposure or EXPOSURE) if self._camera.keeps_scale else (1.0, 1.0)
        self._opened: dict[int, tuple[Float16Array, Float16Array | None]] = {}
        self._settings: dict[tuple[int, str | None], Setting] = {}

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Sample `index`, see the class."""
        random, number, composed = self._begin(index)
        if composed is not None:
            side, filtered = self.config.data.patch, self.config.reflectances.filtered
            scene = Patchwork(make_patchwork(composed, side, lambda: self._cut(number, random)[0], random, filtered))
            rgb, cube = self._photograph(lambda light: set_up(self._camera, scene, light), scene.cube, random)
        else:
            cube, image = self._cut(number, random)
            if image is not None:
                rgb = image
            else:
                rgb, cube = self._photograph(lambda light: self._set_up(number, light), cube, random)
        quarter_turns, mirror = int(random.integers(4)), bool(random.integers(2))
        return _turned(rgb, quarter_turns, mirror), _turned(cube, quarter_turns, mirror)

    def name_of(self, index: int) -> str:
        """The name of the scene that sample `index` is cut from, or "patchwork"."""
        _, number, composed = self._begin(index)
        return self.scenes[number].name if composed is None else Patchwork.name

    def _begin(self, index: int) -> tuple[np.random.Generator, int, Reflectances | None]:
        """Where the draws of a sample come from, after the first: which scene it is cut from, or what it is composed of."""
        random = np.random.default_rng((self.config.seed, index))
        number = int(random.integers(len(self.scenes)))
        if self.reflectances is None or random.random() >= self.config.reflectances.share:
            return random, number, None
        return random, number, self.reflectances

    def _cut(self, number: int, random: np.random.Generator) -> tuple[Float32Array, Float32Array | None]:
        """A patch of a scene, and of its image where it has one."""
        data = self.config.data
        values, image = self._open(number)
        top, left = (data.stride * int(random.integers((side - data.patch) // data.stride + 1)) for side in values.shape[1:])
        window = np.s_[:, top : top + data.patch, left : left + data.patch]
        return _as_single(values[window]), None if image is None else _as_single(image[window])

    def _open(self, number: int) -> tuple[Float16Array, Float16Array | None]:
        if number not in self._opened:
            scene = self.scenes[number]
            self._opened[number] = scene.values(), None if scene.cached_rgb is None else scene.rgb()
        return self._opened[number]

    def _photograph(
        self, set_for: Callable[[str | None], Setting], cube: Float32Array, random: np.random.Generator
    ) -> tuple[Float32Array, Float32Array]:
        """RGB and cube under a drawn exposure, light, noise and compression; the cube is changed in place."""
        exposure = float(np.exp(random.uniform(*np.log(self._exposure))))
        lights = self.config.data.lights
        setting = set_for(lights[int(random.integers(len(lights)))] if lights else None)
        camera = setting.camera.with_settings(exposure=setting.camera.exposure * exposure)
        camera = draw_camera(camera, self.config.camera, random)
        cube *= setting.light
        linear = np.tensordot(cube, setting.response, axes=(0, 0))
        cube *= np.float32(exposure)
        return camera.decode(np.moveaxis(camera.develop(linear, random), -1, 0)), cube

    def _set_up(self, number: int, light: str | None) -> Setting:
        if (number, light) not in self._settings:
            self._settings[number, light] = set_up(self._camera, self.scenes[number], light)
        return self._settings[number, light]


def _as_single(stored: Float16Array) -> Float32Array:
    """A copy in single precision, through torch, which converts three times as fast as numpy does."""
    half = torch.from_numpy(np.array(stored)).view(-1)
    single = torch.empty(half.shape)
    # torch would distribute larger pieces over threads, and wait for those that the network keeps busy.
    for start in range(0, len(half), ONE_THREAD):
        single[start : start + ONE_THREAD] = half[start : start + ONE_THREAD]
    return single.view(stored.shape).numpy()


def _turned(image: npt.NDArray[np.float32], quarter_turns: int, mirror: bool) -> Tensor:
    image = np.rot90(image, quarter_turns, axes=(1, 2))
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1] if mirror else image))


class StepSampler(Sampler[int]):
    """Sample indices derived from the current step, so that resuming continues the sequence.

    Parameters
    ----------
    steps : int
        Steps of an epoch; a run that resumes within an epoch gets the rest of it.
    batch : int
        Samples per step, of all processes together.
    processes : int
        Number of processes, which share a batch in equal parts.
    reached : callable
        Returns the number of steps taken and the rank of this process; called at the start of an epoch.
    """

    def __init__(self, steps: int, batch: int, processes: int, reached: Callable[[], tuple[int, int]]) -> None:
        self.steps = steps
        self.batch = batch
        self.part = batch // processes
        self.reached = reached

    def __len__(self) -> int:
        return self.steps * self.part

    def __iter__(self) -> Iterator[int]:
        step, process = self.reached()
        for taken in range(step, (step // self.steps + 1) * self.steps):
            first = taken * self.batch + process * self.part
            yield from range(first, first + self.part)


class Photographs(Dataset[tuple[Tensor, Tensor]]):
    """Whole scenes as they are validated, nothing varied: RGB as the network takes it (3, y, x) and cube (31, y, x), float32.

    Parameters
    ----------
    scenes : sequence of Scene or Patchwork
        Cut to what the network's sides must be multiples of.
    camera : Camera
        With its standard settings; for scenes without an image of their own.
    lights : tuple of str
        See `DataConfig.lights`; each scene is lit by one of them, spread evenly over the list.
    multiple : int
        What the sides are cut to multiples of.
    check : callable, optional
        Called before each scene of a loop over all; may raise to stop.
    """

    def __init__(
        self,
        scenes: Sequence[Scene | Patchwork],
        camera: Camera,
        lights: tuple[str, ...] = (),
        multiple: int = 1,
        *,
        check: Callable[[], object] | None = None,
    ) -> None:
        self.scenes = scenes
        self.camera = camera
        self.lights = lights
        self.multiple = multiple
        self.check = check

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index in range(len(self)):
            if self.check is not None:
                self.check()
            yield self[index]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Scene `index`, see the class."""
        scene = self.scenes[index]
        height, width = (side // self.multiple * self.multiple for side in scene.values().shape[1:])
        cube = scene.values()[:, :height, :width].astype(np.float32)
        if scene.cached_rgb is not None:
            return torch.from_numpy(scene.rgb()[:, :height, :width].astype(np.float32)), torch.from_numpy(cube)
        light = self.lights[index * len(self.lights) // len(self.scenes)] if self.lights else None
        setting = set_up(self.camera, scene, light)
        cube *= setting.light
        pixels = setting.camera.develop(np.tensordot(cube, setting.response, axes=(0, 0)), np.random.default_rng(index))
        rgb = setting.camera.decode(np.moveaxis(pixels, -1, 0))
        return torch.from_numpy(np.ascontiguousarray(rgb)), torch.from_numpy(cube)


def workers_for(config: TrainingConfig, device: str) -> int:
    """Number of processes that prepare samples.

    Parameters
    ----------
    config : TrainingConfig
        Of the run.
    device : str
        Where it trains.

    Returns
    -------
    int
        `DataConfig.workers`. If that is None, 0 for the CPU, which is busy anyway; for a GPU up to `MOST_WORKERS`, leaving one core
        to each training process.
    """
    if config.data.workers is not None:
        return config.data.workers
    return 0 if device == "cpu" else max(min(MOST_WORKERS, usable_cores() // config.devices - 1), 0)


def loading(workers: int, device: str) -> dict[str, Any]:
    """How a DataLoader brings samples to a device.

    Parameters
    ----------
    workers : int
        Processes that prepare them; 0 prepares them in the training process.
    device : str
        Their destination. For CUDA they are placed in pinned memory and copied while the GPU computes.

    Returns
    -------
    dict
        Keyword arguments.
    """
    return {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "multiprocessing_context": "spawn" if workers else None,
        "pin_memory": device.startswith("cuda"),
    }


def make_loaders(
    config: TrainingConfig,
    training: Sequence[Scene],
    validation: list[Scene],
    reached: Callable[[], tuple[int, int]],
    *,
    device: str,
    reflectances: Reflectances | None = None,
) -> tuple[Samples, Samples]:
    """The data loaders of a run.

    Parameters
    ----------
    config : TrainingConfig
        The run.
    training, validation : sequence of Scene
        Training and validation scenes.
    reached : callable
        See `StepSampler`.
    device : str
        Where it trains, a key of `napari_drcr.system.devices.devices`.
    reflectances : Reflectances, optional
        See `Patches`.

    Returns
    -------
    tuple of two DataLoader
        Batches of patches, each process's part of them; whole validation scenes, one by one, all of them for every process.
    """
    # Lightning counts epochs; ours end where a validation is due.
    steps_per_epoch = min(config.learning.validate_every, config.learning.steps)
    patches = DataLoader(
        Patches(training, config, reflectances),
        batch_size=config.learning.batch // config.processes,
        sampler=StepSampler(steps_per_epoch, config.learning.batch, config.processes, reached),
        **loading(workers_for(config, device), device),
    )
    multiple = config.architecture.multiple
    photographs = Photographs(validation, find_camera(config.camera.name), config.data.lights, multiple)
    return patches, DataLoader(photographs, batch_size=1, **loading(0, device))
