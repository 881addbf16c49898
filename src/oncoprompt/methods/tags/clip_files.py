"""CLIP's towers from a folder of the hub's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.text_prompt import how_to_get
from oncoprompt.methods.tags.text_cache import CLIP_TEXT


def read_frozen(tower_class: Any, folder: Path, what: str) -> Any:
    """A tower of that class of transformers, in single precision, that is not trained; `what`: "text" or "image".

    The folder may hold that tower alone or the whole of CLIP. Raises WeightsError where it is missing, or not whole.
    """
    how = how_to_get(folder, CLIP_TEXT)
    if not folder.is_dir():
        raise WeightsError(f"CLIP's {what} tower is missing: there is no folder '{folder}'. {how}")
    try:
        tower, loading = tower_class.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"'{folder}' holds no CLIP {what} tower. {how}") from error
    if missing := sorted(loading["missing_keys"]):
        raise WeightsError(f"The {what} tower in '{folder}' lacks {len(missing)} weights, such as {missing[0]}. {how}")
    return tower.requires_grad_(False).eval()
