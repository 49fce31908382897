"""Untrusted pickles: tensors and plain containers are read, anything else is rejected, and no code is executed."""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from napari_drcr.errors import InputError
from napari_drcr.system.archives import check_stored, open_archive
from napari_drcr.system.files import naming

# How torch's files begin: an archive, or in the old format a pickle of one long number.
_ZIP_START = b"PK\x03\x04"
_OLD_START = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_OLD_PICKLES = 5

# Pickles of checkpoints are far shorter, since their numbers stand apart: a parameter takes about 50 operations and 300 bytes.
LONGEST = 2**22
MOST_OPERATIONS = 2**18
MOST_AXES = 64
DEEPEST = 32

# What a pickle of nothing but tensors names.
_TENSOR_GLOBALS = re.compile(
    r"collections (OrderedDict|Counter)|torch\._utils _rebuild_\w+|torch(\.storage)? \w+Storage|torch\.nn\.parameter Parameter"
    r"|torch\.serialization _get_layout"
    r"|torch (bool|u?int\d+|b?float\d+\w*|complex\d+|device|Size)"
)
_DENSE = re.compile(r"_rebuild_(tensor(_v\d)?|parameter(_with_state)?)")

_CODE = (
    "it holds Python objects besides tensors, perhaps a whole network, and could run code, so it was not loaded; "
    "ask for the bare state_dict or a safetensors file."
)
_DAMAGED = "it is damaged or incomplete, or was not saved with torch.save's defaults; download or save it again."
_NEITHER = "it is neither a PyTorch checkpoint nor a safetensors file."
_TOO_LARGE = (
    "it holds more objects than a checkpoint needs, so it was not loaded; ask for the bare state_dict or a safetensors file."
)
_NOT_DENSE = "a tensor in it does not hold all of its values; save the parameters as dense tensors."


def load_plain(path: Path) -> Any:
    """Unpickle a file of torch's that holds nothing but tensors and plain containers.

    Parameters
    ----------
    path : Path
        A checkpoint; it may be untrusted.

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

    with naming(path):
        _examine(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # Malformed files can make torch raise anything.
            raise InputError(_DAMAGED) from error


def _examine(path: Path) -> None:
    """Refuse what torch should not see: it looks at names, but bounds neither time nor memory."""
    with path.open("rb") as file:
        start = file.read(LONGEST)
    outline = _Outline(path.stat().st_size)
    try:
        if start.startswith(_ZIP_START):
            for content in _archived_pickles(path):
                outline.follow(BytesIO(content))
        elif _OLD_START in start[:32]:
            stream = BytesIO(start)
            for _ in range(_OLD_PICKLES):
                outline.follow(stream)
        else:
            raise InputError(_CODE if _is_code(start) else _NEITHER)
    except InputError:
        raise
    except Exception as error:  # Malformed files can make zipfile and pickletools raise anything.
        raise InputError(_DAMAGED) from error


def _archived_pickles(path: Path) -> list[bytes]:
    with open_archive(path) as archive:
        members = [member for member in archive.infolist() if member.filename.lower().endswith(".pkl")]
        if not members:
            raise InputError(_NEITHER)
        check_stored(archive)
        if sum(member.file_size for member in members) > LONGEST:
            raise InputError(_TOO_LARGE)
        return [archive.read(member) for member in members]


def _is_code(content: bytes) -> bool:
    """Whether bytes that are no file of torch's are pickles, one after another, that could run code."""
    # Notes may begin with what reads like a pickle of the first protocol, but not with the mark of the later ones.
    marked = content.startswith(b"\x80")
    outline, stream = _Outline(len(content), is_torchs=False), BytesIO(content)
    for _ in range(_OLD_PICKLES):
        try:
            outline.follow(stream)
        except Exception:  # It ends, or is no pickle.
            return marked and outline.foreign
        if outline.foreign:
            return True
    return False


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass
class _Group:
    items: tuple[Any, ...] = ()
    """Of a tuple."""
    weight: int = 1
    """How many values are in it, those of groups in it included, each as often as it is there."""
    depth: int = 0
    """How deep tuples lie in one another in a tuple."""


@dataclass(frozen=True)
class _Storage:
    values: int


class _OrderedDict(_Group):
    pass


_MARK, _OTHER = object(), object()


