"""Disks that fill: whatever is written fails in one sentence, leaves the old file, and does the process no harm.

A limit on the size of files stands in for the end of the disk: it needs no rights, and can be set to any byte. It holds for a whole
process, so all writers are tried in one of their own.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("Windows knows no limit on the size of files", allow_module_level=True)
import resource

CUBES = ("eager.mat", "eager.nc", "eager.hdr", "eager.tif", "lazy.mat", "lazy.nc", "lazy.hdr", "lazy.tif", "long_header.hdr")
TABLES = ("spectra.csv", "metrics.csv", "config.yaml", "status.json", "preview.npz")
FIGURES = ("figure.png", "figure.pdf", "figure.svg")
OTHERS = ("photo.jpg", "model.safetensors", "checkpoint.ckpt", "cache", "features")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened to each writer at each limit."""
    folder = tmp_path_factory.mktemp("disk")
    command = [sys.executable, "-W", "ignore", "-W", "error::ResourceWarning", __file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", [*CUBES, *TABLES, *FIGURES, *OTHERS])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(outcomes: dict[str, Any], name: str) -> None:
    attempts = outcomes[name]
    assert len(attempts) >= 7
    for limit, (sentence, left) in attempts.items():
        assert re.fullmatch(r".* cannot (be written: File too large|hold: File too large; make room there, .*)\.", sentence), (
            limit
        )
        assert name not in (*CUBES, *TABLES, *FIGURES) or f"{name} cannot be written" in sentence
        assert left == "as before", limit


def main(folder: Path) -> None:
    """Try all writers, and print a JSON object of what happened."""
    import platformdirs

    platformdirs.user_cache_dir = lambda name: str(folder / "cache" / name)  # type: ignore[assignment]
    sys.unraisablehook = lambda hook: print(f"{hook.object!r}: {hook.exc_value!r}", file=sys.stderr)
    print(json.dumps({name: attempts(folder / "target", write) for name, write in writers(folder).items()}))


def attempts(folder: Path, write: Callable[[Path], Any]) -> dict[int, tuple[str, str]]:
    """What a writer says, and what it leaves, at limits from nothing to the last byte."""
    from napari_drcr.errors import InputError

    folder.mkdir()
    write(folder)
    before = state(folder)
    gc.freeze()  # so that what is collected below is what the writer leaves
    size = max([file.stat().st_size for file in folder.iterdir()], default=10_000)
    fine = range(0, size, -(-size // 12))
    found = {}
    for limit in sorted({*fine, 1, 100, 512, size - 4096, size - 1} & {*range(size)}):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            write(folder)
            sentence = "nothing"
        except InputError as error:
            sentence = str(error)
        except Exception as error:
            sentence = f"{type(error).__name__}: {error}"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        gc.collect()
        after = state(folder)
        found[limit] = sentence, "as before" if after == before else f"{sorted(before)} became {sorted(after)}"
    write(folder)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return found


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a folder, and in which file."""
    return {file.name: (file.stat().st_ino, file.read_bytes()) for file in folder.iterdir()}


def writers(folder: Path) -> dict[str, Callable[[Path], Any]]:
    """All that write files, by name: each writes into the folder that it gets."""
    import platformdirs
    import torch
    from matplotlib.figure import Figure

    import napari_drcr as nd
    from napari_drcr.analysis.figures import save_figure
    from napari_drcr.analysis.spectra import spectrum_at, write_spectra_csv
    from napari_drcr.camera.simulation import simulate
    from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
    from napari_drcr.errors import InputError
    from napari_drcr.models.feature_map import FeatureMap
    from napari_drcr.models.store import load_model, save_model
    from napari_drcr.training.callbacks.keeper import AtomicCheckpoints
    from napari_drcr.training.config import make_config, write_config
    from napari_drcr.training.jobs.folder import update_status
    from napari_drcr.training.jobs.records import METRIC_COLUMNS, Preview, write_metrics, write_preview
    from napari_drcr.training.scenes import ScenesOnDemand

    eager = make_cube(np.random.default_rng(0).random((31, 32, 40), np.float32), WAVELENGTHS, quantity="reflectance")
    nd.write_cube(folder / "source.nc", eager)
    lazy = nd.read_cube(folder / "source.nc", lazy=True)
    long = eager[:, :2, :2].assign_attrs(notes="x" * 20_000)

    def cube_writer(name: str) -> Callable[[Path], None]:
        cube = {"eager": eager, "lazy": lazy, "long_header": long}[Path(name).stem]
        return lambda target: nd.write_cube(target / name, cube)

    def write_status(target: Path) -> None:
        # It states when it was written, and the number of digits of that would change its size.
        with patch("time.time", return_value=0.5):
            update_status(target, state="running", cause="x" * 1000)

    def convert_scene(target: Path) -> None:
        with TemporaryDirectory(dir=folder) as cache:
            platformdirs.user_cache_dir = lambda name: cache  # type: ignore[assignment, misc]
            try:
                ScenesOnDemand(config.data, 1)[0]
            except InputError:
                assert not list(Path(cache).glob("scenes/*"))
                raise

    def figure_writer(name: str) -> Callable[[Path], None]:
        return lambda target: save_figure(target / name, figure)

    figure = Figure()
    figure.subplots().imshow(eager[0])
    model = load_model("linear")
    half = eager.values[:, :24].astype(np.float16)
    (folder / "scenes").mkdir()
    nd.write_cube(folder / "scenes" / "one.nc", eager)
    nd.write_cube(folder / "scenes" / "two.nc", eager + 1)
    config = make_config({"data": {"folder": str(folder / "scenes"), "patch": 16, "validation": ["two"]}})
    rows = [dict.fromkeys(METRIC_COLUMNS, 0.1)] * 30
    curves = [(f"pick {x}", spectrum_at(eager, 3, x)) for x in range(8)]
    state_dict = {"state_dict": torch.nn.Linear(30, 30).state_dict()}
    return {
        **{name: cube_writer(name) for name in CUBES},
        **{name: figure_writer(name) for name in FIGURES},
        "spectra.csv": lambda target: write_spectra_csv(target / "spectra.csv", curves),
        "metrics.csv": lambda target: write_metrics(target, rows),
        "config.yaml": lambda target: write_config(target / "config.yaml", config),
        "status.json": write_status,
        "preview.npz": lambda target: write_preview(target, Preview(1, "one", half[:3], half, half)),
        "photo.jpg": lambda target: simulate(eager, target / "photo.jpg", camera="ntire2022"),
        "model.safetensors": lambda target: save_model(target / "model.safetensors", model),
        "checkpoint.ckpt": lambda target: AtomicCheckpoints().save_checkpoint(state_dict, target / "checkpoint.ckpt"),
        "cache": convert_scene,
        "features": lambda target: FeatureMap(8, 64, 64, torch.zeros(1), in_memory=0),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
