"""Where weights lie on this machine, and how our own are read."""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from oncoprompt.errors import WeightsError

BUNDLED = Path(__file__).resolve().parent.parent / "weights"


def user_folders() -> list[Path]:
    """The user's folders for weights, first found first used: ONCOPROMPT_WEIGHTS and the cache."""
    own = os.environ.get("ONCOPROMPT_WEIGHTS")
    folders = [Path(own)] if own else []
    # a user whom the system does not know has no home
    with suppress(RuntimeError):
        folders.append(Path.home() / ".cache" / "oncoprompt")
    return folders


def find_file(name: str, folders: list[Path]) -> Path | None:
    """The first file of that name."""
    return next((folder / name for folder in folders if _is_file(folder / name)), None)


def _is_file(path: Path) -> bool:
    # what the system cannot even look at, such as a name that is too long, is not there
    try:
        return path.is_file()
    except OSError:
        return False


def read_manifest(weights: Path) -> dict[str, Any]:
    """The manifest beside a weights file (``<name>.json``), or nothing; raises WeightsError where it is damaged."""
    path = weights.with_suffix(".json")
    if not path.is_file():
        return {}
    try:
        loaded: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"The manifest '{path.name}' of the weights cannot be read: {error}.") from error
    if not isinstance(loaded, dict):
        raise WeightsError(f"'{path.name}' is no manifest of weights. Copy it again, or remove it.")
    return loaded


def trained_minutes(manifest: Mapping[str, Any]) -> float | None:
    """How long weights were trained, in all the runs they come from; None where their manifest does not tell."""
    minutes: float | None = manifest.get("trained_minutes_of_all_runs", manifest.get("trained_minutes"))
    return minutes


@dataclass(frozen=True, eq=False)
class OwnWeights:
    """Weights that a training run of ours wrote: state dict, manifest (empty where there is none), SHA-256."""

    state: dict[str, Tensor]
    manifest: Mapping[str, Any]
    sha256: str

    @property
    def options(self) -> Mapping[str, Any]:
        """The options the network was built with."""
        found: Mapping[str, Any] = self.manifest.get("recipe", {}).get("model", {}).get("options", {})
        return found


def with_manifest(path: Path, content: bytes) -> tuple[str, dict[str, Any]]:
    """SHA-256 of a file's content and the manifest beside it; raises WeightsError where that names another SHA-256."""
    digest = hashlib.sha256(content).hexdigest()
    manifest = read_manifest(path)
    if manifest.get("sha256", digest) != digest:
        raise WeightsError(
            f"The weights '{path.name}' are damaged: SHA-256 differs from the manifest's. Get them again."
        )
    return digest, manifest


def read_own(path: Path) -> OwnWeights:
    """A .safetensors file with its manifest; raises WeightsError where it is damaged or not the manifest's."""
    content = path.read_bytes()
    digest, manifest = with_manifest(path, content)
    try:
        return OwnWeights(load(content), manifest, digest)
    except SafetensorError as error:
        raise WeightsError(f"The weights '{path.name}' are damaged: {error}. Get them again.") from error
