"""Parameters from files: checked one by one, then put into the network that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_drcr.errors import InputError
from napari_drcr.system.pickles import load_plain

if TYPE_CHECKING:
    from torch import Tensor, nn


WRAPPINGS = ("state_dict", "model_state_dict")
"""What checkpoints keep their parameters under."""


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Parameters of a checkpoint that torch.save wrote.

    Parameters
    ----------
    path : Path
        The parameters alone or under one of `WRAPPINGS`, with or without ``module.`` before every name.

    Returns
    -------
    state : dict of str to Tensor
        Without ``module.``.
    beside : list of str
        What else is in the file, such as "optimizer".

    Raises
    ------
    InputError
        If the file cannot be read (see `load_plain`), or holds something else.
    """
    import torch

    content = load_plain(path)
    beside: list[str] = []
    if isinstance(content, Mapping):
        for wrapping in WRAPPINGS:
            if isinstance(content.get(wrapping), Mapping):
                beside = [str(key) for key in content if key != wrapping]
                content = content[wrapping]
                break
    if not isinstance(content, Mapping):
        raise InputError(f"{path.name} holds {type(content).__name__}, not the parameters of a network.")
    if not content:
        raise InputError(f"{path.name} holds an empty dictionary, not the parameters of a network.")
    if not all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()):
        found = [name if isinstance(name, str) else type(name).__name__ for name in content]
        raise InputError(f"{path.name} holds a dictionary of {some(found)}, not the parameters of a network.")
    state = {name.removeprefix("module."): value for name, value in content.items()}
    if len(state) < len(content):
        raise InputError(f"{path.name} has some parameters twice, with and without 'module.' before their name.")
    return state, beside


def load_parameters(path: Path, title: str, build: Callable[[], nn.Module], state: Mapping[str, Any]) -> nn.Module:
    """Make a network with given parameters.

    Parameters
    ----------
    path : Path
        Named in errors.
    title : str
        What errors call the network.
    build : callable
        Makes it, with random weights, on torch's current default device.
    state : Mapping of str to Tensor or ndarray
        Its parameters.

    Returns
    -------
    torch.nn.Module
        Float32, on the CPU, in evaluation mode, without gradients.

    Raises
    ------
    InputError
        If a parameter is missing, surplus, of another shape, not of real numbers or not finite.
    """
    import torch

    given = {name: torch.as_tensor(value) for name, value in state.items()}
    check_stored(path, given)
    try:
        with torch.device("meta"):  # Sizes that make no sense are refused before they take memory.
            network = build()
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path.name} has no usable sizes: {error}") from error
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if missing := [name for name in expected if name not in given]:
        raise InputError(f"{path.name} lacks {len(missing)} of the {len(expected)} parameters of a {title}: {some(missing)}.")
    if surplus := [name for name in given if name not in expected]:
        raise InputError(f"{path.name} has parameters that {title} does not: {some(surplus)}.")
    for name, shape in expected.items():
        if tuple(given[name].shape) != shape:
            raise InputError(f"{path.name}: {name} has the shape {tuple(given[name].shape)}, expected {shape}.")
    values = {name: value.detach().to(torch.float32) for name, value in given.items()}
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path.name}: {name} holds values that are not finite; take another checkpoint.")
    network.load_state_dict(values, assign=True)
    if any(value.is_meta for value in (*network.parameters(), *network.buffers())):  # Some are not among the parameters.
        network = build()
        network.load_state_dict(values)
    return network.requires_grad_(False).eval()


def check_stored(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse parameters that are not plain floating-point numbers, all of them stored.

    Parameters
    ----------
    path : Path
        Named in errors.
    state : Mapping of str to Tensor
        Parameters by name.

    Raises
    ------
    InputError
        Naming the first that is something else.
    """
    import torch

    for name, value in state.items():
        if value.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
            kind = str(value.dtype).removeprefix("torch.")
            raise InputError(f"{path.name}: {name} holds values of the kind {kind}, not floating-point numbers.")
        # A few bytes can claim to be a tensor of any size, by having no values or by repeating one.
        stored = not value.is_nested and value.layout is torch.strided and not value.is_meta
        if not stored or value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise InputError(f"{path.name}: {name} does not hold all of its values; save the parameters as dense tensors.")


def some(names: list[str]) -> str:
    """The first names of a list, and how many more there are.

    Parameters
    ----------
    names : list of str

    Returns
    -------
    str
    """
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
