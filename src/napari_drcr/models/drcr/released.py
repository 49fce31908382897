"""Checkpoints in the layout of the published DRCR Net: names translated, sizes found from shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_drcr.errors import InputError
from napari_drcr.models.parameters import some

MODULES = {
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
"""Modules as published, and ours."""
BLOCK_MODULES = {f"conv{n}.conv2d": f"conv{n}" for n in range(1, 7)} | {
    f"se{gate}.fc.{layer}": f"gate{gate}.{name}" for gate in (1, 2) for layer, name in ((0, "down"), (2, "between"), (4, "up"))
}
"""Within a block ``backbone.<number>``."""


def rename_released(path: Path, state: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters in the published layout under the names of `DRCRNet`.

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
        If some names are not of that layout.
    """
    renamed, surplus = {}, []
    for name, value in state.items():
        module, _, parameter = name.rpartition(".")
        if module.startswith("backbone."):
            _, number, rest = module.split(".", 2) if module.count(".") >= 2 else ("", "", "")
            ours = f"blocks.{number}.{BLOCK_MODULES[rest]}" if rest in BLOCK_MODULES else None
        else:
            ours = MODULES.get(module)
        if ours is None:
            surplus.append(name)
        else:
            renamed[f"{ours}.{parameter}"] = value
    if surplus:
        raise InputError(f"{path.name} has parameters that DRCR Net does not: {some(surplus)}.")
    return renamed


def sizes_of(path: Path, state: Mapping[str, Any]) -> dict[str, Any]:
    """The sizes of a DRCR Net, from names and shapes of its parameters.

    Parameters
    ----------
    path : Path
        Named in errors.
    state : Mapping of str to Tensor or ndarray
        Under the names of `DRCRNet`.

    Returns
    -------
    dict of str to object
        ``channels``, ``blocks``, ``purification``, ``recalibration`` and, with that, ``reduction``.

    Raises
    ------
    InputError
        If the first or last convolution or a block is missing.
    """
    first, last = state.get("shallow.0.weight"), state.get("tail.2.weight")
    if first is None or last is None or tuple(first.shape[1:]) != (3, 3, 3) or last.ndim != 4:
        raise InputError(f"{path.name} lacks the first or the last convolution of a DRCR Net; it has {some(list(state))}.")
    numbers = list(dict.fromkeys(name.split(".")[1] for name in state if name.startswith("blocks.")))
    if set(numbers) != {str(number) for number in range(len(numbers))}:
        raise InputError(f"{path.name} has {len(numbers)} blocks, numbered {some(numbers)}; they must count up from 0.")
    gate = next((value for name, value in state.items() if name.endswith("gate1.down.weight")), None)
    hidden = 0 if gate is None or gate.ndim != 2 else gate.shape[0]
    channels = int(first.shape[0])
    return {
        "channels": channels,
        "blocks": len(numbers),
        **({"reduction": channels // hidden} if hidden else {}),
        "purification": any(name.startswith("purification.") for name in state),
        "recalibration": gate is not None,
    }
