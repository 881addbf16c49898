"""OncoPrompt: one box over a tumour, or nothing, and every sub-region of it comes back on the grid of the scan."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oncoprompt.inference import KindSegmentation, Segmentation, Session, SliceSession, TargetSegmentation
    from oncoprompt.prompts import Anatomy, Box, Click, Text
    from oncoprompt.study import Study

__version__ = "0.1.0"
__all__ = [
    "Anatomy",
    "Box",
    "Click",
    "KindSegmentation",
    "Segmentation",
    "Session",
    "SliceSession",
    "Study",
    "TargetSegmentation",
    "Text",
    "__version__",
]

# Imported on first use, so that `import oncoprompt` and `oncoprompt --help` do not wait for torch.
_HOME = {
    "Anatomy": "oncoprompt.prompts",
    "Box": "oncoprompt.prompts",
    "Click": "oncoprompt.prompts",
    "KindSegmentation": "oncoprompt.inference",
    "Segmentation": "oncoprompt.inference",
    "Session": "oncoprompt.inference",
    "SliceSession": "oncoprompt.inference",
    "Study": "oncoprompt.study",
    "TargetSegmentation": "oncoprompt.inference",
    "Text": "oncoprompt.prompts",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'oncoprompt' has no attribute '{name}'. Public names: {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
