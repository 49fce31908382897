"""Models in and out, the shipped ones, and their cards.

Our own files are safetensors with the card as JSON in their header; architectures know the layouts of others. No code from a file runs.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_drcr.cubes.cube import WAVELENGTHS, Quantity
from napari_drcr.errors import InputError, shown
from napari_drcr.models.architecture import (
    Architecture,
    Encoding,
    NetworkSettings,
    Normalisation,
    architectures,
    find_architecture,
)
from napari_drcr.models.familiarity import PREFIX, Familiarity, read_familiarity
from napari_drcr.models.parameters import read_checkpoint, some
from napari_drcr.system.files import atomic_path, first_bytes, naming

DEFAULT_MODEL = "photo"
HEADER_KEY = "napari_drcr"
FLOATING = ("F16", "F32", "F64")  # as safetensors calls them


class Card(BaseModel):
    """What a model is, takes and gives, and how far to trust it.

    Attributes
    ----------
    name : str
        The name that results carry.
    architecture : str
        Which network it is: the id of a registered `Architecture`.
    settings : dict of str to object
        Sizes and options of the network; of a file written before cards had them, what was known then.
    wavelengths : tuple of float
        Band centres of its cubes in nm.
    encoding : {"linear", "as given"}
        Linear sRGB, or the values of the image untouched.
    normalisation : {"white", "maximum", "range", "bytes"}
        White is 1, the image's own maximum is 1, its minimum is 0 and its maximum is 1, or white is 255.
    quantity : {"reflectance", "radiance", "unknown"}
        What its cubes hold.
    camera : str
        Name of the camera whose images it learned from; empty where it is not known.
    data, split, recipe, limits, licence : str
        What it learned from and under which terms, what was held back, how it was trained, what it cannot do.
    scores : dict of str to float
        Figures on the held-back scenes, each named with its condition and floor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: str = "drcr"
    settings: dict[str, Any] = Field(default_factory=dict)
    wavelengths: tuple[float, ...] = WAVELENGTHS
    encoding: Encoding = "linear"
    normalisation: Normalisation = "white"
    quantity: Quantity = "unknown"
    camera: str = ""
    data: str = ""
    split: str = ""
    recipe: str = ""
    limits: str = ""
    licence: str = ""
    scores: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _as_written_before(cls, content: Any) -> Any:
        """Cards from before networks had settings."""
        if isinstance(content, dict) and "settings" not in content:
            content = dict(content)
            if content.get("architecture") in ("linear", "polynomial"):
                content["settings"] = {"kind": content["architecture"]}
                content["architecture"] = "pixel_map"
                content.pop("released_npm", None)
            elif "released_npm" in content:
                content["settings"] = {"released_npm": content.pop("released_npm")}
        return content


@dataclass(frozen=True)
class Model:
    """Something that turns RGB into a cube, with its card.

    Parameters
    ----------
    card : Card
        What it takes and gives.
    estimator : torch.nn.Module or PixelMap
        The network, in evaluation mode and float32 on the CPU, or the per-pixel map.
    path : Path or None
        The file it came from.
    sha256 : str
        Of that file; empty when there is none.
    familiarity : Familiarity or None
        What it learned from, in colours and textures, where that is known.
    """

    card: Card
    estimator: Any
    path: Path | None = None
    sha256: str = field(default="")
    familiarity: Familiarity | None = None

    @property
    def name(self) -> str:
        """Name on the card."""
        return self.card.name

    @property
    def wavelengths(self) -> tuple[float, ...]:
        """Band centres of its cubes, in nm."""
        return self.card.wavelengths

    @property
    def encoding(self) -> str:
        """See `Card`."""
        return self.card.encoding

    @property
    def normalisation(self) -> str:
        """See `Card`."""
        return self.card.normalisation

    @property
    def architecture(self) -> Architecture:
        """What its kind of network can do."""
        return find_architecture(self.card.architecture)

    @cached_property
    def settings(self) -> NetworkSettings:
        """Sizes and options of the network."""
        architecture = self.architecture
        return architecture.infer(self.path or Path(self.name), self.card.settings, architecture.parameters(self.estimator))

    @property
    def bands(self) -> int:
        """Bands of its cubes."""
        return len(self.card.wavelengths)

    @property
    def channels(self) -> int | None:
        """Feature channels of the network; None where it has no such setting."""
        return getattr(self.settings, "channels", None)

    @property
    def blocks(self) -> int | None:
        """Blocks of the network; None where it has no such setting."""
        return getattr(self.settings, "blocks", None)

    @property
    def reduction(self) -> int | None:
        """Reduction of the network's gates; None where it has no such setting."""
        return getattr(self.settings, "reduction", None)

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        return self.architecture.count(self.estimator)


