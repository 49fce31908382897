"""What memory is free: the system's, or what a container leaves."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from napari_drcr.system import memory
from napari_drcr.system.memory import NotEnoughMemory, free_memory, is_lack_of_memory

V2 = {"memory.max": "{limit}", "memory.current": "3000", "memory.stat": "anon 2000\ninactive_file 500\n"}
V1 = {
    "memory/memory.limit_in_bytes": "{limit}",
    "memory/memory.usage_in_bytes": "3000",
    "memory/memory.stat": "cache 700\ntotal_inactive_file 500\n",
}


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)
    (tmp_path / "memory").mkdir()
    return tmp_path


def available() -> int:
    return int(psutil.virtual_memory().available)


@pytest.mark.parametrize("files", [V2, V1])
def test_a_container_leaves_its_limit_less_what_is_used_but_for_cached_files(group: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (group / name).write_text(content.format(limit=10_000), encoding="utf-8")
    assert free_memory() == 10_000 - 3000 + 500


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_without_a_limit_it_is_the_systems(group: Path, limit: str) -> None:
    for name, content in V2.items():
        (group / name).write_text(content.format(limit=limit), encoding="utf-8")
    assert free_memory() == pytest.approx(available(), rel=0.2)


def test_without_control_groups_it_is_the_systems(group: Path) -> None:
    assert free_memory("cpu") == pytest.approx(available(), rel=0.2)


def test_a_device_that_does_not_tell() -> None:
    assert free_memory("mps") is None


def test_too_little_memory_is_known_for_that() -> None:
    error = NotEnoughMemory(12_340_000_000, 5_600_000_000)
    assert str(error) == "about 12.3 GB are needed, 5.6 GB are free"
    assert is_lack_of_memory(error)
