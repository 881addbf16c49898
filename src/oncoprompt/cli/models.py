"""`oncoprompt models`: which models there are and where their weights come from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from oncoprompt.cli.console import Talk, say, say_json
from oncoprompt.cli.options import AsJson, Quiet, Verbose
from oncoprompt.errors import InputError

app = typer.Typer(help="List models, or show one with the recipe of its weights.", no_args_is_help=True)


def listed() -> list[dict[str, Any]]:
    """Every model of the registry as plain data."""
    from oncoprompt.methods.registry import list_models

    return [
        {
            "name": card.name,
            "method": card.method,
            "description": card.description,
            "licence": card.licence,
            "ready": card.ready,
            "weights": str(card.weights) if card.weights is not None else None,
            "words": list(card.words),
        }
        for card in list_models()
    ]


@app.command("list", epilog="Example: oncoprompt models list --json")
def list_(as_json: AsJson = False, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """List the models and whether their weights are on this machine."""
    with Talk(quiet, verbose).errors_told():
        models = listed()
        if as_json:
            say_json({"models": models})
            return
        for model in models:
            say(f"{model['name']:26}{'ready' if model['ready'] else 'no weights':12}{model['description']}")


@app.command("info", epilog="Example: oncoprompt models info msm-seg-compact")
def info(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Show one model: licence, weights, and the manifest that says how they were made."""
    with Talk(quiet, verbose).errors_told():
        model = described(name)
        if as_json:
            say_json(model)
            return
        manifest = model.pop("manifest")
        words = ", ".join(model.pop("words"))
        rows = model | ({"words": words} if words else {})
        rows |= {key: value for key, value in manifest.items() if not isinstance(value, dict)}
        say("\n".join(f"{key:18}{value}" for key, value in rows.items()))


def described(name: str) -> dict[str, Any]:
    """One model with the manifest of its weights, empty where there is none; raises `InputError` for unknown names."""
    from pathlib import Path

    from oncoprompt.methods.weight_files import read_manifest

    models = {model["name"]: model for model in listed()}
    if name not in models:
        raise InputError(f"There is no model '{name}'. Known: {', '.join(models)}.")
    model = models[name]
    return model | {"manifest": read_manifest(Path(model["weights"])) if model["weights"] else {}}