class _Outline:
    """The objects that pickles would create, tracked without creating them.

    Tuples, lists and dictionaries that contain one another many times, which can take exponential time to hash or copy, count once per
    occurrence. In all pickles of a file together, storages and tensors may have as many values as the file has bytes.
    """

    def __init__(self, size: int, *, is_torchs: bool = True) -> None:
        self.foreign = False
        """Whether it names a global that tensors do not need."""
        self._size = size
        self._is_torchs = is_torchs
        self._operations = 0
        self._stored = 0
        self._held = 0
        self._storages: dict[str, _Storage] = {}

    def follow(self, stream: BytesIO) -> None:
        """Go through one pickle; InputError or any other error where it is refused, damaged, or not as torch writes it."""
        stack: list[Any] = []
        memo: dict[Any, Any] = {}
        argument: Any
        for opcode, argument, _ in pickletools.genops(stream):
            self._count(1)
            taken = _take(stack, opcode.stack_before)
            match opcode.name:
                case "PUT" | "BINPUT" | "LONG_BINPUT":
                    memo[argument] = _top(stack)
                    made = []
                case "MEMOIZE":
                    memo[len(memo)] = taken[0]
                    made = taken
                case "GET" | "BINGET" | "LONG_BINGET":
                    made = [memo[argument]]
                    self._count(_weight(made[0]))
                case "DUP":
                    made = [taken[0], taken[0]]
                    self._count(_weight(taken[0]))
                case "MARK":
                    made = [_MARK]
                case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
                    made = [_Group()]
                case "EMPTY_TUPLE" | "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                    depth = 1 + max((item.depth for item in taken if isinstance(item, _Group)), default=0)
                    if depth > DEEPEST:  # Python itself crashes where it hashes them.
                        raise InputError(_TOO_LARGE)
                    made = [_Group(tuple(taken), 1 + sum(map(_weight, taken)), depth)]
                case "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" | "ADDITEMS":
                    made = taken[:1]
                    if isinstance(taken[0], _Group):
                        taken[0].weight += sum(map(_weight, taken[1:]))
                case "GLOBAL":
                    made = [self._name(argument)]
                case "STACK_GLOBAL":
                    made = [self._name(" ".join(taken))]
                case "INST":
                    made = [self._object(self._name(argument))]
                case "EXT1" | "EXT2" | "EXT4":
                    made = [self._name("copyreg extension")]
                case "OBJ" | "NEWOBJ" | "NEWOBJ_EX" | "BUILD":
                    made = [self._object(taken[0])]
                case "REDUCE":
                    made = [self._call(*taken)]
                case "BINPERSID":
                    made = [self._storage(taken[0])]
                case _:
                    made = [argument if isinstance(argument, str | int) else _OTHER] * len(opcode.stack_after)
            stack += made

    def _count(self, operations: int) -> None:
        self._operations += operations
        if self._operations > MOST_OPERATIONS:
            raise InputError(_TOO_LARGE)

    def _name(self, name: str) -> _Global:
        if _TENSOR_GLOBALS.fullmatch(name) is None:
            self.foreign = True
            if self._is_torchs:
                raise InputError(_CODE)
        return _Global(name)

    def _object(self, changed: Any) -> Any:
        if self._is_torchs and not isinstance(changed, _OrderedDict):
            raise ValueError("an object that torch.save would not write")
        return changed

    def _storage(self, given: _Group) -> _Storage | None:
        if not self._is_torchs:
            return None
        word, kind, key, location, values, *_ = given.items
        if word != "storage" or not kind.name.endswith("Storage") or not (isinstance(key, str) and isinstance(location, str)):
            raise ValueError("a reference to something other than a storage")
        if key not in self._storages:
            self._storages[key] = _Storage(_natural(values))
            self._stored += values
        if values > self._storages[key].values or self._stored > self._size:
            raise ValueError("storages larger than the file")
        return self._storages[key]

    def _call(self, function: _Global, arguments: _Group) -> Any:
        if not self._is_torchs:
            return _Group()
        self._count(sum(map(_weight, arguments.items)))
        match function.name:
            case "collections OrderedDict":
                return _OrderedDict(weight=arguments.weight)
            case "collections Counter":
                return _Group(weight=arguments.weight)
            case "torch Size":
                return arguments.items[0]
            case "torch device":
                return _OTHER
        module, _, name = function.name.rpartition(" ")
        if module not in ("torch._utils", "torch.serialization"):
            raise ValueError("a call that torch.save would not write")
        if _DENSE.fullmatch(name) is None:
            raise InputError(_NOT_DENSE)
        if name.startswith("_rebuild_tensor"):
            self._tensor(*arguments.items[:4])
        return _OTHER

    def _tensor(self, storage: _Storage, offset: int, size: _Group, strides: _Group) -> None:
        shape = [_natural(length) for length in size.items]
        values = math.prod(shape[:MOST_AXES])
        reach = (
            sum((length - 1) * _natural(stride) for length, stride in zip(shape, strides.items, strict=True)) if values else -1
        )
        if values > storage.values:
            raise InputError(_NOT_DENSE)
        self._held += values
        if len(shape) > MOST_AXES or _natural(offset) + reach >= storage.values or self._held > self._size:
            raise ValueError("tensors larger than their storages")


def _take(stack: list[Any], before: list[pickletools.StackObject]) -> list[Any]:
    """What an operation takes from the stack, lowest first."""
    taken = []
    if pickletools.stackslice in before:
        while (item := stack.pop()) is not _MARK:
            taken.append(item)
        before = before[:-2]
    for _ in before:
        taken.append(_top(stack))
        stack.pop()
    return taken[::-1]


def _top(stack: list[Any]) -> Any:
    if stack[-1] is _MARK:
        raise ValueError("nothing on the stack")
    return stack[-1]


def _weight(value: Any) -> int:
    return value.weight if isinstance(value, _Group) else 1


def _natural(number: Any) -> int:
    if not (isinstance(number, int) and 0 <= number < 2**63):
        raise ValueError("not a size")
    return number
