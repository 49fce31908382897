"""`napari-drcr models`: shipped models, those trained here, and their cards; the networks that can be trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_drcr.cli._common import print_table, printable
from napari_drcr.errors import InputError, notify

if TYPE_CHECKING:
    from napari_drcr.models.architecture import Architecture


def models(
    name: Annotated[str | None, typer.Argument(help="Print the full card of this model or file.")] = None,
    networks: Annotated[bool, typer.Option("--networks", help="List the networks that can be trained.")] = False,
    network: Annotated[
        str | None, typer.Option(help="Print what is known of this network and its presets.", metavar="ID")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write the list of networks to this file.", metavar="FILE")
    ] = None,
) -> None:
    """List the shipped models and the best of each training run, or print one card; or list networks."""
    if sum((name is not None, networks, network is not None)) > 1:
        raise InputError("a model, --networks and --network cannot be combined; choose one of them.")
    if output is not None and not networks:
        raise InputError("--json writes the list of networks; add --networks.")
    if name is not None:
        _print_card(name)
    elif network is not None:
        _print_network(network)
    elif networks:
        _list_networks(output)
    else:
        _list_models()


def _print_card(name: str) -> None:
    from napari_drcr.models.store import load_model

    model = load_model(name)
    print(f"parameters: {model.parameters}\nsha256: {model.sha256}")
    for key, value in model.card.model_dump().items():
        if key == "wavelengths":
            value = f"{value[0]:g}-{value[-1]:g} nm in {len(value)} bands"
        elif key == "scores":
            value = ", ".join(f"{title} {figure:g}" for title, figure in value.items())
        print(f"{key}: {value}")
    if model.architecture.assumptions:
        print(f"assumed of the network: {' '.join(model.architecture.assumptions)}")


def _list_models() -> None:
    from napari_drcr.models.store import load_model, shipped_models
    from napari_drcr.training.jobs import list_runs

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
    print("`napari-drcr models NAME` prints the card, `napari-drcr models --networks` lists what can be trained.")


def _list_networks(output: Path | None) -> None:
    from napari_drcr.models.architecture import trainable_families
    from napari_drcr.system.files import atomic_path

    rows: list[list[str]] = []
    sections, content = [], []
    for family, found in trainable_families().items():
        sections.append(len(rows))
        rows.append([family[0].upper() + family[1:], *[""] * 5])
        for architecture in found:
            facts = _facts(architecture)
            sizes = [_millions(facts["presets"].get(preset)) for preset in ("published", "small")]
            about = ", ".join(filter(None, (architecture.title, architecture.rank)))
            assumed = str(len(architecture.assumptions) or "")
            rows.append([f"  {architecture.id}", f"{about}\n{architecture.reference}", str(architecture.year), *sizes, assumed])
            content.append(facts)
    header = ["id", "network, rank, paper", "year", "published", "small", "assumed"]
    print_table(header, rows, sections=sections, words=("network, rank, paper",), unbroken=("id", *header[2:]))
    print(
        "Parameters of the presets, in millions; assumed: how many points no publication tells.\n"
        "`napari-drcr models --network ID` prints all of one, `napari-drcr train --network ID[:PRESET]` trains it."
    )
    if output is not None:
        with atomic_path(output) as temporary:
            temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(output)


def _print_network(id: str) -> None:
    from napari_drcr.cubes.cube import WAVELENGTHS
    from napari_drcr.models.architecture import find_architecture
    from napari_drcr.models.cost import USUAL_SIZE, cost_of

    architecture = find_architecture(id)
    if not architecture.trainable:
        raise InputError(f"{id} is a {architecture.title}, which does not learn by steps; choose another.")
    facts = _facts(architecture)
    for key in ("title", "id", "family", "paper", "year", "rank"):
        print(f"{key}: {facts[key]}")
    sides = f"multiples of {architecture.multiple}, others are padded" if architecture.multiple > 1 else "any"
    print(f"learning rate: {architecture.learning_rate:g}\nimage sides: {sides}")
    print("checkpoints of others: " + (", ".join(facts["checkpoints"]) or "none"))
    print(f"assumed: {' '.join(facts['assumptions']) or 'nothing'}")
    rows = []
    for name, settings in architecture.presets.items():
        cost = cost_of(architecture, settings, len(WAVELENGTHS))
        rows.append([name, settings.summary(), f"{cost.parameters:,}", f"{cost.gmac:,.1f}"])
    print_table(["preset", "settings", "parameters", "GMAC, {} x {}".format(*USUAL_SIZE)], rows, words=("settings",))


def _facts(architecture: Architecture) -> dict[str, Any]:
    """What there is to know of a network, for people and for JSON."""
    from napari_drcr.cubes.cube import WAVELENGTHS
    from napari_drcr.models.cost import count_parameters

    return {
        "id": architecture.id,
        "title": architecture.title,
        "family": architecture.family,
        "paper": architecture.paper,
        "year": architecture.year,
        "rank": architecture.rank,
        "learning_rate": architecture.learning_rate,
        "multiple": architecture.multiple,
        "assumptions": list(architecture.assumptions),
        "checkpoints": [layout.source for layout in architecture.foreign],
        "presets": {
            name: {
                "settings": settings.model_dump(mode="json", exclude={"architecture"}),
                "parameters": count_parameters(architecture, settings, len(WAVELENGTHS)),
            }
            for name, settings in architecture.presets.items()
        },
    }


def _millions(preset: dict[str, Any] | None) -> str:
    return "" if preset is None else f"{preset['parameters'] / 1e6:.2f}"
