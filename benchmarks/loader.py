"""Samples per second of the loader alone, compared with the rate of training and with one file per patch.

usage: python benchmarks/loader.py DATA SCRATCH [PATCH [BATCH [SECONDS]]]

DATA is a folder of scenes (docs/training.md), which needs images for the rows "images of the folder"; SCRATCH a folder on the measured
disk, where the patch files are written and kept. After one pass each loader is read for SECONDS in four rounds, and the best round counts,
since other load only slows it down. The system's page cache is warm for all of them: they differ in computation, not in disk access.

The patch files are as written by the published training code before training: a MATLAB v7.3 file per patch with the variables cube
and rgb, single precision, and gzip, the default of hdf5storage (level 7, shuffled) and of MATLAB's own save -v7.3. A second set without
compression shows its share of the time. They are opened with h5py in a torch DataLoader, rotated and mirrored. The training step is that of
the preset small, in bf16 if this machine supports it, on one batch that stays on the device.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from napari_drcr.system.devices import choose_device, devices
from napari_drcr.training.config import read_config
from napari_drcr.training.data import Patches, make_loaders
from napari_drcr.training.module import TrainingModule, relative_loss
from napari_drcr.training.processes import training_precision
from napari_drcr.training.scenes import Scene, cache_scenes
from napari_drcr.training.sections import TrainingConfig

FILES = 400
ROUNDS = 4
AS_HDF5STORAGE = {"compression": "gzip", "compression_opts": 7, "shuffle": True, "fletcher32": True, "chunks": True}


class PatchFiles(Dataset[tuple[Tensor, Tensor]]):
    """A MATLAB file per patch."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with h5py.File(self.paths[index], "r") as file:
            rgb, cube = (np.asarray(file[name], dtype=np.float32) for name in ("rgb", "cube"))
        random = np.random.default_rng(index)
        turns, mirror = int(random.integers(4)), bool(random.integers(2))
        return turned(rgb, turns, mirror), turned(cube, turns, mirror)


def turned(image: np.typing.NDArray[np.float32], turns: int, mirror: bool) -> Tensor:
    """Rotate and mirror a patch as in training."""
    image = np.rot90(image, turns, axes=(1, 2))
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1] if mirror else image))


def write_patches(folder: Path, patches: Patches, how: dict[str, Any]) -> list[Path]:
    """Write the first samples of training as MATLAB files, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.mat" for index in range(FILES)]
    for index, path in enumerate(paths):
        if path.exists():
            continue
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, part in zip(("rgb", "cube"), patches[index], strict=True):
                file.create_dataset(name, data=part.numpy(), **how).attrs["MATLAB_class"] = np.bytes_("single")
        header = b"MATLAB 7.3 MAT-file".ljust(124) + (0x0200).to_bytes(2, "little") + b"IM"
        with path.open("r+b") as raw:
            raw.write(header)
    return paths


def rate(batches: Iterator[Any], seconds: float) -> float:
    """Samples per second."""
    samples, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        samples += len(next(batches)[0])
    return samples / passed


def endless(loader: DataLoader[Any]) -> Iterator[Any]:
    """Repeat the loader endlessly."""
    for again in cycle([loader]):
        yield from again


def steps(config: TrainingConfig, device: str, precision: str) -> Iterator[tuple[Tensor]]:
    """Training steps on one batch; each yields its RGB."""
    module = TrainingModule(config).to(device)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    side, batch = config.data.patch, config.learning.batch
    rgb, cube = (torch.rand(batch, channels, side, side, device=device) for channels in (3, 31))
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    while True:
        with torch.autocast(device.partition(":")[0], dtype=kind, enabled=kind is not None):
            loss = relative_loss(cube, module.network(rgb.to(memory_format=torch.channels_last)), config.learning.floor)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        float(loss.detach())  # waits for the device
        yield (rgb,)


def ours(config: TrainingConfig, training: list[Scene]) -> Iterator[Any]:
    """The loader of a run."""
    return iter(make_loaders(config, training, [], lambda: (0, 0), device="cpu")[0])


def main(data: str, scratch: str, patch: str = "64", batch: str = "8", seconds: str = "3") -> None:
    """Measure and print the table."""
    fields: dict[str, Any] = {"data__folder": data, "data__patch": int(patch), "learning__batch": int(batch)}
    fields |= {"data__quantity": "reflectance", "learning__steps": 10**6, "learning__validate_every": 10**6}
    sources: dict[str, Iterator[Any]] = {}
    for words, rgb in (("a simulated photo", "simulated"), ("images of the folder", "files")):
        for workers in (0, 2):
            config = read_config("small", data__rgb=rgb, data__workers=workers, **fields)
            training, _ = cache_scenes(config.data)
            sources[f"ours, {words}, {workers} workers"] = ours(config, training)
    for words, how in (("gzip", AS_HDF5STORAGE), ("not compressed", {})):
        paths = write_patches(Path(scratch) / f"{words.replace(' ', '-')}-{patch}", Patches(training, config), how)
        loader: DataLoader[Any] = DataLoader(
            PatchFiles(paths), batch_size=int(batch), shuffle=True, num_workers=2, persistent_workers=True
        )
        sources[f"a MATLAB file per patch ({words}), 2 workers"] = endless(loader)
    device = choose_device()
    precision = training_precision("auto", device)
    name = f"consumed by training ({devices()[device]}, {precision})"
    sources[name] = steps(read_config("small", **fields), device, precision)
    for title, batches in sources.items():
        for _ in islice(batches, 3 if title == name else FILES // int(batch)):
            pass
    best = dict.fromkeys(sources, 0.0)
    for _ in range(ROUNDS):
        for title, batches in sources.items():
            best[title] = max(best[title], rate(batches, float(seconds)))
    print(f"| patches of {patch} x {patch}, batches of {batch} | samples/s |\n| --- | --- |")
    for title, found in best.items():
        print(f"| {title} | {found:.0f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
