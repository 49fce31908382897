"""What a run is: a pydantic model, YAML on disk."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_drcr.camera import JPEG_GRID, find_camera
from napari_drcr.colorimetry import illuminant
from napari_drcr.cube import WAVELENGTHS
from napari_drcr.errors import InputError
from napari_drcr.files import atomic_path


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1] <= LARGEST:
        raise ValueError(f"needs two positive numbers up to {LARGEST:g}, the smaller first")
    return bounds


LARGEST = 1e9
EXPOSURE = (0.5, 1.5)
"""Range of exposures where a configuration gives none and the camera keeps scale."""

Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Quality = Annotated[int, Field(ge=1, le=100)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(_Section):
    """The network's size; see `napari_drcr.network.DRCRNet`."""

    channels: int = Field(default=32, ge=8)
    blocks: int = Field(default=5, ge=1)
    reduction: int = Field(default=8, ge=1)
    purification: bool = True
    recalibration: bool = True
    released_npm: bool = False

    @model_validator(mode="after")
    def _has_a_gate(self) -> NetworkConfig:
        if self.recalibration and self.channels < self.reduction:
            raise ValueError(f"reduction {self.reduction} leaves nothing of {self.channels} channels")
        return self


class DataConfig(_Section):
    """The scenes, where their RGB comes from, and what is cut from them.

    Attributes
    ----------
    folder : Path or None
        In one of the layouts of `napari_drcr.training.dataset.look_into`.
    validation : tuple of str
        Scenes (file or folder names without suffix) held back where the folder itself does not say.
    quantity : {"reflectance", "radiance"} or None
        What the cubes hold, where their files do not say.
    rgb : {"simulated", "files"}
        Photographed by the camera, anew for every patch, or the images of the folder as they are.
    encoding : {"srgb", "linear"}
        Of the images of the folder. Linear ones are taken as they are, as a model of the challenges takes them.
    normalisation : {"white", "maximum"}
        The images of the folder are divided by their white level, or each by its own maximum.
    lights : tuple of str
        Names of CIE illuminants and lamps (see `napari_drcr.colorimetry.illuminant`) that reflectance is lit with, drawn evenly:
        the cubes become radiance, each scene divided by its own maximum under that light.
    patch : int
        Side of a training patch in pixels, a multiple of 16: patches lie on the JPEG grid.
    stride : int
        Pixels between two possible places of a patch, a multiple of 16.
    workers : int
        Processes that prepare samples; 0 prepares them in the training process.
    """

    folder: Path | None = None
    validation: tuple[str, ...] = ()
    quantity: Literal["reflectance", "radiance"] | None = None
    rgb: Literal["simulated", "files"] = "simulated"
    encoding: Literal["srgb", "linear"] = "srgb"
    normalisation: Literal["white", "maximum"] = "white"
    lights: tuple[str, ...] = ()
    patch: int = Field(default=64, ge=16, multiple_of=JPEG_GRID)
    stride: int = Field(default=JPEG_GRID, ge=16, multiple_of=JPEG_GRID)
    workers: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fits_together(self) -> DataConfig:
        if self.lights and self.rgb == "files":
            raise ValueError("lights need a camera, but the images come from files")
        if self.rgb == "simulated" and (self.encoding, self.normalisation) != ("srgb", "white"):
            raise ValueError("encoding and normalisation are those of images from files, but a camera makes them here")
        for light in self.lights:
            try:
                illuminant(light, WAVELENGTHS)
            except InputError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def card_encoding(self) -> Literal["linear", "as given"]:
        """What a model of the images of the folder takes, in the words of its card."""
        return "linear" if self.encoding == "srgb" else "as given"


