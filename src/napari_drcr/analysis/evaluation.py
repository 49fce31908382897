"""A folder of RGB images and a folder of true cubes, to a table of scores; the challenge protocols."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import xarray as xr

from napari_drcr.analysis.metrics import error_map, metric_name, mrae, psnr, rmse, sam
from napari_drcr.cubes.cube import FLIP_DISAGREEMENT, align
from napari_drcr.errors import InputError
from napari_drcr.inference.preparation import ImageSettings, PreparedImage, read_prepared
from napari_drcr.inference.reconstruction import Estimator
from napari_drcr.io import by_stem, find_cubes, find_images, read_cube
from napari_drcr.models.store import DEFAULT_MODEL, Model, load_model
from napari_drcr.system.batch import overlapped
from napari_drcr.system.files import atomic_path
from napari_drcr.system.sharing import ALONE, Share
from napari_drcr.system.steps import run_to_end

PROTOCOLS: Mapping[str, str] = {
    "full": "every pixel, the estimate as it is",
    "ntire2022": (
        "without a border of 128 pixels, the estimate clipped to [0, 1]; without a floor, as in the challenge, "
        "scenes with a value <= 0 are left out"
    ),
}
DEFAULT_FLOOR = 0.01
BORDER = 128
FLIP_CORRELATION = "flip rho"
"""Title of the column of `Score.flip_correlation`."""
FLIP_CORRELATION_MEANING = (
    f"{FLIP_CORRELATION} is the rank correlation of flip disagreement with the true relative error of the pixels"
)
COLOUR_EXACT_SENTENCE = "The estimates have the exact colours of the images."


@dataclass(frozen=True)
class Score:
    """One row of figures.

    Parameters
    ----------
    name : str
        Of the scene, or whatever the row is about.
    mrae, rmse, sam, psnr : float
        MRAE with the evaluation's floor, RMSE in the unit of the cubes, SAM in degrees, PSNR in dB.
    nanometres : tuple of float
        First and last wavelength that was compared.
    flip_correlation : float, optional
        With self-ensemble: Spearman's rank correlation over pixels between flip disagreement and relative error, the mean over
        bands that MRAE counts. 1 would mean that the map of disagreement orders the pixels as the error does. NaN where
        either is the same everywhere.
    """

    name: str
    mrae: float
    rmse: float
    sam: float
    psnr: float
    nanometres: tuple[float, float]
    flip_correlation: float | None = None

    def row(self) -> list[str]:
        """The figures as shown to people, under `score_header`."""
        low, high = self.nanometres
        flips = [] if self.flip_correlation is None else [f"{self.flip_correlation:.2f}"]
        figures = [f"{self.mrae:.4f}", f"{self.rmse:.4f}", f"{self.sam:.2f}", f"{self.psnr:.2f}"]
        return [self.name, *figures, *flips, f"{low:g}-{high:g}"]


def score_header(first: str, floor: float | None, *, flips: bool = False) -> list[str]:
    """Titles of the columns of `Score.row`, MRAE with its floor; `flips` if the scores have a `flip_correlation`."""
    return [first, metric_name("mrae", floor), "RMSE", "SAM (°)", "PSNR (dB)", *([FLIP_CORRELATION] if flips else []), "nm"]


@dataclass(frozen=True)
class Evaluation:
    """What a model scores on a set of scenes.

    Parameters
    ----------
    model : str
        Its name.
    protocol : str
        One of `PROTOCOLS`.
    floor : float or None
        Of the MRAE.
    scores : tuple of Score
        One a scene, ordered by name.
    skipped : mapping of str to str
        Scenes without a score, and why.
    ensemble : bool
        Whether the estimates are means over flips and turns.
    colour_exact : bool
        Whether the estimates have the exact colours of the images.
    """

    model: str
    protocol: str
    floor: float | None
    scores: tuple[Score, ...]
    skipped: Mapping[str, str]
    ensemble: bool = False
    colour_exact: bool = False

    @property
    def mean(self) -> Score:
        """The average over scenes, each weighing the same; its wavelengths are those that every scene has."""
        ranges = [score.nanometres for score in self.scores]
        correlations = [score.flip_correlation for score in self.scores if score.flip_correlation is not None]
        return Score(
            "mean",
            fmean(score.mrae for score in self.scores),
            fmean(score.rmse for score in self.scores),
            fmean(score.sam for score in self.scores),
            fmean(score.psnr for score in self.scores),
            (max(low for low, _ in ranges), min(high for _, high in ranges)),
            fmean(correlations) if correlations else None,
        )

    def header(self) -> list[str]:
        """Titles of the columns, MRAE with its floor."""
        return score_header("scene", self.floor, flips=self.ensemble)

    def write_csv(self, path: str | Path) -> None:
        """Write one row a scene and the mean.

        Parameters
        ----------
        path : str or Path
            The first lines name model and protocol, and self-ensemble and exact colours if they were used, after ``#``.
        """
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            file.write(f"# model {self.model}\n# protocol {self.protocol}: {PROTOCOLS[self.protocol]}\n")
            if self.ensemble:
                file.write(f"# ensemble: mean over 8 flips and turns; {FLIP_CORRELATION_MEANING}\n")
            if self.colour_exact:
                file.write(f"# colour_exact: {COLOUR_EXACT_SENTENCE}\n")
            writer = csv.writer(file)
            writer.writerow([*self.header()[:-1], "from nm", "to nm"])
            for score in (*self.scores, self.mean):
                flips = [] if score.flip_correlation is None else [score.flip_correlation]
                writer.writerow([score.name, score.mrae, score.rmse, score.sam, score.psnr, *flips, *score.nanometres])


def find_pairs(rgb: str | Path, truth: str | Path) -> tuple[list[tuple[Path, Path]], dict[str, str]]:
    """Match images and cubes by the stem of their names.

    Parameters
    ----------
    rgb, truth : str or Path
        Two folders.

    Returns
    -------
    tuple of (list of (Path, Path), dict of str to str)
        Image and cube of each scene, by name; and the files without a partner, with a reason.

    Raises
    ------
    InputError
        If a folder is missing, two images or two cubes share a stem, or nothing matches.
    """
    images, cubes = find_images(rgb), by_stem(find_cubes(truth))
    pairs = [(images[name], cubes[name]) for name in sorted(images.keys() & cubes.keys())]
    if not pairs:
        raise InputError(
            f"none of the {len(images)} images in {rgb} has the name of one of the {len(cubes)} cubes in {truth}; "
            "scene.jpg belongs to scene.mat."
        )
    lonely = {name: "no cube of that name" for name in sorted(images.keys() - cubes.keys())}
    return pairs, lonely | {name: "no image of that name" for name in sorted(cubes.keys() - images.keys())}


def evaluate(
    rgb: str | Path,
    truth: str | Path,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    protocol: str = "full",
    floor: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    encoding: str = "srgb",
    ensemble: bool = False,
    colour_exact: bool = False,
    share: Share = ALONE,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on pairs of images and true cubes.

    While a scene is computed, the next one is read and the one before is scored.

    Parameters
    ----------
    rgb, truth : str or Path
        Folders; ``scene.jpg`` belongs to ``scene.mat``.
    model, device, precision, encoding, ensemble, colour_exact
        As for `napari_drcr.inference.reconstruction.reconstruct`.
    protocol : {"full", "ntire2022"}
        See `PROTOCOLS`.
    floor : float, optional
        Of the MRAE; 0 for none. By default 0.01, none for "ntire2022".
    share : Share
        This process among several that share the scenes, from `napari_drcr.system.sharing.join`. Each gets the scores of all.
    progress : callable, optional
        Called with (scenes done, scenes in all), of those that are this process's share. What it raises ends the work.

    Returns
    -------
    Evaluation
        Scenes that cannot be scored are left out and named with the reason.

    Raises
    ------
    InputError
        If a setting is wrong or no scene can be scored.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"there is no protocol {protocol!r}; there is {', '.join(PROTOCOLS)}.")
    if floor is None:
        floor = DEFAULT_FLOOR if protocol == "full" else None
    elif not (np.isfinite(floor) and floor >= 0):
        raise InputError(f"the floor of MRAE must be positive, or 0 for none, not {floor:g}.")
    loaded = load_model(model)
    pairs, skipped = find_pairs(rgb, truth)

    def read(pair: tuple[Path, Path]) -> tuple[xr.DataArray, PreparedImage]:
        return read_cube(pair[1]), read_prepared(pair[0], loaded, ImageSettings(encoding=encoding))

    estimator = Estimator(loaded, device=device, precision=precision, ensemble=ensemble, colour_exact=colour_exact)

    def compute(pair: tuple[Path, Path], found: tuple[xr.DataArray, PreparedImage]) -> tuple[xr.DataArray, xr.DataArray]:
        truth, image = found
        return truth, run_to_end(estimator.iter_estimate(image))

    def rate(pair: tuple[Path, Path], cubes: tuple[xr.DataArray, xr.DataArray]) -> Score:
        return score(pair[0].stem, *_under_protocol(*cubes, protocol, floor or None), floor or None)

    mine = share.part(pairs)
    outcomes = []
    with closing(overlapped(mine, read, compute, rate)) as results:
        for number, outcome in enumerate(results, start=1):
            outcomes.append(outcome)
            if progress is not None:
                progress(number, len(mine))
    scores = []
    for (image, _), outcome in zip(pairs, share.gather(outcomes), strict=True):
        if isinstance(outcome, Score):
            scores.append(outcome)
        else:
            skipped[image.stem] = str(outcome) or "there is not enough memory for it."
    if not scores:
        first = pairs[0][0].stem
        raise InputError(f"none of the {len(pairs)} scenes can be scored; {first}: {skipped[first]}")
    averaged = any(score.flip_correlation is not None for score in scores)
    return Evaluation(loaded.name, protocol, floor or None, tuple(scores), skipped, averaged, colour_exact)


def _under_protocol(
    truth: xr.DataArray, estimate: xr.DataArray, protocol: str, floor: float | None
) -> tuple[xr.DataArray, xr.DataArray]:
    quantities = [cube.attrs.get("quantity", "unknown") for cube in (truth, estimate)]
    if "unknown" not in quantities and quantities[0] != quantities[1]:
        raise InputError(f"the true cube holds {quantities[0]}, the estimate {quantities[1]}: these cannot be compared.")
    if protocol == "full":
        return truth, estimate
    if floor is None and not (truth > 0).all():
        raise InputError("the true cube has values <= 0, which the protocol leaves out; give a floor to score it all the same.")
    height, width = truth.shape[1:]
    if min(height, width) <= 2 * BORDER:
        raise InputError(f"nothing remains of {height} x {width} pixels without the protocol's border of {BORDER}.")
    inner = {"y": slice(BORDER, -BORDER), "x": slice(BORDER, -BORDER)}
    return truth.isel(inner), estimate.isel(inner).clip(0, 1)


def score(name: str, truth: xr.DataArray, estimate: xr.DataArray, floor: float | None = DEFAULT_FLOOR) -> Score:
    """All figures of one estimate.

    Parameters
    ----------
    name : str
        See `Score`.
    truth, estimate : xarray.DataArray, shape (bands, y, x)
        See `napari_drcr.analysis.metrics`.
    floor : float or None
        Of the MRAE.

    Returns
    -------
    Score

    Raises
    ------
    InputError
        If the cubes cannot be compared.
    """
    truth, estimate = align(truth, estimate)
    nm = truth["wavelength"].values
    return Score(
        name,
        mrae(truth, estimate, floor),
        rmse(truth, estimate),
        sam(truth, estimate),
        psnr(truth, estimate),
        (float(nm[0]), float(nm[-1])),
        _flip_correlation(truth, estimate, floor) if FLIP_DISAGREEMENT in estimate.coords else None,
    )


def _flip_correlation(truth: xr.DataArray, estimate: xr.DataArray, floor: float | None) -> float:
    from scipy.stats import spearmanr

    # MRAE has already given a notice of what it leaves out without a floor.
    errors = error_map(truth, estimate, "mrae", floor, quiet=True).values
    counted = np.isfinite(errors)
    disagreement = estimate[FLIP_DISAGREEMENT].values[counted]
    if np.ptp(disagreement) == 0 or np.ptp(errors[counted]) == 0:
        return float("nan")
    return float(spearmanr(disagreement, errors[counted]).statistic)
