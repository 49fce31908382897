"""MATLAB files of version 5: their variables, and the values of numbers and texts, every size checked before it is believed.

A file is a header and an element for each variable, deflated or not. An element is a tag (type and number of bytes) and its
data; that of a variable are further elements: flags, axes, name, values (The MathWorks, MAT-File Format). Structs, cells and
all else that is neither numbers nor text is passed over by its size.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

HEADER = 128
LONGEST_NAME = 4096
MOST_AXES = 32
MOST_INFLATED = 1032
"""Deflate makes at most so many bytes of one."""

_BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
"""By the end of the header: version, and two letters that lie as the numbers of the file do."""

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED, _UTF8 = 1, 5, 6, 14, 15, 16
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}

_OPAQUE = 17
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", _OPAQUE: "opaque"}
NUMERIC_CLASSES = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_CLASSES |= dict(enumerate(NUMERIC_CLASSES, start=6))
_LOGICAL, _COMPLEX = 0x200, 0x800

_PIECE = 2**16


@dataclass(frozen=True)
class Variable:
    """One variable of a file, its values not read yet."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """MATLAB's class, or "logical", "complex" or "empty"."""
    file: BinaryIO
    start: int
    """Where its element begins."""
    order: str
    """The byte order, as in numpy's types."""

    def load(self) -> npt.NDArray[Any] | str | None:
        """Read the values of numbers and texts.

        Returns
        -------
        ndarray, shape `shape`, or str or None
            Numbers in the type that they are stored in, a text row by row, None of all else.

        Raises
        ------
        ValueError, zlib.error
            If the file is damaged.
        """
        if self.kind not in (*NUMERIC_CLASSES, "char"):
            return None
        matrix = _Matrix(self.file, self.start, self.order)
        matrix.head()
        type_, size, padding = matrix.tag()
        if matrix.left not in (size, size + padding):
            raise ValueError(f"the values of '{self.name}' have {size} bytes, but {matrix.left} are left for them")
        stored = matrix.read(size)
        matrix.end()
        return self._text(type_, stored) if self.kind == "char" else self._numbers(type_, stored)

    def _numbers(self, type_: int, stored: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        dtype = np.dtype(self.order + _NUMBERS.get(type_, "V1"))
        if not _may_hold(dtype, self.kind) or math.prod(self.shape) * dtype.itemsize != stored.size:
            shape = " x ".join(map(str, self.shape))
            raise ValueError(f"'{self.name}', {shape} {self.kind}, has {stored.size} bytes of the type {type_}")
        return stored.view(dtype).reshape(self.shape, order="F")

    def _text(self, type_: int, stored: npt.NDArray[np.uint8]) -> str:
        if type_ not in _ENCODINGS:
            raise ValueError(f"the text '{self.name}' is of the type {type_}")
        encoding = _ENCODINGS[type_]
        if encoding != "utf-8":
            encoding += "-le" if self.order == "<" else "-be"
        # MATLAB counts characters as UTF-16 does.
        units = np.frombuffer(stored.tobytes().decode(encoding).encode("utf-16-le"), dtype="<u2")
        if units.size != math.prod(self.shape):
            raise ValueError(f"the text '{self.name}' should have {math.prod(self.shape)} characters, not {units.size}")
        return units.reshape(self.shape, order="F").tobytes().decode("utf-16-le")


def _may_hold(stored: np.dtype[Any], kind: str) -> bool:
    """Whether numbers of a class are stored so: as they are, or in a smaller type that loses nothing."""
    own = np.dtype({"double": "f8", "single": "f4"}.get(kind, kind))
    if stored.newbyteorder("=") == own:
        return True
    if own.kind == "f":
        return stored.kind in "iuf" and stored.itemsize <= 4
    return stored.kind in "iu" and stored.itemsize < own.itemsize


def variables(file: BinaryIO) -> Iterator[Variable]:
    """List what a file holds.

    Parameters
    ----------
    file : binary file
        Open as long as values are to be read.

    Yields
    ------
    Variable
        In the order of the file.

    Raises
    ------
    ValueError, zlib.error
        If the file is damaged, or of another version.
    """
    end = file.seek(0, 2)
    file.seek(0)
    order = _BYTE_ORDERS.get(file.read(HEADER)[-4:])
    if order is None:
        raise ValueError("its header names another version than 5, or no byte order")
    start = HEADER
    while start < end:
        matrix = _Matrix(file, start, order)
        if matrix.next > end:
            raise ValueError(f"the variable at byte {start} should end at {matrix.next}, but the file has {end} bytes")
        yield Variable(*matrix.head(), file, start, order)
        start = matrix.next


class _Matrix:
    """The data of a variable's element, read from its start on and never beyond its end."""

    def __init__(self, file: BinaryIO, start: int, order: str) -> None:
        self._source: BinaryIO | _Inflated = file
        self._order = order
        file.seek(start)
        self.left = 8
        type_, size = self._integers(2)
        self.next = start + 8 + size
        self.left = size
        if type_ == _COMPRESSED:
            self._source = _Inflated(file, size)
            self.left = 8
            type_, self.left = self._integers(2)
        if type_ != _MATRIX or self.left > MOST_INFLATED * size:
            raise ValueError(f"at byte {start} stands no variable, but type {type_} with {self.left} bytes in {size}")

    def head(self) -> tuple[str, tuple[int, ...], str]:
        """Name, shape and kind."""
        flags, _ = struct.unpack(f"{self._order}2I", self._part((_UINT32,), 8, 8))
        number = flags & 0xFF
        # Opaque objects have no axes.
        sizes = b"" if number == _OPAQUE else self._part((_INT32, _UINT32), 4, 4 * MOST_AXES)
        shape = struct.unpack(f"{self._order}{len(sizes) // 4}i", sizes)
        name = self._part((_INT8, _UTF8), 0, LONGEST_NAME).decode("latin-1") or "__function_workspace__"
        if min(shape, default=0) < 0:
            raise ValueError(f"'{name}' has {' x '.join(map(str, shape))} values")
        kind = "logical" if flags & _LOGICAL else _CLASSES.get(number, "unknown")
        if kind in NUMERIC_CLASSES and flags & _COMPLEX:
            kind = "complex"
        return name, shape, kind if math.prod(shape) else "empty"

    def tag(self) -> tuple[int, int, int]:
        """Type and size of the next element in this one, and how many bytes fill it up."""
        (type_,) = self._integers(1)
        if type_ >> 16:  # Up to four bytes stand in the tag itself.
            return type_ & 0xFFFF, type_ >> 16, 4 - (type_ >> 16)
        (size,) = self._integers(1)
        return type_, size, -size % 8

    def read(self, size: int) -> npt.NDArray[np.uint8]:
        """The next bytes, all of them."""
        if not 0 <= size <= self.left:
            raise ValueError(f"{size} bytes are promised where {self.left} are left")
        self.left -= size
        found = np.empty(size, np.uint8)
        view = found.data
        while view:
            count = self._source.readinto(view)  # type: ignore[union-attr]
            if not count:
                raise ValueError("it ends too early")
            view = view[count:]
        return found

    def end(self) -> None:
        """Make sure that what was inflated was right, and all there is."""
        if isinstance(self._source, _Inflated):
            self.read(self.left)
            self._source.end()

    def _part(self, types: tuple[int, ...], least: int, most: int) -> bytes:
        type_, size, padding = self.tag()
        if type_ not in types or not least <= size <= most or (least and size % least):
            raise ValueError(f"an element of the type {type_} has {size} bytes")
        part = self.read(size).tobytes()
        self.read(padding)
        return part

    def _integers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"{self._order}{count}I", self.read(4 * count).tobytes())


class _Inflated:
    """The inflated form of the next bytes of a file, no more of it at once than asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self._inflate = file, size, zlib.decompressobj()

    def readinto(self, view: memoryview) -> int:
        """Fill a part of what is asked for; 0 at the end."""
        found = b""
        while not (found or self._inflate.eof):
            stored = self._inflate.unconsumed_tail
            if not stored:
                stored = self._file.read(min(self._left, _PIECE))
                self._left -= len(stored)
            found = self._inflate.decompress(stored, len(view))
            if not stored:
                break
        view[: len(found)] = found
        return len(found)

    def end(self) -> None:
        """Check the sum at the end."""
        if self.readinto(memoryview(bytearray(1))) or not self._inflate.eof:
            raise ValueError("what is inflated does not end where it should")
