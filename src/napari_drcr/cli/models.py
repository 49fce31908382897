"""`napari-drcr models`: shipped models, those trained here, and their cards."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_drcr.cli._common import print_table, printable
from napari_drcr.errors import InputError, notify


def models(
    name: Annotated[str | None, typer.Argument(help="Print the full card of this model or file.")] = None,
) -> None:
    """List the shipped models and the best of each training run, or print one card."""
    from napari_drcr.models.store import load_model, shipped_models
    from napari_drcr.training.jobs import list_runs

    if name is not None:
        model = load_model(name)
        print(f"parameters: {model.parameters}\nsha256: {model.sha256}")
        for key, value in model.card.model_dump().items():
            if key == "wavelengths":
                value = f"{value[0]:g}-{value[-1]:g} nm in {len(value)} bands"
            elif key == "scores":
                value = ", ".join(f"{title} {figure:g}" for title, figure in value.items())
            print(f"{key}: {value}")
        return
    trained = [(run.name, str(run.model)) for run in list_runs() if run.model]
    rows = []
    for title, source in [*((shipped, shipped) for shipped in shipped_models()), *trained]:
        try:
            model = load_model(source)
        except InputError as error:
            notify(f"the model of run {printable(title)} is skipped: {error}")
            continue
        figures = "\n".join(f"{score} {figure:g}" for score, figure in model.card.scores.items())
        rows.append(
            [
                title,
                f"{model.architecture.title}, {model.settings.summary()}",
                f"{model.parameters:,}",
                f"{model.encoding}, by {model.normalisation}",
                figures,
            ]
        )
    print_table(["model", "network", "parameters", "input", "scores"], rows)
    for title, path in trained:
        print(printable(f"{title} is the run's best model: --model {path}"))
    print("`napari-drcr models NAME` prints the card.")
