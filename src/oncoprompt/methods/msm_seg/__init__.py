"""MSM-Seg: memory over channels and slices with category-agnostic prompting (arXiv 2510.10679)."""

from oncoprompt.methods.msm_seg.config import CompactConfig, HieraConfig, MSMSegConfig
from oncoprompt.methods.msm_seg.loss import Loss, msm_seg_loss
from oncoprompt.methods.msm_seg.model import MSMSeg
from oncoprompt.methods.msm_seg.tensors import MSMSegOutput, PromptMaps, Pyramid

__all__ = [
    "CompactConfig",
    "HieraConfig",
    "Loss",
    "MSMSeg",
    "MSMSegConfig",
    "MSMSegOutput",
    "PromptMaps",
    "Pyramid",
    "msm_seg_loss",
]
