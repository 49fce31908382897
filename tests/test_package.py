"""The package as a whole: cheap to import, complete, layered as docs/architecture.md says, and free of Qt at its base."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_drcr
from napari_drcr.system.imports import quick_imports

ROOT = Path(__file__).parents[1]
HEAVY = {
    "colour",
    "colour_demosaicing",
    "lightning",
    "matplotlib",
    "napari",
    "PyQt6",
    "PySide6",
    "qtpy",
    "scipy",
    "torch",
    "xarray",
}

IMPORT = "import napari_drcr"
HELP = """
import sys
from napari_drcr.cli import main
sys.argv = ["napari-drcr", "--help"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def run_python(code: str) -> str:
    """Run `code` in a fresh interpreter and return the last line it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_no_heavy_package_is_imported_before_it_is_needed(code: str) -> None:
    modules = run_python(f"{code}\nimport sys\nprint(*sys.modules)").split()
    assert not HEAVY & set(modules)


def test_garbage_is_collected_again_after_quick_imports() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), quick_imports():
        importlib.import_module("no_such_package")
    assert gc.isenabled()


@pytest.mark.parametrize("name", napari_drcr.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(napari_drcr, name) is not None
    assert name in dir(napari_drcr)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'reconstrct'"):
        napari_drcr.reconstrct  # noqa: B018


def test_version_is_the_installed_one() -> None:
    assert napari_drcr.__version__ == version("napari-drcr")


def test_modules_import_only_what_their_layer_may() -> None:
    # In its own process: import-linter disables every logger that exists when it is called.
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    words = [sys.executable, "-X", "utf8", "-c", command, "--no-cache", "--no-logo"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


def test_top_level_manifest_leads_to_the_packaged_one() -> None:
    link = ROOT / "napari.yaml"
    # A checkout on Windows without symbolic links holds the path as text.
    target = link.readlink().as_posix() if link.is_symlink() else link.read_text(encoding="utf-8").strip()
    assert target == "src/napari_drcr/napari.yaml"
    assert (ROOT / target).is_file()


def test_base_dependencies_bring_no_qt_and_all_have_a_tested_version() -> None:
    needed = [Requirement(line) for line in requires("napari-drcr") or []]
    base = {canonicalize_name(requirement.name) for requirement in needed if requirement.marker is None}
    assert not base & {"napari", "pyside6", "pyqt6", "pyqt5", "pyside2"}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line and not line.startswith("#")}
    assert {canonicalize_name(requirement.name) for requirement in needed} <= tested