def shipped_models() -> list[str]:
    """The models that come with the package.

    Returns
    -------
    list of str
        Names that `load_model` knows without a file, the default first.
    """
    folder = resources.files("napari_drcr.models") / "shipped"
    names = sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".safetensors"))
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def read_card(name_or_path: str | Path) -> Card:
    """The card of a model, without its parameters; torch is not needed.

    Parameters
    ----------
    name_or_path : str or Path
        A shipped model or a ``.safetensors`` file of ours.

    Returns
    -------
    Card

    Raises
    ------
    InputError
        If there is no such model, or the file has no card.
    """
    return _read_own(_resolve(name_or_path))[0]


def load_model(name_or_path: str | Path | Model = DEFAULT_MODEL) -> Model:
    """Load a shipped model by name, or a checkpoint from a file.

    Parameters
    ----------
    name_or_path : str, Path or Model
        One of `shipped_models()`, a ``.safetensors`` file of ours, or a checkpoint in a layout that a registered network knows: one of
        torch's (``.pth``; with or without the wrapping dictionary, with or without ``module.`` before every name) or of Keras 2
        (``.h5``). Its sizes are found from the shapes. A model that is loaded already comes back as it is.

    Returns
    -------
    Model
        Checkpoints of others say nothing about their input: they get their authors' convention, such as the image's
        values as given, divided by their own maximum.

    Raises
    ------
    InputError
        If there is no such model, or the file is not one; the sentence names what was found and what was expected.
    """
    if isinstance(name_or_path, Model):
        return name_or_path
    path = _resolve(name_or_path)
    with naming(path):
        stamp = path.stat()
    return _load(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, _modified: int, _size: int) -> Model:
    with naming(path):
        start = first_bytes(path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if start[8:9] == b"{" and (path.suffix == ".safetensors" or int.from_bytes(start[:8], "little") < path.stat().st_size):
        card, state = _read_safetensors(path)
        return _build(path, card, state, sha256)
    return _load_foreign(path, start, sha256)


def _resolve(name_or_path: str | Path) -> Path:
    names = shipped_models()
    if str(name_or_path) in names:
        return Path(str(resources.files("napari_drcr.models") / "shipped" / f"{name_or_path}.safetensors"))
    with suppress(OSError, RuntimeError, TypeError):  # a name too long, the home of nobody, nothing that names a file
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path.resolve()
        if path.is_dir():
            raise InputError(f"{path} is a folder; a model is a .safetensors or .pth file.")
    raise InputError(f"there is no model {shown(str(name_or_path))}: neither a file nor one of {', '.join(names)}.")


def _read_safetensors(path: Path) -> tuple[Card, dict[str, np.ndarray[Any, Any]]]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a mapping)
            tensors = {name: file.get_tensor(name) for name, kind in kinds.items() if kind in FLOATING}
    except Exception as error:  # A stranger's bytes can make it raise anything.
        raise InputError(f"{path.name} is not a complete safetensors file ({error}); download it again.") from error
    if header is None:
        raise InputError(
            f"{path.name} is a safetensors file without the header {HEADER_KEY!r}: it was not written by napari-drcr."
        )
    for name, kind in kinds.items():
        if kind not in FLOATING:
            raise InputError(f"{path.name}: {name} holds values of the kind {kind}, expected {', '.join(FLOATING)}.")
    try:
        return Card.model_validate_json(header), tensors
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its card"
        raise InputError(f"{path.name} has a card that cannot be read: {place}: {first['msg']}.") from error


