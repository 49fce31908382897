"""Write the scores of fold networks to the card of a model that was trained alike, on everything.

usage: python benchmarks/card_of_folds.py FOLDS.csv CONFIGURATION MODEL.safetensors

Such a model has no scene left to be scored on. FOLDS.csv is written by folds.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

from folds import FLOOR, Row, read_rows

from napari_drcr.analysis.metrics import metric_name
from napari_drcr.models.store import load_model, rewrite_card


def fold_scores(rows: list[Row]) -> dict[str, float]:
    """Mean scores of fold networks on scenes and on each collection that they have not learned from.

    Parameters
    ----------
    rows : list of Row
        Of one configuration.

    Returns
    -------
    dict of str to float
        As a card has them.
    """
    metric = metric_name("mrae", FLOOR)
    scenes = [row for row in rows if row.world == "scene"]
    scores = {f"{len(scenes)} scenes: {metric}": fmean(row.mrae for row in scenes)}
    scores["RMSE"] = fmean(row.rmse for row in scenes)
    scores["SAM (degrees)"] = fmean(row.sam for row in scenes)
    for name in dict.fromkeys(row.name for row in rows if row.world == "collection"):
        found = [row.mrae for row in rows if row.name == name]
        scores[f"measured reflectances {name}: {metric}"] = fmean(found)
    return {name: round(value, 4) for name, value in scores.items()}


def main(table: str, configuration: str, path: str) -> None:
    """Replace split and scores on the card."""
    rows = [row for row in read_rows(Path(table)) if row.configuration == configuration and row.seed == 0]
    card = load_model(path).card
    length = f", for {rows[0].steps:,} steps" if rows[0].steps else ""
    split = (
        f"none: all scenes were learned from. The scores are not its own, but those of five others that were trained alike{length}, "
        "each without the scenes and the collection that it is scored on"
    )
    rewrite_card(path, card.model_copy(update={"split": split, "scores": fold_scores(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
