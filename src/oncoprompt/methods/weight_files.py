"""Where weights lie on this machine."""

import os
from pathlib import Path

BUNDLED = Path(__file__).resolve().parent.parent / "weights"


def user_folders() -> list[Path]:
    """The user's folders for weights, first found first used: ONCOPROMPT_WEIGHTS and the cache."""
    own = os.environ.get("ONCOPROMPT_WEIGHTS")
    return [*([Path(own)] if own else []), Path.home() / ".cache" / "oncoprompt"]


def find_file(name: str, folders: list[Path]) -> Path | None:
    """The first file of that name."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)
