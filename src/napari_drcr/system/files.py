"""Files on disk: written atomically, checked before they are read, named in every error."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
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
        If the folder does not exist, a folder has the name of the file, or the system refuses to write there.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "note.txt"
    >>> with atomic_path(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    with atomic_paths(path) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(*paths: str | os.PathLike[str]) -> Iterator[list[Path]]:
    """Write files that belong together, and replace all of them or none.

    Parameters
    ----------
    *paths : path-like
        The files to write, in one folder and with different suffixes. The first is the one that is read first and leads to the
        others.

    Yields
    ------
    list of pathlib.Path
        A name for each in the same folder with the same suffix, and alike but for it; to be written inside the ``with`` block.

    Raises
    ------
    InputError
        If the folder does not exist, a folder has the name of a file, or the system refuses to write there. The old files are
        then as they were.

    Notes
    -----
    A single file is replaced in one step. No system replaces two at once, so the old files are renamed first, beginning with the
    first one, which gets its new content last: a reader in between finds no first file, never an old one with a new one.
    A process that is killed in between leaves the old files whole under names that begin with ``.replaced-``.
    """
    targets = [Path(path) for path in paths]
    folder = targets[0].parent
    # Not tempfile: its files are readable by their owner only, and would stay so under their final name.
    token = secrets.token_hex(6)
    temporary = [folder / f".unfinished-{token}{target.suffix}" for target in targets]
    try:
        if not folder.is_dir():
            raise InputError(f"{targets[0].name} cannot be written: the folder {folder} does not exist; create it first.")
        for target in targets:
            if target.is_dir():
                raise InputError(f"{target} cannot be written: a folder has this name; choose another name.")
        for name in temporary:
            name.touch()  # so that the error is the system's, not that of some library
        yield temporary
        if len(targets) == 1:
            _move(temporary[0], targets[0])
        else:
            _replace_all(temporary, targets, [folder / f".replaced-{token}{target.suffix}" for target in targets])
    except OSError as error:
        raise InputError(f"{targets[0]} cannot be written: {error.strerror or error}.") from error
    finally:
        for name in temporary:
            with suppress(OSError):  # A read-only disk fails here too, which would hide the first error.
                name.unlink(missing_ok=True)


def _replace_all(new: Sequence[Path], targets: Sequence[Path], old: Sequence[Path]) -> None:
    with ExitStack() as undo:
        for target, aside in zip(targets, old, strict=True):
            if target.exists():
                _move(target, aside)
                undo.callback(_move, aside, target)
        for name, target in reversed(list(zip(new, targets, strict=True))):
            _move(name, target)
            undo.callback(_move, target, name)
        undo.pop_all()
    for aside in old:
        with suppress(OSError):  # Windows removes no file that is open.
            aside.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    # Windows refuses while another process reads the old file, such as a viewer that follows a run.
    for pause in (0.01, 0.03, 0.1, 0.3) if sys.platform == "win32" else ():
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(pause)
    source.replace(target)


def first_bytes(path: Path, count: int = 1024) -> bytes:
    """Return the start of a file, after rejecting files that no reader can use.

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
        raise InputError("this is a web page under another name, as some download sites send; download the file itself again.")
    return head


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Prefix errors with the name of the file.

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
