"""Untrusted zip archives of uncompressed members: never more is read than the file holds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile

LONGEST_DIRECTORY = 2**20  # bytes: ten thousand members

_END = struct.Struct("<4s4H2LH")
_LARGE_END_LOCATOR = struct.Struct("<4sLQL")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")


@contextmanager
def open_archive(path: Path) -> Iterator[ZipFile]:
    """Open a zip archive after checking position and length of its directory.

    Parameters
    ----------
    path : Path
        The file; it may be untrusted.

    Yields
    ------
    ZipFile
        `check_stored` checks its members.

    Raises
    ------
    BadZipFile
        If it is not an archive, or its directory is longer than 1 MB or not where other readers expect it.
    """
    with path.open("rb") as file:
        _check_directory(file)
        with ZipFile(file) as archive:
            yield archive


def check_stored(archive: ZipFile) -> None:
    """Reject an archive whose members together are larger than the archive.

    Parameters
    ----------
    archive : ZipFile
        Of `open_archive`.

    Raises
    ------
    BadZipFile
        If a member is compressed, overlaps another, or has the name of another.
    """
    members = archive.infolist()
    if any(member.compress_type != ZIP_STORED or member.file_size != member.compress_size for member in members):
        raise BadZipFile("a member is compressed")
    if sum(member.file_size for member in members) > archive.start_dir:
        raise BadZipFile("its members overlap")
    if len({member.filename.lower() for member in members}) < len(members):
        raise BadZipFile("two members have one name")


def _check_directory(file: BinaryIO) -> None:
    """Accept a directory only at the end, without gaps, where all readers find it; else they could see different archives."""
    size = file.seek(0, 2)
    at = size - _END.size
    mark, *_, length, offset, comment = _unpack(_END, file, at)
    if mark != b"PK\5\6" or comment:
        raise BadZipFile("it does not end like an archive")
    locator = at - _LARGE_END_LOCATOR.size
    if locator >= 0:
        mark, _, large_at, _ = _unpack(_LARGE_END_LOCATOR, file, locator)
        if mark == b"PK\6\7":
            at = locator - _LARGE_END.size
            mark, *_, length, offset = _unpack(_LARGE_END, file, at)
            if mark != b"PK\6\6" or large_at != at:
                raise BadZipFile("the end of its directory is not where it should be")
    if offset + length != at or length > LONGEST_DIRECTORY:
        raise BadZipFile("its directory is too long or not where it should be")


def _unpack(form: struct.Struct, file: BinaryIO, place: int) -> tuple[Any, ...]:
    if place < 0:
        raise BadZipFile("it is too short")
    file.seek(place)
    return form.unpack(file.read(form.size))
