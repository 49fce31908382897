"""The models of a configuration: its sections, their fields, and what these may hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from napari_drcr.camera import JPEG_GRID, find_camera
from napari_drcr.cubes.colorimetry import illuminant
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.models.architecture import AnySettings, Architecture, find_architecture, validate_settings


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 < bounds[0] <= bounds[1] <= LARGEST:
        raise ValueError(f"needs two positive numbers up to {LARGEST:g}, the smaller first")
    return bounds


def _nameable(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise ValueError("needs a letter or digit first, then letters, digits, blanks and _ . + -")
    return name


LARGEST = 1e9
EXPOSURE = (0.5, 1.5)
"""Range of exposures where a configuration gives none and the camera keeps scale."""

Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Quality = Annotated[int, Field(ge=1, le=100)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Network = Annotated[AnySettings, BeforeValidator(validate_settings)]
"""The settings of any registered network that learns."""


class DataConfig(_Section):
    """The scenes, where their RGB comes from, and what is cut from them."""

    folder: Path | None = None
    """Of the scenes, in one of the layouts that the guide to training lists."""
    validation: tuple[str, ...] = ()
    """Scenes (file or folder names without suffix) held back if the folder does not define a split."""
    quantity: Literal["reflectance", "radiance"] | None = None
    """Quantity of the cubes, if their files do not state it."""
    rgb: Literal["simulated", "files"] = "simulated"
    """Simulated by the camera, separately for every patch, or the images of the folder as they are."""
    encoding: Literal["srgb", "linear"] = "srgb"
    """Of the images of the folder. Linear ones are taken as they are, as a model of the challenges takes them."""
    normalisation: Literal["white", "maximum"] = "white"
    """The images of the folder are divided by their white level, or each by its own maximum."""
    lights: tuple[str, ...] = ()
    """Names of CIE illuminants and lamps, such as D65, A or FL2, that reflectance is lit with, drawn evenly: the cubes
    become radiance, each scene divided by its own maximum under that light."""
    patch: int = Field(default=64, ge=16, multiple_of=JPEG_GRID)
    """Side of a training patch in pixels, a multiple of 16: patches lie on the JPEG grid."""
    stride: int = Field(default=JPEG_GRID, ge=16, multiple_of=JPEG_GRID)
    """Pixels between two possible places of a patch, a multiple of 16."""
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that prepare samples; 0 prepares them in the training process. Where not set, the device decides: none for the
    CPU, up to 4 for a GPU."""

    @field_validator("encoding", "normalisation")
    @classmethod
    def _belongs_to_files(cls, value: str, found: ValidationInfo) -> str:
        if found.data.get("rgb") == "simulated" and value not in ("srgb", "white"):
            raise ValueError("encoding and normalisation are those of images from files, but a camera makes them here")
        return value

    @field_validator("lights")
    @classmethod
    def _are_known(cls, lights: tuple[str, ...], found: ValidationInfo) -> tuple[str, ...]:
        if lights and found.data.get("rgb") == "files":
            raise ValueError("lights need a camera, but the images come from files")
        for light in lights:
            illuminant(light, WAVELENGTHS)
        return lights

    @property
    def card_encoding(self) -> Literal["linear", "as given"]:
        """What a model of the images of the folder takes, in the words of its card."""
        return "linear" if self.encoding == "srgb" else "as given"


class ReflectancesConfig(_Section):
    """Measured reflectances to learn from besides scenes of reflectance, composed to patchworks."""

    files: tuple[Path, ...] = ()
    """Spectral libraries: ENVI (.sli), CSV, or .npz with several collections."""
    share: float = Field(default=0.0, ge=0, le=0.9)
    """Share of samples that are patchworks, 0-0.9; 0 reads no files."""
    filtered: float = Field(default=0.5, ge=0, le=1)
    """Share of their materials that are seen through a random smooth filter, 0-1: spectra like the measured ones, but more of them."""
    left_out: tuple[str, ...] = ()
    """Collections that are not learned from, such as one to test on: those of an .npz by their names there, any other by the
    name of its file without suffix."""


class CameraConfig(_Section):
    """The camera that makes the RGB, and what of it varies from sample to sample."""

    name: str = "photo"
    """A named camera, or a CSV file of responses."""
    exposure: Range | None = None
    """Factor on RGB and cube alike, before clipping; drawn evenly in its logarithm. Where not set, 0.5-1.5. Automatic
    exposure would give the same RGB for cubes of different scale: there no range may be set, cubes keep their scale, and
    every patch has the exposure of its whole scene."""
    photo_electrons: Range = (1000, 50000)
    """At a linear signal of 1 after exposure, drawn evenly in the logarithm."""
    read_noise: float = Field(default=2.0, ge=0)
    """In photo-electrons."""
    jpeg_quality: Annotated[tuple[Quality, Quality], AfterValidator(_ascending)] = (60, 100)
    """Drawn evenly."""
    uncompressed: float = Field(default=0.1, ge=0, le=1)
    """Share of samples without JPEG, 0-1."""

    @field_validator("name")
    @classmethod
    def _is_found(cls, name: str) -> str:
        find_camera(name)
        return name

    @field_validator("exposure")
    @classmethod
    def _is_free(cls, exposure: tuple[float, float] | None, found: ValidationInfo) -> tuple[float, float] | None:
        if exposure is not None and "name" in found.data and not find_camera(found.data["name"]).keeps_scale:
            raise ValueError(f"camera {found.data['name']!r} sets its exposure automatically; leave it out")
        return exposure


