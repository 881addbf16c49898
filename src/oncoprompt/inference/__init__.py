"""Sessions: encode a study once, prompt it many times."""

from oncoprompt.inference.segmentation import Lesion, Provenance, Segmentation
from oncoprompt.inference.session import Session

__all__ = ["Lesion", "Provenance", "Segmentation", "Session"]
