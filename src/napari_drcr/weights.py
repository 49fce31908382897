"""Checkpoint files in and out, the shipped models and their cards.

Our own files are safetensors with the card as JSON in their header; the authors' are pickled dictionaries, of which only
tensors and plain containers are ever read. No code from a file runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_drcr.baselines import FEATURES, PixelMap
from napari_drcr.cube import WAVELENGTHS, Quantity
from napari_drcr.errors import InputError
from napari_drcr.files import atomic_path, first_bytes, naming

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.network import DRCRNet

DEFAULT_MODEL = "photo"
HEADER_KEY = "napari_drcr"


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
    released_npm : bool
        See `napari_drcr.network.DRCRNet`.
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
    """Names that `load_model` knows without a file, the default first."""
    folder = resources.files("napari_drcr") / "models"
    names = sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(".safetensors"))
    return sorted(names, key=lambda name: name != DEFAULT_MODEL)


def load_model(name_or_path: str | Path = DEFAULT_MODEL) -> Model:
    """Load a shipped model by name, or a checkpoint from a file.

    Parameters
    ----------
    name_or_path : str or Path
        One of `shipped_models()`, a ``.safetensors`` file of ours, or a checkpoint in the layout of the published DRCR Net
        (``.pth``; with or without the wrapping dictionary, with or without ``module.`` before every name). Channels,
        blocks, bands and reduction are found from the shapes.

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
    path = _resolve(name_or_path)
    stamp = path.stat()
    return _load(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=4)
def _load(path: Path, _modified: int, _size: int) -> Model:
    with naming(path):
        first_bytes(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if _is_safetensors(path):
        card, tensors = _read_safetensors(path)
        return Model(card, _build(path, card, tensors), path, sha256)
    state = rename_released(path, _read_pickle(path))
    network = _build_network(path, state, released_npm=True)
    card = Card(
        name=path.stem,
        wavelengths=_released_wavelengths(path, network.bands),
        encoding="as given",
        normalisation="maximum",
        released_npm=True,
    )
    return Model(card, network, path, sha256)


def _resolve(name_or_path: str | Path) -> Path:
    names = shipped_models()
    if str(name_or_path) in names:
        return Path(str(resources.files("napari_drcr") / "models" / f"{name_or_path}.safetensors"))
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.resolve()
    if path.is_dir():
        raise InputError(f"{path} is a folder; a model is a .safetensors or .pth file.")
    raise InputError(f"there is no model {str(name_or_path)!r}: neither a file nor one of {', '.join(names)}.")


def _released_wavelengths(path: Path, bands: int) -> tuple[float, ...]:
    if bands != len(WAVELENGTHS):
        raise InputError(
            f"{path.name} estimates {bands} bands and does not say at which nm; only 31 are known to be 400-700 nm."
        )
    return WAVELENGTHS


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(9)
    length = int.from_bytes(start[:8], "little")
    return path.suffix == ".safetensors" or (start[8:9] == b"{" and length < path.stat().st_size)


def _read_safetensors(path: Path) -> tuple[Card, dict[str, np.ndarray[Any, Any]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, TypeError, ValueError) as error:
        raise InputError(f"{path.name} is not a complete safetensors file ({error}); fetch it again.") from error
    if header is None:
        raise InputError(
            f"{path.name} is a safetensors file without the header {HEADER_KEY!r}: it was not written by napari-drcr."
        )
    try:
        return Card.model_validate_json(header), tensors
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "its card"
        raise InputError(f"{path.name} has a card that cannot be read: {place}: {first['msg']}.") from error


# What torch says when a pickle names anything that is not a tensor or a plain container.
_PICKLE_WANTS_CODE = re.compile(r"\b(global|reduce|function|class)\b", re.IGNORECASE)


def load_plain(path: Path) -> Any:
    """Unpickle a file of torch's that holds nothing but tensors and plain containers.

    Parameters
    ----------
    path : Path
        A checkpoint, ours or a stranger's.

    Returns
    -------
    object
        On the CPU.

    Raises
    ------
    InputError
        If it holds anything else, which could run code, or is damaged.
    """
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks about unusual pickles help nobody here
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _PICKLE_WANTS_CODE.search(str(error)):
            raise InputError(
                f"{path.name} holds Python objects besides tensors and could run code, so it was not loaded; "
                "ask for the bare state_dict or a safetensors file."
            ) from None
        raise InputError(f"{path.name} is neither a PyTorch checkpoint nor a safetensors file.") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError, IndexError, TypeError) as error:
        raise InputError(
            f"{path.name} is damaged or incomplete and cannot be read as a PyTorch checkpoint; fetch it again."
        ) from error
    return content


def _read_pickle(path: Path) -> dict[str, Tensor]:
    import torch

    content = load_plain(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(value, torch.Tensor) for value in content.values())
    ):
        found = (
            f"a dictionary of {', '.join(map(str, list(content)[:4]))}"
            if isinstance(content, Mapping)
            else type(content).__name__
        )
        raise InputError(f"{path.name} holds {found or 'nothing'}, not the parameters of a DRCR Net.")
    return {str(name).removeprefix("module."): value for name, value in content.items()}


