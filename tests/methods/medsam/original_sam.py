"""SAM as its authors published it (package segment-anything), at sizes of our choice, with random weights."""

import importlib.util
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

TINY: dict[str, Any] = {
    "side": 64,
    "width": 64,
    "depth": 3,
    "heads": 2,
    "whole": (1,),
    "window": 3,
    "features": 64,
    "mlp": 48,
}
VIT_B: dict[str, Any] = {
    "side": 1024,
    "width": 768,
    "depth": 12,
    "heads": 12,
    "whole": (2, 5, 8, 11),
    "window": 14,
    "features": 256,
    "mlp": 2048,
}


def original_sam(seed: int, sizes: dict[str, Any] = TINY) -> nn.Module:
    """The original network, every parameter drawn at random so that none of its parts is without effect."""
    modeling = _modeling()
    features, grid = sizes["features"], sizes["side"] // 16
    sam: nn.Module = modeling.Sam(
        modeling.ImageEncoderViT(
            img_size=sizes["side"],
            embed_dim=sizes["width"],
            depth=sizes["depth"],
            num_heads=sizes["heads"],
            out_chans=features,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=sizes["window"],
            global_attn_indexes=sizes["whole"],
        ),
        modeling.PromptEncoder(features, (grid, grid), (sizes["side"], sizes["side"]), 16),
        modeling.MaskDecoder(
            transformer_dim=features,
            transformer=modeling.TwoWayTransformer(2, features, 8, sizes["mlp"]),
        ),
    )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sam.state_dict().items():
            spread = 1.5 * (value.numel() / len(value)) ** -0.5 if value.ndim > 1 else 0.3
            value.copy_(torch.randn(value.shape, generator=generator) * spread + (".norm" in name))
    return sam.eval()


def _modeling() -> ModuleType:
    """`segment_anything.modeling` without the package's own __init__, which imports torchvision."""
    name = "segment_anything"
    if f"{name}.modeling" not in sys.modules:
        spec = importlib.util.find_spec(name)
        parent = ModuleType(name)
        parent.__path__ = [str(Path(str(spec.origin)).parent)]  # type: ignore[union-attr]
        sys.modules[name] = parent
    return importlib.import_module(f"{name}.modeling")
