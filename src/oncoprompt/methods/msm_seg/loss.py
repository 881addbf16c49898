"""Training loss of MSM-Seg."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from oncoprompt.methods.msm_seg.tensors import MSMSegOutput

SMOOTHING = 1e-4


@dataclass(frozen=True)
class Loss:
    """total: differentiable scalar; parts: its terms as numbers (prompt, modal, fusion)."""

    total: Tensor
    parts: dict[str, float]


def dice_focal(logits: Tensor, truth: Tensor, recall: float = 0.5) -> Tensor:
    """Dice + focal loss with equal weights, mean over all leading axes; logits and (soft) truth [N, R, d, h, w].

    Dice = 1 - (2 sum p y + s) / (2 sum p y + 2 (1 - recall) FP + 2 recall FN + s) for every sample and region, where
    FP = sum p (1 - y), FN = sum (1 - p) y and s = 1e-4 of the voxels, so an empty region has a gradient that pushes
    false positives down. recall = 0.5 is Dice, more weighs what is missed (Tversky, arXiv 1706.05721).
    Focal = mean (y - p)^2 * cross-entropy (arXiv 1708.02002), which equals the usual form for hard truth.
    """
    probability = torch.sigmoid(logits)
    axes = (-3, -2, -1)
    smooth = SMOOTHING * logits[0, 0].numel()
    overlap = (probability * truth).sum(axes)
    size = 2 * (1 - recall) * probability.sum(axes) + 2 * recall * truth.sum(axes)
    dice = 1 - (2 * overlap + smooth) / (size + smooth)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    focal = (torch.square(truth - probability) * entropy).mean()
    return dice.mean() + focal


def msm_seg_loss(output: MSMSegOutput, regions: Tensor, recall: float = 0.5) -> Loss:
    """L = L_prompt + mean_m L_modal^m + L_fusion (Eq. 10), each Dice + focal; regions [B, 3, D, H, W]: WT, TC, ET.

    The guidance is compared with WT (L_prompt is 0 for a network without it) and the channels' predictions with all
    regions on the fine grid, against truth averaged over each cell (channel logits there are means over the cell's
    voxels: a quarter of the time, for the fused prediction is the one compared at full size). A companion has a term of
    its own.
    """
    truth = regions.to(output.logits.dtype)
    channels = output.channel_logits.shape[1]
    d, h, w = output.channel_logits.shape[-3:]
    pooled = functional.adaptive_avg_pool3d(truth, (d, h, w))
    per_channel = pooled.unsqueeze(1).expand(-1, channels, -1, -1, -1, -1).flatten(0, 1)
    guidance = output.guidance
    prompt = truth.new_zeros(())
    if guidance is not None:
        prompt = dice_focal(guidance.flatten(0, 1), per_channel[:, :1], recall)
    modal = dice_focal(output.channel_logits.flatten(0, 1), per_channel, recall)
    fusion = dice_focal(output.fused, truth, recall)
    parts = {"prompt": prompt.item(), "modal": modal.item(), "fusion": fusion.item()}
    total = prompt + modal + fusion
    if output.companion is not None:
        companion = dice_focal(output.companion, truth, recall)
        parts["companion"] = companion.item()
        total = total + companion
    return Loss(total, parts)
