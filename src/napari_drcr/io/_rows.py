"""Whether PNG and JPEG files hold all of their rows: what is missing, the decoders fill with black or gray without a word."""

from __future__ import annotations

import io
import math
import random
import re
import struct
import zlib
from pathlib import Path

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First row and column, and the steps to the next, of the seven passes of an interlaced PNG.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_PIECE = 2**16  # bytes

_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_END, _SCAN = b"\xd9", b"\xda"
# More than any block takes; then, for those who wait for the mark of a restart, each of these.
_NOISE = random.Random(0).randbytes(4096).replace(b"\xff", b"")
_FURTHER = b"".join([_NOISE, *(bytes([0xFF, 0xD0 + number]) + _NOISE[:500] for number in range(8))])


def check_png_rows(path: Path) -> None:
    """Refuse a PNG with less data than its rows take; nothing is decoded.

    Parameters
    ----------
    path : pathlib.Path
        A PNG file.

    Raises
    ------
    Exception
        ValueError, zlib.error or struct.error where it is damaged.
    """
    inflater, held, needed = zlib.decompressobj(), 0, 0
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(8)
        while held == 0 or held < needed:
            length, kind = struct.unpack(">I4s", file.read(8))
            if length > size - file.tell():
                raise ValueError(f"a chunk of {length} bytes goes on beyond its end")
            if kind == b"IHDR":
                needed = _png_bytes(*struct.unpack(">2I5B", file.read(13)))
            elif kind == b"IDAT":
                for start in range(0, length, _PIECE):
                    packed = file.read(min(_PIECE, length - start))
                    while packed and held < needed and not inflater.eof:
                        held += len(inflater.decompress(packed, _PIECE))
                        packed = inflater.unconsumed_tail
            elif held or kind == b"IEND":
                break
            else:
                file.seek(length, io.SEEK_CUR)
            file.seek(4, io.SEEK_CUR)  # the checksum
    if held < needed or not needed:
        raise ValueError(f"its rows take {needed} bytes, {held} are there")


def _png_bytes(width: int, height: int, depth: int, colours: int, _compression: int, _filter: int, interlace: int) -> int:
    total = 0
    for row, column, down, right in _PASSES if interlace else ((0, 0, 1, 1),):
        rows, columns = len(range(row, height, down)), len(range(column, width, right))
        total += rows * (1 + math.ceil(columns * _CHANNELS[colours] * depth / 8)) if columns else 0
    return total


def lengthen_jpeg(content: bytes) -> bytes:
    """Put meaningless data behind each scan of a JPEG.

    A decoder skips it if it has all blocks already, and decodes blocks from it if not. There is no other way to find out.

    Parameters
    ----------
    content : bytes
        A JPEG file.

    Returns
    -------
    bytes
        One that looks the same if and only if all rows of the first are there.

    Raises
    ------
    ValueError
        If it has no end.
    """
    pieces, kept, place, scanning = [], 0, 2, False
    while marker := _MARKER.search(content, place):
        if scanning:
            pieces += [content[kept : marker.start()], _FURTHER]
            kept = marker.start()
        if marker[1] == _END:
            return b"".join([*pieces, content[kept:]])
        scanning = marker[1] == _SCAN
        place = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2], "big")
    raise ValueError("it has no end")
