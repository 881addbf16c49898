"""`oncoprompt info`: versions, device and models, for a bug report or a script."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from oncoprompt import __version__
from oncoprompt.cli.console import Talk, say, say_json
from oncoprompt.cli.models import listed
from oncoprompt.cli.options import AsJson, Quiet, Verbose

EXAMPLE = "Example: oncoprompt info --json"
LIBRARIES = ("torch", "numpy", "nibabel", "scipy", "transformers", "monai", "lightning-fabric", "safetensors")


def info(as_json: AsJson = False, quiet: Quiet = False, verbose: Verbose = 0) -> None:
    """Show versions, the device that --device auto takes, and the models."""
    talk = Talk(quiet, verbose)
    with talk.errors_told():
        content = collected()
        if as_json:
            say_json(content)
        else:
            say("\n".join(_lines(content)))


def collected() -> dict[str, Any]:
    """Versions, device and models as plain data."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "oncoprompt": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "threads": torch.get_num_threads(),
        "models": listed(),
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _lines(content: dict[str, Any]) -> list[str]:
    rows = {name: value for name, value in content.items() if name not in ("libraries", "models")}
    rows |= content["libraries"]
    rows["models"] = ", ".join(model["name"] for model in content["models"])
    return [f"{name:18}{value}" for name, value in rows.items()]
