"""What every network tells about itself, and the registry of those there are.

Whatever works with networks (reconstruction, training, benchmark, forms, cards) asks an `Architecture` and never which one it is. To add
a network, subclass `Architecture` and `register` it. Cheap to import: torch is needed only once a network is built.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SerializeAsAny, ValidationError
from pydantic_core import PydanticCustomError

from napari_drcr.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor, nn

    from napari_drcr.models.execution import Execution

Encoding = Literal["linear", "as given"]
"""What a model takes: linear sRGB, or the values of the image untouched."""
Normalisation = Literal["white", "maximum", "range", "bytes"]
"""How an image is scaled: white is 1, its own maximum is 1, its minimum is 0 and its maximum is 1, or white is 255."""


class NetworkSettings(BaseModel):
    """The sizes and options of a network; every architecture has a subclass of its own, in which ``architecture`` is a literal."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    architecture: str
    """Which network it is, by the id of its architecture."""

    @property
    def has_unused_parameters(self) -> bool:
        """Whether some parameters take no part in the estimate, which training on several devices must know."""
        return False

    def summary(self) -> str:
        """The sizes in a few words, for tables and reports."""
        given = self.model_dump(exclude={"architecture"})
        return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in given.items() if type(value) is int)


@dataclass(frozen=True)
class ForeignLayout:
    """Checkpoints of a network as somebody else publishes them.

    Attributes
    ----------
    source : str
        Whose they are, such as "the toolbox of the NTIRE 2022 winners".
    marks : tuple of str
        Beginnings of parameter names that no other network's checkpoints have.
    beside : str
        What lies beside the parameters in such files, where that alone tells them from those of another layout; else empty.
    shapes : Mapping of str to tuple of int
        Of some parameters, where that alone tells such files from those of another layout; else empty.
    encoding, normalisation : str
        How its authors feed the network; see `Card`.
    hints : Mapping of str to object
        Settings that names and shapes do not tell.
    unused : tuple of str
        Regular expressions of parameter names that the network does not use.
    """

    source: str
    marks: tuple[str, ...]
    beside: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    encoding: Encoding = "as given"
    normalisation: Normalisation = "maximum"
    hints: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()

    def recognises(self, state: Mapping[str, Any], beside: Iterable[str] = ()) -> bool:
        """Whether a checkpoint is in this layout.

        Parameters
        ----------
        state : Mapping of str to Tensor
            Its parameters, without ``module.`` before their names.
        beside : iterable of str
            What else is in the file.

        Returns
        -------
        bool
        """
        return (
            any(name.startswith(self.marks) for name in state)
            and (not self.beside or self.beside in beside)
            and all(name in state and tuple(state[name].shape) == shape for name, shape in self.shapes.items())
        )


