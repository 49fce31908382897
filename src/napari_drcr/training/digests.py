"""Digests of files, remembered from one start to the next: data sets are too large to be read anew each time."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from napari_drcr.errors import InputError
from napari_drcr.system.files import atomic_path

GRANULARITY = 2 * 10**9
"""Nanoseconds within which some file systems give two versions of a file the same time."""
MOST = 100_000
"""Files that are remembered, the last ones."""

Entry = tuple[int, int, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
"""Size in bytes, time of the last change in nanoseconds, SHA-256."""
_ENTRIES = TypeAdapter(dict[str, Entry])


class Digests:
    """SHA-256 of files, known by path, size and time of the last change.

    A file that was changed a moment before it was read is not remembered: it could change again within the same tick of the clock.

    Parameters
    ----------
    path : Path
        Where they are kept between two starts; a file that is not there or damaged is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = self._read()
        self._fresh: dict[str, Entry] = {}

    def __getitem__(self, file: Path) -> bytes:
        """The digest of a file, which is read only where it is not known."""
        name, stat = file.absolute().as_uri(), file.stat()
        size, changed, digest = self._entries.get(name, (-1, -1, ""))
        if (size, changed) == (stat.st_size, stat.st_mtime_ns):
            return bytes.fromhex(digest)
        now = time.time_ns()
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256")
        if now - stat.st_mtime_ns > GRANULARITY:
            self._entries[name] = self._fresh[name] = (stat.st_size, stat.st_mtime_ns, found.hexdigest())
        return found.digest()

    def save(self) -> None:
        """Keep what is new, beside what other processes have kept meanwhile; where that is impossible, files are read again."""
        if not self._fresh:
            return
        entries = self._read() | self._fresh
        kept = dict(islice(entries.items(), max(len(entries) - MOST, 0), None))
        with suppress(InputError, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self._path) as temporary:
                temporary.write_bytes(_ENTRIES.dump_json(kept))
            self._fresh = {}

    def _read(self) -> dict[str, Entry]:
        try:
            return _ENTRIES.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}