class CameraConfig(_Section):
    """The camera that makes the RGB, and what of it varies from sample to sample.

    Attributes
    ----------
    name : str
        What `napari_drcr.camera.find_camera` takes: a named camera, or a CSV file of responses.
    exposure : (float, float) or None
        Factor on RGB and cube alike, before clipping; drawn evenly in its logarithm. None is 0.5-1.5. Automatic exposure
        would give the same RGB for cubes of different scale: there the range must be None, cubes keep their scale, and every
        patch has the exposure of its whole scene.
    photo_electrons : (float, float)
        At a linear signal of 1 after exposure, drawn evenly in the logarithm.
    read_noise : float
        In photo-electrons.
    jpeg_quality : (int, int)
        Drawn evenly.
    uncompressed : float
        Share of samples without JPEG, 0-1.
    """

    name: str = "photo"
    exposure: Range | None = None
    photo_electrons: Range = (1000, 50000)
    read_noise: float = Field(default=2.0, ge=0)
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(_ascending)] = (60, 100)
    uncompressed: float = Field(default=0.1, ge=0, le=1)


class LearningConfig(_Section):
    """How it learns.

    Attributes
    ----------
    steps : int
        Optimiser steps of the whole run.
    batch : int
        Patches a step, of all processes together; each takes an equal part.
    start_from : str or None
        A shipped model or a file to go on from; the network is then that model's.
    learning_rate : float
        Of Adam, after warming up linearly over `warmup_steps`; it then decays as ``(1 - step / steps) ** decay_power``.
    floor : float
        The loss is ``|truth - estimate| / max(truth, floor)``, averaged.
    beta2 : float
        Of Adam's second moment.
    weight_decay : float
        Of Adam, decoupled from the gradient (Loshchilov and Hutter, ICLR 2019); times the learning rate.
    ema_decay : float
        Of the exponential moving average of the weights, which is what is validated and kept; see
        `napari_drcr.training.module.moving_average`.
    clip : float or None
        Largest norm of the gradient.
    precision : {"auto", "fp32", "bf16", "fp16"}
        "auto" takes bf16 where the device has it natively.
    validate_every : int
        Steps between two validations; also between two checkpoints.
    validation_floor : float
        Of the validation's MRAE.
    """

    start_from: str | None = None
    steps: int = Field(default=15000, ge=1)
    batch: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=500, ge=0)
    decay_power: float = Field(default=1.5, ge=0)
    floor: float = Field(default=0.01, gt=0)
    beta2: float = Field(default=0.999, gt=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    validate_every: int = Field(default=500, ge=1)
    validation_floor: float = Field(default=0.01, gt=0)


class CardConfig(_Section):
    """What only people know of a model, for its card.

    Attributes
    ----------
    data : str
        Where the scenes are from and under which terms; their names are added.
    limits : str
        What the model cannot do.
    licence : str
        Of the weights.
    """

    data: str = ""
    limits: str = ""
    licence: str = ""


class TrainingConfig(_Section):
    """One run.

    Attributes
    ----------
    name : str
        Name of the resulting model: letters, digits, blanks and ``_ . + -``.
    seed : int
        Of the weights and of every sample.
    device : str
        "auto", or a device of `napari_drcr.devices.devices`; of a run on several, the first.
    devices : int
        Processes a node: so many GPUs, or processes on the CPU.
    nodes : int
        Computers that share the run, as torchrun or SLURM starts it on each.
    strategy : {"auto", "ddp", "ddp_find_unused_parameters_true"}
        How Lightning keeps several processes together. "auto" takes what the network needs. Strategies that split the weights are not
        among them: these fit into every GPU, and models are written whole.
    """

    name: str = Field(default="photo", pattern=r"^\w[\w .+-]*$")
    seed: int = Field(default=0, ge=0, lt=2**32)
    device: str = "auto"
    devices: int = Field(default=1, ge=1)
    nodes: int = Field(default=1, ge=1)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    network: NetworkConfig = NetworkConfig()
    data: DataConfig = DataConfig()
    camera: CameraConfig = CameraConfig()
    learning: LearningConfig = LearningConfig()
    card: CardConfig = CardConfig()

    @property
    def processes(self) -> int:
        """How many share the run."""
        return self.devices * self.nodes

    @model_validator(mode="after")
    def _fits_its_processes(self) -> TrainingConfig:
        if self.learning.batch % self.processes:
            raise ValueError(
                f"learning.batch is {self.learning.batch}, which {self.devices} devices on each of {self.nodes} nodes cannot share "
                f"evenly; choose a multiple of {self.processes}"
            )
        if self.processes > 1 and (self.device == "mps" or self.device.partition(":")[2] not in ("", "0")):
            raise ValueError(
                f"device is {self.device!r}, but a run on several devices takes them from the first on: auto, cuda or cpu"
            )
        return self


def presets() -> dict[str, Path]:
    """The configurations that come along.

    Returns
    -------
    dict of str to Path
        Names and files: `fine-tune` adapts the shipped photo model, `small` trains a small network from the start, `paper` is DRCR Net
        as its paper trains it.
    """
    folder = Path(str(resources.files("napari_drcr.training") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_config(path: str | Path, **overrides: Any) -> TrainingConfig:
    """Read a run's configuration.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of one of `presets`.
    **overrides
        Values that replace those of the file, named ``section__field``: ``data__folder=...``, ``learning__steps=...``.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    InputError
        Naming the field that is wrong, its value and what it needs.
    """
    path = presets().get(str(path), Path(path))
    if not path.is_file():
        raise InputError(f"there is no configuration file {path}, nor a preset of that name; there is {', '.join(presets())}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not a YAML file: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds {type(content).__name__}, not the sections of a configuration.")
    return make_config(content, source=path.name, **overrides)


def make_config(content: dict[str, Any], *, source: str = "the configuration", **overrides: Any) -> TrainingConfig:
    """Check the values of a configuration.

    Parameters
    ----------
    content : dict
        Sections and values as in the YAML file; left as it is.
    source : str
        What errors call it.
    **overrides
        As for `read_config`.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    InputError
        Naming the field that is wrong, its value and what it needs.
    """
    for key, value in overrides.items():
        section, _, field = key.rpartition("__")
        if value is None:
            continue
        if not section:
            content = content | {field: value}
        elif isinstance(content.get(section) or {}, dict):
            content = content | {section: (content.get(section) or {}) | {field: value}}
    try:
        config = TrainingConfig.model_validate({key: value for key, value in content.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = f"{place} is {first['input']!r}: {first['msg']}" if place else first["msg"].removeprefix("Value error, ")
        raise InputError(f"{source}: {what}.") from error
    if config.learning.start_from is not None:
        config = _with_network_of(config.learning.start_from, config, given="network" in content, source=source)
    try:
        camera = find_camera(config.camera.name)
    except InputError as error:
        raise InputError(f"{source}: camera.name is {config.camera.name!r}: {error}") from error
    if config.camera.exposure is not None and not camera.keeps_scale:
        raise InputError(
            f"{source}: camera.exposure is {config.camera.exposure}, but camera {camera.name!r} exposes by itself; leave it out."
        )
    return config


def _with_network_of(name: str, config: TrainingConfig, *, given: bool, source: str) -> TrainingConfig:
    """The configuration with the network of the model that it starts from."""
    from napari_drcr.network import DRCRNet
    from napari_drcr.weights import load_model

    try:
        network = load_model(name).estimator
    except InputError as error:
        raise InputError(f"{source}: learning.start_from is {name!r}: {error}") from error
    if not isinstance(network, DRCRNet) or network.bands != len(WAVELENGTHS):
        raise InputError(f"{source}: learning.start_from is {name!r}, which is no DRCR Net of {len(WAVELENGTHS)} bands.")
    its_own = NetworkConfig(
        channels=network.channels,
        blocks=len(network.blocks),
        reduction=network.reduction,
        purification=network.purification is not None,
        recalibration=network.blocks[0].gate1 is not None,
        released_npm=network.purification is not None and network.purification.released,
    )
    if given and config.network != its_own:
        raise InputError(
            f"{source}: network differs from that of learning.start_from ({name!r}: {its_own}); leave the network out."
        )
    return config.model_copy(update={"network": its_own})


def write_config(path: Path, config: TrainingConfig) -> None:
    """Write a configuration as YAML, whole or not at all.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there.
    config : TrainingConfig
        What `read_config` gives back.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        content = config.model_dump(mode="json")
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
