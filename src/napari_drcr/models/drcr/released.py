"""Checkpoints in the published layout: names translated, the network built from their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari_drcr.errors import InputError
from napari_drcr.system.pickles import load_plain

if TYPE_CHECKING:
    from torch import Tensor

    from napari_drcr.models.drcr.network import DRCRNet


def read_released(path: Path) -> dict[str, Tensor]:
    """Parameters of a checkpoint in the published layout.

    Parameters
    ----------
    path : Path
        Written by torch.save; the parameters alone or under ``state_dict``, with or without ``module.`` before every name.

    Returns
    -------
    dict of str to Tensor
        Under the names of `DRCRNet`, whatever their number and shapes.

    Raises
    ------
    InputError
        If the file cannot be read (see `load_plain`), or holds something else.
    """
    import torch

    content = load_plain(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise InputError(f"{path.name} holds {type(content).__name__}, not the parameters of a DRCR Net.")
    if not content:
        raise InputError(f"{path.name} holds an empty dictionary, not the parameters of a DRCR Net.")
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()):
        found = [name if isinstance(name, str) else type(name).__name__ for name in content]
        raise InputError(f"{path.name} holds a dictionary of {_some(found)}, not the parameters of a DRCR Net.")
    state = {name.removeprefix("module."): value for name, value in content.items()}
    if len(state) < len(content):
        raise InputError(f"{path.name} has some parameters twice, with and without 'module.' before their name.")
    return rename_released(path, state)


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


def build_network(path: Path, state: Mapping[str, Tensor], *, released_npm: bool) -> DRCRNet:
    """Make the network that parameters belong to; all its sizes follow from their names and shapes.

    Parameters
    ----------
    path : Path
        Named in errors.
    state : mapping of str to Tensor
        Under the names of `DRCRNet`.
    released_npm : bool
        See `DRCRNet`.

    Returns
    -------
    DRCRNet
        Float32, on the CPU, in evaluation mode.

    Raises
    ------
    InputError
        If a parameter is missing, surplus, of another shape, not of real numbers or not finite.
    """
    import torch

    from napari_drcr.models.drcr.network import DRCRNet

    for name, value in state.items():
        _check_values(path, name, value)
    first, last = state.get("shallow.0.weight"), state.get("tail.2.weight")
    if first is None or last is None or first.shape[1:] != (3, 3, 3) or last.ndim != 4:
        raise InputError(f"{path.name} lacks the first or the last convolution of a DRCR Net; it has {_some(list(state))}.")
    channels, bands = first.shape[0], last.shape[0]
    numbers = list(dict.fromkeys(name.split(".")[1] for name in state if name.startswith("blocks.")))
    if set(numbers) != {str(number) for number in range(len(numbers))}:
        raise InputError(f"{path.name} has {len(numbers)} blocks, numbered {_some(numbers)}; they must count up from 0.")
    gate = next((value for name, value in state.items() if name.endswith("gate1.down.weight")), None)
    hidden = 0 if gate is None or gate.ndim != 2 else gate.shape[0]
    try:
        with torch.device("meta"):
            network = DRCRNet(
                bands=bands,
                channels=channels,
                blocks=len(numbers),
                reduction=channels // hidden if hidden else 1,
                purification=any(name.startswith("purification.") for name in state),
                recalibration=gate is not None,
                released_npm=released_npm,
            )
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path.name} has no usable sizes: {error}") from error
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
    values = {name: value.detach().to(torch.float32) for name, value in state.items()}
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path.name}: {name} holds values that are not finite; take another checkpoint.")
    network.load_state_dict(values, assign=True)
    return network.requires_grad_(False).eval()


def _check_values(path: Path, name: str, value: Tensor) -> None:
    import torch

    if value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        kind = str(value.dtype).removeprefix("torch.")
        raise InputError(f"{path.name}: {name} holds values of the kind {kind}, not floating-point numbers.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
