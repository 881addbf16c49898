"""A SAM small enough to train in a test, and short runs of slice models."""

from pathlib import Path

import torch
from transformers import SamModel

from methods.medsam.original_sam import original_sam
from oncoprompt.methods.medsam.checkpoint import original_state
from oncoprompt.methods.medsam.sam_names import to_transformers
from oncoprompt.methods.medsam.sam_network import build_sam, config_of
from oncoprompt.training.config import TrainingConfig

# A student of it: tiny_sam sees 64 pixels and gives an embedding of 4 x 4.
SMALL = {"width": 24, "depth": 2, "heads": 2, "image_size": 32, "patch_size": 8, "window_size": 2, "global_layers": [1]}


def tiny_sam() -> SamModel:
    """A SAM for 64 pixels with weights as transformers draws them for training."""
    config = config_of({to_transformers(name): value for name, value in original_sam(seed=1).state_dict().items()})
    config.vision_config.initializer_range = 0.02
    torch.manual_seed(3)
    return build_sam(config)


def write_tiny_sam(path: Path) -> Path:
    """`tiny_sam` in the original layout."""
    torch.save(original_state(tiny_sam()), path)
    return path


def config_for(pictures: Path, weights: Path | None, name: str = "medsam-vit-b", **sections: dict) -> TrainingConfig:
    """Two steps on the pictures."""
    data = {"cohort": str(pictures), "workers": 0, "options": {"least_pixels": 20, **sections.pop("options", {})}}
    model = {"name": name, "weights": None if weights is None else str(weights), **sections.pop("model", {})}
    optimisation = {"steps": 2, "warmup_steps": 0, "ema_decay": 0.0, "learning_rate": 1e-3}
    return TrainingConfig.from_mapping(
        {
            "model": model,
            "data": data,
            "optimisation": {**optimisation, **sections.pop("optimisation", {})},
            "run": {"accelerator": "cpu", "threads": 1},
            **sections,
        }
    )