class Architecture(ABC):
    """A kind of network: its facts, and how to build, load and run one.

    Attributes
    ----------
    id : str
        Names it in cards and configurations, so it never changes.
    title : str
        What users call it.
    paper : str
        Authors, title, venue and year.
    year : int
        Of the paper, or of the challenge it was entered in.
    rank : str
        Where it came in the challenges, such as "1st of NTIRE 2022"; empty where it was not entered.
    family : str
        What lists group it under.
    assumptions : tuple of str
        What no publication says and we chose, a sentence each; empty where it equals published code.
    learning_rate : float
        Of training, where a configuration does not say: that of its authors, unless its small preset learns well with another.
    settings : type of NetworkSettings
        Its sizes and options, with defaults.
    presets : Mapping of str to NetworkSettings
        ``published`` is the paper's, ``small`` (the settings' defaults) trains on a laptop.
    multiple : int
        What the sides of an image must be multiples of; others are padded by reflection.
    precisions : tuple of str
        Those shown to be safe, which "auto" chooses among. Others can still be asked for.
    per_pixel : bool
        Whether the spectrum of a pixel depends on that pixel alone.
    trainable : bool
        Whether it learns by gradient descent, so that training offers it.
    prepared : bool
        Whether `prepare` takes something from the training scenes.
    foreign : tuple of ForeignLayout
        Checkpoints of others that it can load; the first that recognises a file is taken.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    year: ClassVar[int] = 0
    rank: ClassVar[str] = ""
    family: ClassVar[str] = "others"
    assumptions: ClassVar[tuple[str, ...]] = ()
    learning_rate: ClassVar[float] = 4e-4
    settings: ClassVar[type[NetworkSettings]]
    presets: ClassVar[Mapping[str, NetworkSettings]] = {}
    multiple: ClassVar[int] = 1
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    per_pixel: ClassVar[bool] = False
    trainable: ClassVar[bool] = True
    prepared: ClassVar[bool] = False
    foreign: ClassVar[tuple[ForeignLayout, ...]] = ()

    @property
    def reference(self) -> str:
        """The paper without its title, such as "Li et al., CVPR Workshops 2022"."""
        authors = re.match(r".+? et al\.|[^:]+? and [^,:]+(?=,)|[^,]+", self.paper)
        venue = self.paper.rpartition(", ")[2]
        return f"{authors[0]}, {venue}" if authors and authors[0] != venue else self.paper

    @abstractmethod
    def build(self, settings: Any, bands: int) -> Any:
        """Make a network with random weights.

        Parameters
        ----------
        settings : NetworkSettings
            Of this architecture.
        bands : int
            Bands of its cubes.

        Returns
        -------
        torch.nn.Module
            Float32, on the current default device; takes (batch, 3, y, x), gives (batch, bands, y, x). An architecture that is
            not `trainable` may return something else that its other methods understand.
        """

    def prepare(self, network: Any, scenes: Iterable[tuple[Tensor, Tensor]]) -> None:  # noqa: B027 (most take nothing)
        """Give a new network what its authors take from the training scenes before it learns: a basis, a linear estimate.

        Called only where `prepared` is true, once, before the first step of a run that does not start from a model, and without
        gradients. Each process of a run on several calls it with the same scenes, so it must draw nothing at random.

        Parameters
        ----------
        network : torch.nn.Module
            Made by `build`, on the CPU; its parameters and buffers are changed in place, and none is added.
        scenes : iterable of (Tensor, Tensor)
            Of every training scene, and of charts of measured reflectances where these are learned from, the image as the network
            takes it (3, y, x) and its cube (bands, y, x), float32, their sides multiples of `multiple`. Each is read when its turn comes; a second loop reads them again.
        """

    def context(self, settings: Any) -> int | None:
        """How far around a pixel, in pixels, the network looks for its spectrum.

        Parameters
        ----------
        settings : NetworkSettings
            Of this architecture.

        Returns
        -------
        int or None
            With it pieces of an image give the whole image's answer; None to find it out from the layers of the network.
        """
        return None

    def execution(self, network: nn.Module, settings: Any, device: str, kind: torch.dtype) -> Execution:
        """How a network goes through an image.

        Parameters
        ----------
        network : torch.nn.Module
            In float32; stays what it is.
        settings : NetworkSettings
            Of the network.
        device : str
            torch's name of it.
        kind : torch.dtype
            To compute in.

        Returns
        -------
        Execution
            By default in pieces where that is possible, else the whole image at once: tiles where `context` is known; where it is
            not, as many passes as the layers of the network ask for.
        """
        from napari_drcr.models.execution import Tiles, WholeImage
        from napari_drcr.models.locality import NotLocal
        from napari_drcr.models.piecewise import PiecewisePasses

        context = self.context(settings)
        if context is not None:
            return Tiles(network, device, kind, context=context, multiple=self.multiple)
        try:
            return PiecewisePasses(network, device, kind, multiple=self.multiple)
        except NotLocal:
            return WholeImage(network, device, kind)

    def rename(self, path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Parameters of a `foreign` checkpoint under our names; by default the names are the same.

        Parameters
        ----------
        path : Path
            Named in errors.
        state : Mapping of str to Tensor
            Names as published, without ``module.``.

        Returns
        -------
        dict of str to Tensor

        Raises
        ------
        InputError
            If names are not of that layout.
        """
        return dict(state)

    def infer(self, path: Path, known: Mapping[str, Any], state: Mapping[str, Any]) -> NetworkSettings:
        """The settings of a network from what is known of them, and from names and shapes of its parameters.

        Parameters
        ----------
        path : Path
            Named in errors.
        known : Mapping of str to object
            Settings as a card has them, perhaps not all.
        state : Mapping of str to Tensor or ndarray
            Parameters under our names.

        Returns
        -------
        NetworkSettings

        Raises
        ------
        InputError
            If the settings are incomplete or wrong.
        """
        return read_settings({"architecture": self.id, **known}, source=path.name)

    def load(self, path: Path, settings: Any, bands: int, state: Mapping[str, Any]) -> Any:
        """Make a network with given parameters.

        Parameters
        ----------
        path : Path
            Named in errors.
        settings : NetworkSettings
            Of this architecture.
        bands : int
            Bands of its cubes.
        state : Mapping of str to Tensor or ndarray
            Parameters under our names.

        Returns
        -------
        torch.nn.Module
            Float32, on the CPU, in evaluation mode.

        Raises
        ------
        InputError
            If a parameter is missing, surplus, of another shape, not of real numbers or not finite.
        """
        from napari_drcr.models.parameters import load_parameters

        return load_parameters(path, self.title, lambda: self.build(settings, bands), state)

    def parameters(self, network: Any) -> dict[str, npt.NDArray[np.floating[Any]]]:
        """The parameters of a network as they go into a file.

        Parameters
        ----------
        network : torch.nn.Module
            Made by `build` or `load`.

        Returns
        -------
        dict of str to ndarray
        """
        return {name: value.cpu().numpy() for name, value in network.state_dict().items()}

    def count(self, network: Any) -> int:
        """How many numbers a network has learned.

        Parameters
        ----------
        network : torch.nn.Module
            Made by `build` or `load`.

        Returns
        -------
        int
        """
        return sum(parameter.numel() for parameter in network.parameters())


