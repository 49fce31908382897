"""Cached digests of files: data sets are too large to be hashed at every start."""

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
"""Entries kept in the cache, the most recent ones."""

Entry = tuple[int, int, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
"""Size in bytes, time of the last change in nanoseconds, SHA-256."""
_ENTRIES = TypeAdapter(dict[str, Entry])


class Digests:
    """SHA-256 of files, known by path, size and time of the last change.

    A file that was changed just before it was read is not cached: it could change again within the resolution of its time stamp.

    Parameters
    ----------
    path : Path
        Of the cache; a missing or damaged file is created again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = self._read()
        self._fresh: dict[str, Entry] = {}

    def __getitem__(self, file: Path) -> bytes:
        """The digest of a file, which is read only if it is not in the cache."""
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
        """Add new entries to the cache file, keeping those of other processes; if it cannot be written, files are hashed again."""
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
