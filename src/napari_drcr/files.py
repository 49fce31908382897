"""Files on disk: written whole or not at all, and told apart from what cloud drives hand out instead."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from napari_drcr.errors import InputError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary name to write to; on success it replaces `path`, on failure nothing is left behind.

    Parameters
    ----------
    path : str or Path
        Where the file shall end up; its folder must exist.

    Yields
    ------
    Path
        A name with the same suffix on the same disk.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist, so {path.name} cannot be written there.")
    try:
        folder = Path(mkdtemp(prefix=f".{path.stem}-", dir=path.parent))
    except OSError as error:
        raise InputError(f"{path.name} cannot be written to {path.parent}: {error.strerror}.") from error
    temporary = folder / path.name
    try:
        yield temporary
        # Some libraries create private files; the result gets the mode of an ordinary new file.
        (folder / "mode").touch()
        temporary.chmod((folder / "mode").stat().st_mode)
        temporary.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def reject_web_page(path: Path, expected: str) -> None:
    """Refuse an HTML page that was saved in place of a file.

    Parameters
    ----------
    path : Path
        An existing file.
    expected : str
        What it should have been, with its article.

    Raises
    ------
    InputError
        If the file starts like a web page.
    """
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        raise InputError(f"{path.name} is a web page saved under that name, not {expected}; download the file itself.")