def _load_foreign(path: Path, start: bytes, sha256: str) -> Model:
    from napari_drcr.models.keras import SIGNATURE, read_keras

    state, beside = read_keras(path) if start.startswith(SIGNATURE) else read_checkpoint(path)
    layouts = [(architecture, layout) for architecture in architectures() for layout in architecture.foreign]
    for architecture, layout in layouts:
        if layout.recognises(state, beside):
            used = {name: value for name, value in state.items() if not any(re.fullmatch(each, name) for each in layout.unused)}
            card = Card(
                name=path.stem,
                architecture=architecture.id,
                settings=dict(layout.hints),
                encoding=layout.encoding,
                normalisation=layout.normalisation,
                recipe=f"A checkpoint in the layout of {layout.source}.",
            )
            return _build(path, card, architecture.rename(path, used), sha256)
    known = "; ".join(dict.fromkeys(f"{architecture.title} has {some(list(layout.marks))}" for architecture, layout in layouts))
    raise InputError(f"{path.name} holds another network: {some(list(state))}; {known}.")


def _build(path: Path, card: Card, state: dict[str, Any], sha256: str = "") -> Model:
    """The model that a card and tensors make."""
    familiarity = read_familiarity(state, path.name)
    state = {name: value for name, value in state.items() if not name.startswith(PREFIX)}
    architecture = find_architecture(card.architecture)
    settings = architecture.infer(path, card.settings, state)
    card = card.model_copy(update={"settings": settings.model_dump(exclude={"architecture"})})
    return Model(card, architecture.load(path, settings, len(card.wavelengths), state), path, sha256, familiarity)


def save_model(path: str | Path, model: Model, *, half: bool = True) -> None:
    """Write a model as safetensors, its card in the header.

    Parameters
    ----------
    path : str or Path
        Ends in ``.safetensors``; replaced at once or not at all.
    model : Model
        What to write.
    half : bool
        Networks in half precision (2 bytes a parameter). Per-pixel maps are always written in float32.

    Raises
    ------
    InputError
        If the name has another suffix, or a value is not finite.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"a model is written as .safetensors, not {path.suffix or 'without a suffix'} ({path.name}).")
    half = half and not model.architecture.per_pixel
    values = model.architecture.parameters(model.estimator)
    with np.errstate(over="ignore"):
        tensors = {name: np.ascontiguousarray(value, np.float16 if half else np.float32) for name, value in values.items()}
    if spoilt := [name for name, value in tensors.items() if not np.isfinite(value).all()]:
        raise InputError(
            f"{path.name} is not written: {spoilt[0]} holds values that are not finite{' in half precision' * half}."
        )
    if model.familiarity is not None:
        tensors |= model.familiarity.tensors()
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=_header(model.card)))


def rewrite_card(path: str | Path, card: Card) -> None:
    """Give a file of ours another card; what it learned stays as it is, to the bit.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file with a card; replaced at once or not at all.
    card : Card
        The new one, of the same architecture and bands.

    Raises
    ------
    InputError
        If the file is no such model, or the card does not fit it.
    """
    _, tensors = _read_own(path)
    _rewrite(Path(path), card, tensors)


def add_familiarity(path: str | Path, familiarity: Familiarity | None) -> None:
    """Give a file of ours statistics of what its model learned from, in place of those that it has; all else stays as it is.

    Parameters
    ----------
    path : str or Path
        A ``.safetensors`` file with a card; replaced at once or not at all.
    familiarity : Familiarity or None
        From `napari_drcr.models.familiarity.calibrate`; None takes those of the file away.

    Raises
    ------
    InputError
        If the file is no such model.
    """
    card, tensors = _read_own(path)
    kept = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    _rewrite(Path(path), card, kept | ({} if familiarity is None else familiarity.tensors()))


def _read_own(path: str | Path) -> tuple[Card, dict[str, np.ndarray[Any, Any]]]:
    path = Path(path)
    with naming(path):
        first_bytes(path)
    return _read_safetensors(path)


def _rewrite(path: Path, card: Card, tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    from safetensors.numpy import save

    _build(path, card, tensors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=_header(card)))


def _header(card: Card) -> dict[str, str]:
    return {HEADER_KEY: json.dumps(card.model_dump(mode="json"))}
