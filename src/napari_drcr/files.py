"""Files on disk: written whole or not at all, looked at before they are read, named in every complaint."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_drcr.errors import InputError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and give it its own name only once it is whole.

    Parameters
    ----------
    path : path-like
        The file to write; one that is already there is replaced at the end, or left alone if anything goes wrong.

    Yields
    ------
    pathlib.Path
        A name in the same folder with the same suffix, to be written inside the ``with`` block.

    Raises
    ------
    InputError
        If the folder does not exist or the system refuses to write there.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"{path.name} cannot be written: the folder {path.parent} does not exist; create it first.")
    # Not tempfile: its files are readable by their owner only, and would stay so under their final name.
    temporary = path.with_name(f".unfinished-{secrets.token_hex(6)}{path.suffix}")
    try:
        temporary.touch()  # so that a refusal comes from the system, in its words, and not from some library
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    # Windows refuses while somebody reads the old file, as a viewer does that follows a run.
    for pause in (0.01, 0.03, 0.1, 0.3) if sys.platform == "win32" else ():
        try:
            temporary.replace(path)
            return
        except PermissionError:
            time.sleep(pause)
    temporary.replace(path)


def first_bytes(path: Path, count: int = 1024) -> bytes:
    """Return the start of a file, having ruled out the files that no reader can use.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    count : int
        How many bytes to read at most.

    Returns
    -------
    bytes
        At least one byte.

    Raises
    ------
    InputError
        If there is no such file, it cannot be opened, it is empty, or it is a web page.
    """
    if not path.exists():
        raise InputError(f"there is no such file or folder ({path}).")
    try:
        with path.open("rb") as file:
            head = file.read(count)
    except OSError as error:
        raise InputError(f"it cannot be opened: {error.strerror or error}.") from error
    if not head:
        raise InputError("the file is empty.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html")):
        raise InputError("this is a web page under another name, as download sites hand out; download the file itself again.")
    return head


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Start every complaint with the name of the file that it is about.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Raises
    ------
    InputError
        In place of an InputError or OSError raised inside the ``with`` block.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{path.name or path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path.name or path}: it cannot be read: {error.strerror or error}.") from error
