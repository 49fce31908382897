"""Where feature maps of an image are kept while a network works through it: in memory, or in a nameless file."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from math import prod
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from napari_drcr.errors import InputError
from napari_drcr.system.memory import free_memory

IN_MEMORY = 5 * 2**29
"""Bytes up to which a feature map may stay in memory: 2.5 GiB, as 12 megapixels need with 100 channels in half precision."""
SHARE = 1 / 3
"""And the share of the memory that is free now."""


class FeatureMap:
    """A feature map of a whole image.

    What is too large for the computer's memory goes to a nameless file in the system's cache folder. The system keeps as much of it
    in memory as it can spare, and takes that back when it must.

    Parameters
    ----------
    channels, height, width : int
        Of the map, without its border.
    like : Tensor
        Has the type and lies on the device that the map is to have.
    border : int
        Rows of zeros above and below, which is what convolutions see beyond an image.
    in_memory : int, optional
        Bytes above which the map of a CPU goes to a file; by default `memory_for_maps`.

    Attributes
    ----------
    size : int
        Bytes.
    rows : Tensor, shape (1, channels, height + 2 border, width)
        Channels-last, undefined but for the border.

    Raises
    ------
    InputError
        If a file is needed and the system's cache folder has no room for it or cannot be written to.
    """

    def __init__(
        self, channels: int, height: int, width: int, like: Tensor, *, border: int = 0, in_memory: int | None = None
    ) -> None:
        shape = (1, height + 2 * border, width, channels)
        self.size = size = like.element_size() * prod(shape)
        if in_memory is None:
            in_memory = memory_for_maps()
        self._file: mmap.mmap | None = None
        if like.device.type == "cpu" and size > in_memory:
            self._file = _nameless_file(size)
            rows = torch.frombuffer(self._file, dtype=like.dtype).view(shape)
        else:
            rows = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.rows = rows.permute(0, 3, 1, 2)
        if border:
            self.rows[:, :, :border] = self.rows[:, :, -border:] = 0

    @property
    def on_disk(self) -> bool:
        """Whether it is kept in a file."""
        return self._file is not None

    def release(self) -> None:
        """Tell the system that what is in memory of a file may leave it; loses nothing."""
        if self._file is not None and hasattr(self._file, "madvise"):
            self._file.madvise(mmap.MADV_DONTNEED)


def memory_for_maps() -> int:
    """Bytes that the feature maps of an image may take of the computer's memory: `IN_MEMORY`, or a third of what is free if that is less."""
    return min(IN_MEMORY, int(SHARE * (free_memory() or 0)))


def _nameless_file(size: int) -> mmap.mmap:
    folder = Path(platformdirs.user_cache_dir("napari-drcr"))
    needs = f"the image needs {size / 1e9:.1f} GB for intermediate results"
    advice = "make room there, or take a smaller image or a lower precision."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise InputError(f"{needs}, and {folder} has {free / 1e9:.1f} GB left; {advice}")
        with tempfile.TemporaryFile(dir=folder) as file:
            # Reserved at once: a disk that fills up under a mapped file would end the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise InputError(f"{needs}, which {folder} cannot hold: {error.strerror or error}; {advice}") from error
