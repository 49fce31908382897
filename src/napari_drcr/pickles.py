"""Pickles from strangers: tensors and plain containers are read, anything else is refused, and nothing is ever executed."""

from __future__ import annotations

import pickletools
import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from napari_drcr.errors import InputError
from napari_drcr.files import naming

# How torch's files begin: an archive, or in the old format a pickle of one long number.
_ZIP_START = b"PK\x03\x04"
_OLD_START = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_OLD_PICKLES = 5
_LONGEST = 2**26  # bytes that are looked at; pickles of checkpoints are far shorter, their numbers stand apart

# What a pickle of nothing but tensors names.
_TENSOR_GLOBALS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_\w+|torch(\.storage)? [A-Za-z]+Storage|torch\.nn\.parameter Parameter"
    r"|torch (bool|u?int\d+|b?float\d+\w*|complex\d+|device|Size)"
)


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
        If it holds anything else, which could run code, or is damaged, or no such file at all.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks about unusual pickles help nobody here
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # A stranger's bytes can make torch raise anything.
            with naming(path):
                raise InputError(_why_not(path)) from error


def _why_not(path: Path) -> str:
    with path.open("rb") as file:
        pickles = [file.read(_LONGEST)]
    from_torch = _OLD_START in pickles[0][:32]
    if pickles[0].startswith(_ZIP_START):
        from_torch = True
        try:
            with ZipFile(path) as archive:
                pickles = [archive.open(name).read(_LONGEST) for name in archive.namelist() if name.endswith(".pkl")]
                from_torch = bool(pickles)
        except Exception:  # A damaged archive can do the same to zipfile.
            pickles = []
    if any(map(_names_code, pickles)):
        return (
            "it holds Python objects besides tensors and could run code, so it was not loaded; "
            "ask for the bare state_dict or a safetensors file."
        )
    if from_torch:
        return "it is damaged or incomplete, or was not saved with torch.save's defaults; fetch it again."
    return "it is neither a PyTorch checkpoint nor a safetensors file."


def _names_code(content: bytes) -> bool:
    """Whether pickles, one after another, name anything that tensors do not. Nothing of them is executed."""
    stream = BytesIO(content)
    for _ in range(_OLD_PICKLES):
        foreign = False
        try:
            for name in _globals(stream):
                foreign |= _TENSOR_GLOBALS.fullmatch(name) is None
        except ValueError:
            # Notes may begin with what reads like a pickle of the first protocol, but not with the mark of the later ones.
            return foreign and content.startswith(b"\x80")
        if foreign:
            return True
    return False


def _globals(stream: BytesIO) -> Iterator[str]:
    """Yield "module name" for every global that the next pickle in the stream names; ValueError if it does not end."""
    pushed = ["", ""]
    memo: dict[Any, str] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument)
            case "STACK_GLOBAL":
                yield " ".join(pushed[-2:])
            case "EXT1" | "EXT2" | "EXT4":
                yield "copyreg extension"
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif opcode.name.endswith("PUT"):
            memo[argument] = pushed[-1]
        elif opcode.name.endswith("GET"):
            pushed.append(memo.get(argument, ""))
        elif opcode.name != "FRAME":
            pushed.append(argument if isinstance(argument, str) else "")
