"""Models in and out, the shipped ones, and their cards.

Our own files are safetensors with the card as JSON in their header; `napari_drcr.models.drcr.released` reads the authors'. No code from
a file runs.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_drcr.cubes.cube import WAVELENGTHS, Quantity
from napari_drcr.errors import InputError, shown
from napari_drcr.models.drcr.released import build_network, read_released
from napari_drcr.models.pixel_map import FEATURES, PixelMap
from napari_drcr.system.files import atomic_path, first_bytes, naming

if TYPE_CHECKING:
    from napari_drcr.models.drcr.network import DRCRNet

DEFAULT_MODEL = "photo"
HEADER_KEY = "napari_drcr"
FLOATING = ("F16", "F32", "F64")  # as safetensors calls them


class Card(BaseModel):
    """What a model is, takes and gives, and how far to trust it.

    Attributes
    ----------
    name : str
        The name that results carry.
    architecture : {"drcr", "linear", "polynomial"}
        DRCR Net, or one of the per-pixel maps.
    wavelengths : tuple of float
        Band centres of its cubes in nm.
    encoding : {"linear", "as given"}
        Linear sRGB, or the values of the image untouched.
    normalisation : {"white", "maximum"}
        The image is divided by its white level, or by its own maximum.
    quantity : {"reflectance", "radiance", "unknown"}
        What its cubes hold.
    camera : str
        Name of the camera whose images it learned from; empty where it is not known.
    released_npm : bool
        See `napari_drcr.models.drcr.network.DRCRNet`.
    data, split, recipe, limits, licence : str
        What it learned from and under which terms, what was held back, how it was trained, what it cannot do.
    scores : dict of str to float
        Figures on the held-back scenes, each named with its condition and floor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    architecture: Literal["drcr", "linear", "polynomial"] = "drcr"
    wavelengths: tuple[float, ...] = WAVELENGTHS
    encoding: Literal["linear", "as given"] = "linear"
    normalisation: Literal["white", "maximum"] = "white"
    quantity: Quantity = "unknown"
    camera: str = ""
    released_npm: bool = False
    data: str = ""
    split: str = ""
    recipe: str = ""
    limits: str = ""
    licence: str = ""
    scores: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """Something that turns RGB into a cube, with its card.

    Parameters
    ----------
    card : Card
        What it takes and gives.
    estimator : DRCRNet or PixelMap
        The network, in evaluation mode and float32 on the CPU, or the per-pixel map.
    path : Path or None
        The file it came from.
    sha256 : str
        Of that file; empty when there is none.
    """

    card: Card
    estimator: DRCRNet | PixelMap
    path: Path | None = None
    sha256: str = field(default="")

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
    def bands(self) -> int:
        """Bands of its cubes."""
        return self.estimator.bands

    @property
    def channels(self) -> int | None:
        """Feature channels of the network; None for a per-pixel map."""
        return None if isinstance(self.estimator, PixelMap) else self.estimator.channels

    @property
    def blocks(self) -> int | None:
        """Blocks of the network; None for a per-pixel map."""
        return None if isinstance(self.estimator, PixelMap) else len(self.estimator.blocks)

    @property
    def reduction(self) -> int | None:
        """Reduction of the network's gates; None for a per-pixel map."""
        return None if isinstance(self.estimator, PixelMap) else self.estimator.reduction

    @property
    def parameters(self) -> int:
        """How many numbers it learned."""
        if isinstance(self.estimator, PixelMap):
            return self.estimator.matrix.size
        return sum(parameter.numel() for parameter in self.estimator.parameters())


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


def load_model(name_or_path: str | Path | Model = DEFAULT_MODEL) -> Model:
    """Load a shipped model by name, or a checkpoint from a file.

    Parameters
    ----------
    name_or_path : str, Path or Model
        One of `shipped_models()`, a ``.safetensors`` file of ours, or a checkpoint in the layout of the published DRCR Net
        (``.pth``; with or without the wrapping dictionary, with or without ``module.`` before every name). Channels,
        blocks, bands and reduction are found from the shapes. A model that is loaded already comes back as it is.

    Returns
    -------
    Model
        Checkpoints in the published layout say nothing about their input: they get the authors' convention, the image's
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
        card, tensors = _read_safetensors(path)
        return Model(card, _build(path, card, tensors), path, sha256)
    network = build_network(path, read_released(path), released_npm=True)
    if network.bands != len(WAVELENGTHS):
        raise InputError(
            f"{path.name} estimates {network.bands} bands and does not say at which nm; only 31 are known to be 400-700 nm."
        )
    card = Card(name=path.stem, encoding="as given", normalisation="maximum", released_npm=True)
    return Model(card, network, path, sha256)


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
        raise InputError(f"{path.name} is not a complete safetensors file ({error}); fetch it again.") from error
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


def _build(path: Path, card: Card, tensors: dict[str, np.ndarray[Any, Any]]) -> DRCRNet | PixelMap:
    if card.architecture == "drcr":
        import torch

        state = {name: torch.from_numpy(value) for name, value in tensors.items()}
        network = build_network(path, state, released_npm=card.released_npm)
        if network.bands != len(card.wavelengths):
            raise InputError(
                f"{path.name} has {network.bands} bands but names {len(card.wavelengths)} wavelengths on its card."
            )
        return network
    expected = (len(FEATURES[card.architecture](np.zeros((1, 3), np.float32))[0]), len(card.wavelengths))
    matrix = tensors.get("matrix")
    if matrix is None or matrix.shape != expected:
        found = "none" if matrix is None else "x".join(map(str, matrix.shape)) or "a single number"
        raise InputError(
            f"{path.name}: the {card.architecture} map needs a matrix of {expected[0]}x{expected[1]}, found {found}."
        )
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float32)
    if not np.isfinite(matrix).all():
        raise InputError(f"{path.name}: matrix holds values that are not finite; take another checkpoint.")
    return PixelMap(card.architecture, matrix)


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
    if isinstance(model.estimator, PixelMap):
        tensors = {"matrix": model.estimator.matrix}
    else:
        values = {name: value.cpu().numpy() for name, value in model.estimator.state_dict().items()}
        with np.errstate(over="ignore"):
            tensors = {name: np.ascontiguousarray(value, np.float16 if half else np.float32) for name, value in values.items()}
    if spoilt := [name for name, value in tensors.items() if not np.isfinite(value).all()]:
        raise InputError(
            f"{path.name} is not written: {spoilt[0]} holds values that are not finite{' in half precision' * half}."
        )
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
    from safetensors.numpy import save

    path = Path(path)
    with naming(path):
        first_bytes(path)
    _, tensors = _read_safetensors(path)
    _build(path, card, tensors)
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=_header(card)))


def _header(card: Card) -> dict[str, str]:
    return {HEADER_KEY: json.dumps(card.model_dump(mode="json"))}
