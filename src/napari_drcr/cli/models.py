"""`napari-drcr models`: what is shipped, and its cards."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_drcr.cli._common import print_table


def models(
    name: Annotated[str | None, typer.Argument(help="Print the whole card of this model or file.")] = None,
) -> None:
    """List the shipped models, or print one card."""
    from napari_drcr.weights import load_model, shipped_models

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
    rows = []
    for shipped in shipped_models():
        model = load_model(shipped)
        figures = "\n".join(f"{title} {figure:g}" for title, figure in model.card.scores.items())
        rows.append(
            [shipped, model.card.architecture, f"{model.parameters:,}", f"{model.encoding}, by {model.normalisation}", figures]
        )
    print_table(["model", "architecture", "parameters", "input", "scores"], rows)
    print("`napari-drcr models NAME` prints the card.")