_RELEASED_MODULES = {
    "input_conv2D.conv2d": "shallow.0",
    "input_prelu2D": "shallow.1",
    "head_conv2D.conv2d": "shallow.2",
    "denosing.conv0_33": "purification.full_level.wide",
    "denosing.conv0_11": "purification.full_level.point",
    "denosing.conv_0_cat": "purification.full_level.mix",
    "denosing.conv2_33": "purification.half_level.wide",
    "denosing.conv2_11": "purification.half_level.point",
    "denosing.conv_2_cat": "purification.half_level.mix",
    "denosing.conv4_33": "purification.quarter_level.wide",
    "denosing.conv4_11": "purification.quarter_level.point",
    "denosing.conv_4_cat": "purification.quarter_level.mix",
    "denosing.conv_cat": "purification.fuse",
    "tail_conv2D.conv2d": "tail.0",
    "output_prelu2D": "tail.1",
    "output_conv2D.conv2d": "tail.2",
}
_RELEASED_BLOCK_MODULES = {f"conv{n}.conv2d": f"conv{n}" for n in range(1, 7)} | {
    f"se{gate}.fc.{layer}": f"gate{gate}.{name}" for gate in (1, 2) for layer, name in ((0, "down"), (2, "between"), (4, "up"))
}


def rename_released(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters in the published layout under the names of `DRCRNet`.

    Parameters
    ----------
    path : Path
        Named in errors.
    state : mapping of str to Tensor
        Names as published, without ``module.``.

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    InputError
        If some names are not of that layout.
    """
    renamed, surplus = {}, []
    for name, value in state.items():
        module, _, parameter = name.rpartition(".")
        if module.startswith("backbone."):
            _, number, rest = module.split(".", 2) if module.count(".") >= 2 else ("", "", "")
            ours = f"blocks.{number}.{_RELEASED_BLOCK_MODULES[rest]}" if rest in _RELEASED_BLOCK_MODULES else None
        else:
            ours = _RELEASED_MODULES.get(module)
        if ours is None:
            surplus.append(name)
        else:
            renamed[f"{ours}.{parameter}"] = value
    if not renamed:
        raise InputError(
            f"{path.name} holds another network: {_some(surplus)}; a DRCR Net has input_conv2D, denosing, backbone, tail_conv2D."
        )
    if surplus:
        raise InputError(f"{path.name} has parameters that DRCR Net does not: {_some(surplus)}.")
    return renamed


def _build(path: Path, card: Card, tensors: dict[str, np.ndarray[Any, Any]]) -> DRCRNet | PixelMap:
    if card.architecture == "drcr":
        import torch

        state = {name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items()}
        network = _build_network(path, state, released_npm=card.released_npm)
        if network.bands != len(card.wavelengths):
            raise InputError(
                f"{path.name} has {network.bands} bands but names {len(card.wavelengths)} wavelengths on its card."
            )
        return network
    expected = (len(FEATURES[card.architecture](np.zeros((1, 3), np.float32))[0]), len(card.wavelengths))
    matrix = tensors.get("matrix")
    if matrix is None or matrix.shape != expected:
        found = "none" if matrix is None else "x".join(map(str, matrix.shape))
        raise InputError(
            f"{path.name}: the {card.architecture} map needs a matrix of {expected[0]}x{expected[1]}, found {found}."
        )
    return PixelMap(card.architecture, matrix.astype(np.float32))


def _build_network(path: Path, state: dict[str, Tensor], *, released_npm: bool) -> DRCRNet:
    import torch

    from napari_drcr.network import DRCRNet

    first, last = state.get("shallow.0.weight"), state.get("tail.2.weight")
    if first is None or last is None or first.ndim != 4 or last.ndim != 4:
        raise InputError(f"{path.name} lacks the first or the last convolution of a DRCR Net; it has {_some(list(state))}.")
    channels, bands = first.shape[0], last.shape[0]
    numbers = {int(name.split(".")[1]) for name in state if name.startswith("blocks.") and name.split(".")[1].isdigit()}
    gate = next((value for name, value in state.items() if name.endswith("gate1.down.weight")), None)
    hidden = 0 if gate is None else gate.shape[0]
    with torch.device("meta"):
        network = DRCRNet(
            bands=bands,
            channels=channels,
            blocks=max(numbers, default=0) + 1,
            reduction=channels // hidden if hidden else 1,
            purification=any(name.startswith("purification.") for name in state),
            recalibration=gate is not None,
            released_npm=released_npm,
        )
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if missing := [name for name in expected if name not in state]:
        raise InputError(f"{path.name} lacks {len(missing)} of the {len(expected)} parameters of a DRCR Net: {_some(missing)}.")
    if surplus := [name for name in state if name not in expected]:
        raise InputError(f"{path.name} has parameters that DRCR Net does not: {_some(surplus)}.")
    for name, shape in expected.items():
        if tuple(state[name].shape) != shape:
            raise InputError(
                f"{path.name}: {name} has shape {tuple(state[name].shape)}, expected {shape} for {channels} channels."
            )
    network.load_state_dict({name: value.to(torch.float32) for name, value in state.items()}, assign=True)
    return network.requires_grad_(False).eval()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


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
        If the name has another suffix.
    """
    from safetensors.numpy import save

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"a model is written as .safetensors, not {path.suffix or 'without a suffix'} ({path.name}).")
    if isinstance(model.estimator, PixelMap):
        tensors = {"matrix": model.estimator.matrix}
    else:
        kind = np.float16 if half else np.float32
        tensors = {
            name: np.ascontiguousarray(value.cpu().numpy().astype(kind)) for name, value in model.estimator.state_dict().items()
        }
    header = json.dumps(model.card.model_dump(mode="json"))
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={HEADER_KEY: header}))