_registry: dict[str, Architecture] = {}


def register(architecture: Architecture) -> Architecture:
    """Make an architecture known to everything that works with networks.

    Parameters
    ----------
    architecture : Architecture
        With an `id` of its own.

    Returns
    -------
    Architecture
        The same.

    Raises
    ------
    ValueError
        If another architecture has that id.
    """
    if type(_registry.get(architecture.id, architecture)) is not type(architecture):
        raise ValueError(f"there is an architecture {architecture.id!r} already.")
    _registry[architecture.id] = architecture
    return architecture


def architectures() -> list[Architecture]:
    """All registered architectures.

    Returns
    -------
    list of Architecture
        In the order in which they were registered.
    """
    return list(_registry.values())


def trainable_families() -> dict[str, list[Architecture]]:
    """All registered architectures that learn, by family.

    Returns
    -------
    dict of str to list of Architecture
        Families and architectures in the order in which they were registered.
    """
    families: dict[str, list[Architecture]] = {}
    for architecture in _registry.values():
        if architecture.trainable:
            families.setdefault(architecture.family, []).append(architecture)
    return families


def find_architecture(id: str) -> Architecture:
    """A registered architecture.

    Parameters
    ----------
    id : str
        Its `Architecture.id`.

    Returns
    -------
    Architecture

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if id not in _registry:
        raise InputError(f"there is no network {id!r}; there is {', '.join(_registry)}.")
    return _registry[id]


def find_preset(text: str) -> NetworkSettings:
    """The settings that a network and one of its presets name.

    Parameters
    ----------
    text : str
        ``ID`` or ``ID:PRESET``, such as "edsr:published"; without a preset, the network's default settings.

    Returns
    -------
    NetworkSettings

    Raises
    ------
    InputError
        If there is no such network, or it has no such preset.
    """
    id, colon, preset = text.partition(":")
    architecture = find_architecture(id)
    if not colon:
        return architecture.settings.model_validate({"architecture": id})
    if preset not in architecture.presets:
        there = ", ".join(architecture.presets) or "none"
        raise InputError(f"{architecture.title} has no preset {preset!r}; there is {there}.")
    return architecture.presets[preset]


def read_settings(content: Mapping[str, Any] | NetworkSettings, *, source: str = "the settings") -> NetworkSettings:
    """Check the settings of a network.

    Parameters
    ----------
    content : Mapping of str to object, or NetworkSettings
        Settings by name; ``architecture`` names the network.
    source : str
        What errors call it.

    Returns
    -------
    NetworkSettings
        Of the subclass that belongs to the architecture.

    Raises
    ------
    InputError
        Naming the first setting that is wrong, its value and what it needs.
    """
    try:
        return validate_settings(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "network"
        raise InputError(f"{source}: {place} is {first['input']!r}: {first['msg']}.") from error
    except PydanticCustomError as error:
        raise InputError(f"{source}: {error.message()}.") from error


def validate_settings(content: Any) -> NetworkSettings:
    """Settings of the subclass that their ``architecture`` names, for pydantic: the union of all registered networks.

    Parameters
    ----------
    content : Mapping of str to object, or NetworkSettings
        Without ``architecture``, settings of the first registered network.

    Returns
    -------
    NetworkSettings

    Raises
    ------
    pydantic.ValidationError, pydantic_core.PydanticCustomError
        If they are wrong, or there is no such network.
    """
    if isinstance(content, NetworkSettings):
        return content
    if not isinstance(content, Mapping):
        raise PydanticCustomError("network", "needs the settings of a network")
    name = content.get("architecture", next(iter(_registry)))
    if name not in _registry:
        there = ", ".join(_registry)
        raise PydanticCustomError(
            "network", "there is no network {name}; there is {there}", {"name": repr(name), "there": there}
        )
    return _registry[name].settings.model_validate(dict(content))


AnySettings = SerializeAsAny[NetworkSettings]
"""Settings of any network, written with all fields of their subclass."""
