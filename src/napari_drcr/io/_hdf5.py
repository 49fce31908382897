"""HDF5 files: checks for damage that hangs or crashes HDF5 itself, before it reads a file."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

from napari_drcr.io._reading import one_sentence

CHECKSUM = 4
"""How many bytes the checksum of a block has (Fletcher-32)."""

_HEAP = b"GCOL"


def check_hdf5(path: Path, attribute: str | None = None) -> None:
    """Reject a file that would hang or crash HDF5, before it is read.

    Global heaps hold texts and references of variable length: attributes, and the dimensions of netCDF variables. A free object of
    0 bytes there sends HDF5 into an endless loop. If a block of values is stored in fewer bytes than its checksum has, HDF5 reads
    beyond the end.

    Parameters
    ----------
    path : pathlib.Path
        An HDF5 file.
    attribute : str, optional
        The only attribute that will be read of what lies in the root group. Without it, all are looked at, and the texts along
        dimensions.

    Raises
    ------
    InputError
        If the file is damaged so, or HDF5 cannot open it.
    """
    with one_sentence(), path.open("rb", buffering=0) as raw:
        watched = _Watched(raw)
        with h5py.File(watched, "r") as file:
            watched.length = file.id.get_create_plist().get_sizes()[1]
            short = [name for name in file if _look_at(file, name, attribute)]
            if attribute is None:
                _read_attributes(file)
        if watched.damaged is not None:
            raise ValueError(f"the sizes in the heap at byte {watched.damaged} contradict each other")
        if short:
            raise ValueError(f"a block of {short[0]!r} is shorter than its checksum")


def _look_at(file: h5py.File, name: str, attribute: str | None) -> bool:
    """Read what lies in heaps; whether the values have a block that is too short."""
    # All other damage is for the readers to meet.
    with suppress(Exception):
        item = file[name]
        if attribute is not None:
            item.attrs.get(attribute)
        else:
            _read_attributes(item)
            if isinstance(item, h5py.Dataset) and item.ndim == 1 and "CLASS" in item.attrs and item.dtype.hasobject:
                item[...]
        if isinstance(item, h5py.Dataset) and item.fletcher32:
            sizes: list[int] = []
            item.id.chunk_iter(lambda block: sizes.append(block.size))
            return min(sizes, default=CHECKSUM) < CHECKSUM
    return False


def _read_attributes(item: Any) -> None:
    for name in item.attrs:
        with suppress(Exception):
            item.attrs[name]


class _Watched(io.RawIOBase):
    """A file as HDF5 reads it, piece by piece; each heap is one."""

    length = 8
    """How many bytes sizes have in this file."""
    damaged: int | None = None
    """Where a heap begins that must not be read."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        start = self._raw.tell()
        count = self._raw.readinto(buffer) or 0
        if memoryview(buffer)[: len(_HEAP)] == _HEAP:
            self._raw.seek(start)
            size = int.from_bytes(memoryview(buffer)[8 : 8 + self.length], "little")
            if not _has_end(self._raw.read(min(size, 2**32)), size, self.length):
                self.damaged = start
                raise OSError("a heap has no end")
        return count


def _has_end(heap: bytes, size: int, length: int) -> bool:
    """Whether the objects of a heap follow each other to its end."""
    head = _aligned(8 + length)
    place = head
    while place + head <= size:
        number = int.from_bytes(heap[place : place + 2], "little")
        held = int.from_bytes(heap[place + 8 : place + 8 + length], "little")
        # The size of what is free counts its own head.
        place += head + _aligned(held) if number else held
        if number == held == 0:
            return False
    return place <= size == len(heap)


def _aligned(size: int) -> int:
    return -(-size // 8) * 8
