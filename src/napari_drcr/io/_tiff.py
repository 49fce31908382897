"""What TIFF images and cubes share: a look at where their values lie, before they are read."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from napari_drcr.errors import InputError

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage

MOST_PAGES = 4096
LARGEST_RATIO = 1000
"""What is packed is hardly ever more times smaller than its values."""
ALWAYS_ALLOWED = 2**28  # bytes


def check_pages(file: TiffFile) -> None:
    """Refuse a TIFF whose pages are too many to look at each: a short file can say that it has millions, in one another.

    Parameters
    ----------
    file : tifffile.TiffFile
        The file; only where its pages lie is read.

    Raises
    ------
    InputError
        If there are more than `MOST_PAGES`.
    """
    handle, form, place = file.filehandle, file.tiff, file.pages.first.offset
    for _ in range(MOST_PAGES):
        try:
            handle.seek(place)
            (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
            handle.seek(place + form.tagnosize + tags * form.tagsize)
            (place,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
        except struct.error:  # beyond the end, where tifffile stops as well
            return
        if place == 0:
            return
    raise InputError(f"this TIFF lists more than {MOST_PAGES} pages; save the bands alone, or it is damaged.")


def check_stored(file: TiffFile, promised: int, pages: Iterable[TiffPage | TiffFrame | None]) -> None:
    """Refuse a TIFF that does not hold the values that it promises, where tifffile would make zeros of them.

    Parameters
    ----------
    file : tifffile.TiffFile
        The file; no values are read.
    promised : int
        Bytes that the values of all pages will take.
    pages : iterable of TiffPage, TiffFrame or None
        Those that will be read.

    Raises
    ------
    InputError
        If it promises more than it can hold, a page, strip or tile is missing or empty, or lies beyond the end of the file.
    """
    stored, first = file.filehandle.size, file.pages.first
    value = first.dtype.itemsize if first.dtype is not None else 1
    packed = first.compression != 1
    # A tile may be larger than the image, and is unpacked whole.
    promised = max(promised, math.prod(first.chunks) * value if packed else 0)
    if promised > (max(LARGEST_RATIO * stored, ALWAYS_ALLOWED) if packed else stored):
        size = f"{first.imagelength} x {first.imagewidth} pixels ({promised} bytes in all)"
        raise _damaged(f"{size} promised, {stored} bytes held")
    for number, page in enumerate(pages, start=1):
        if page is None:
            raise InputError(f"page {number} of this TIFF is missing; write the file again with all pages.")
        _check_page(number, page)


def _check_page(number: int, page: TiffPage | TiffFrame) -> None:
    stored, keyframe = page.parent.filehandle.size, page.keyframe
    assert keyframe is not None  # since its values will be read
    parts = math.prod(keyframe.chunked)
    there = min(len(page.dataoffsets), len(page.databytecounts), parts)
    places, lengths = np.asarray(page.dataoffsets[:there]), np.asarray(page.databytecounts[:there])
    if keyframe.is_contiguous and there:
        # tifffile reads such a page in one piece if the first page is contiguous, wherever the others place their strips.
        if page is not keyframe and np.any(places[1:] != places[:-1] + lengths[:-1]):
            raise _damaged(f"the strips of page {number} do not lie one after another, as those of the first do")
        places, lengths, parts = places[:1], np.asarray([keyframe.nbytes]), 1
    if missing := parts - np.count_nonzero((places > 0) & (lengths > 0)):
        raise InputError(
            f"{missing} of the {parts} strips or tiles of page {number} of this TIFF are missing; "
            "it is sparse or damaged: write it again with all of them (in GDAL SPARSE_OK=FALSE)."
        )
    if (end := int(np.max(places + lengths))) > stored:
        raise _damaged(f"page {number} goes on to byte {end}, {stored} bytes held")


def _damaged(reason: str) -> InputError:
    return InputError(f"the file is damaged, truncated or not what its name says ({reason}).")
