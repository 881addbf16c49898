"""Sessions: encode a study once, prompt it many times."""

from oncoprompt.inference.kinds import KindSegmentation
from oncoprompt.inference.segmentation import Lesion, Provenance, Segmentation
from oncoprompt.inference.session import Session
from oncoprompt.inference.slice_session import SliceSession
from oncoprompt.inference.targets import TargetSegmentation

__all__ = ["KindSegmentation", "Lesion", "Provenance", "Segmentation", "Session", "SliceSession", "TargetSegmentation"]