class LearningConfig(_Section):
    """How it learns."""

    start_from: str | None = None
    """A shipped model or a file whose weights the run starts from; the network is then that model's."""
    steps: int = Field(default=15000, ge=1)
    """Optimiser steps of the whole run."""
    batch: int = Field(default=8, ge=1)
    """Patches a step, of all processes together; each takes an equal part."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Of Adam, after warming up linearly over `warmup_steps`; it then decays as ``(1 - step / steps) ** decay_power``. Where not
    set, it is the network's own."""
    warmup_steps: int = Field(default=500, ge=0)
    """Over which the learning rate rises from nothing."""
    decay_power: float = Field(default=1.5, ge=0)
    """How steeply the learning rate decays: 1 is a straight line to nothing, 0 no decay."""
    floor: float = Field(default=0.01, gt=0)
    """The loss is ``|truth - estimate| / max(truth, floor)``, averaged."""
    teachers: tuple[str, ...] = ()
    """Shipped models or files whose mean estimate the network learns from as well (distillation)."""
    teaching: float = Field(default=0.5, gt=0, le=1)
    """Share of the loss that compares with the mean of the teachers; the rest compares with the true cube."""
    beta2: float = Field(default=0.999, gt=0, lt=1)
    """Of Adam's second moment."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of Adam, decoupled from the gradient (Loshchilov and Hutter, ICLR 2019); times the learning rate."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Of the exponential moving average of the weights, which is what is validated and kept; 0 keeps the weights
    themselves."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient; where not set, it is taken as it is."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """"auto" takes bf16 where the device has it natively."""
    validate_every: int = Field(default=500, ge=1)
    """Steps between two validations; also between two checkpoints."""
    validation_floor: float = Field(default=0.01, gt=0)
    """Of the validation's MRAE."""


class CardConfig(_Section):
    """Facts for the model's card that only the user knows."""

    data: str = ""
    """Where the scenes are from and under which terms; their names are added."""
    limits: str = ""
    """What the model cannot do."""
    licence: str = ""
    """Of the weights."""


class TrainingConfig(_Section):
    """One run."""

    name: Annotated[str, AfterValidator(_nameable)] = "photo"
    """Name of the resulting model: letters, digits, blanks and ``_ . + -``."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Of the weights and of every sample."""
    device: str = "auto"
    """"auto" for the best there is, or a device such as cpu or cuda:0; of a run on several, the first."""
    devices: int = Field(default=1, ge=1)
    """Processes a node: so many GPUs, or processes on the CPU."""
    nodes: int = Field(default=1, ge=1)
    """Computers that share the run, as torchrun or SLURM starts it on each."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    """Lightning's strategy for several processes. "auto" takes what the network needs. Sharding strategies are not
    supported: the weights fit into every GPU, and models are written whole."""
    network: Network = Field(default_factory=lambda: validate_settings({}))
    """Which network, its sizes and options."""
    data: DataConfig = DataConfig()
    """Scenes and patches."""
    reflectances: ReflectancesConfig = ReflectancesConfig()
    """Measured reflectances besides the scenes."""
    camera: CameraConfig = CameraConfig()
    """How RGB is made."""
    learning: LearningConfig = LearningConfig()
    """How it learns."""
    card: CardConfig = CardConfig()
    """Facts for the card that only the user knows."""

    @property
    def architecture(self) -> Architecture:
        """What the network can do."""
        return find_architecture(self.network.architecture)

    @property
    def learning_rate(self) -> float:
        """That of Adam: as set, or else the network's own."""
        return self.learning.learning_rate or self.architecture.learning_rate

    @property
    def processes(self) -> int:
        """Number of processes of the run."""
        return self.devices * self.nodes

    @model_validator(mode="after")
    def _can_learn(self) -> TrainingConfig:
        architecture = self.architecture
        if not architecture.trainable:
            raise ValueError(f"network is a {architecture.title}, which does not learn by steps; choose another")
        if self.data.patch % architecture.multiple:
            raise ValueError(
                f"data.patch is {self.data.patch}, but {architecture.title} takes multiples of {architecture.multiple} pixels"
            )
        return self

    @model_validator(mode="after")
    def _can_mix_reflectances(self) -> TrainingConfig:
        if not self.reflectances.share:
            return self
        share = f"reflectances.share is {self.reflectances.share:g}, but"
        if not self.reflectances.files:
            raise ValueError(f"{share} reflectances.files names no spectral library")
        if self.data.rgb == "files":
            raise ValueError(f"{share} reflectances need a camera, and data.rgb is 'files'; choose 'simulated'")
        if self.data.quantity == "radiance":
            raise ValueError(f"{share} data.quantity is 'radiance'; reflectances go with scenes of reflectance only")
        return self

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
