"""Training loss of the volumetric networks."""

from torch import Tensor
from torch.nn import functional

from oncoprompt.methods.msm_seg.loss import Loss, dice_focal
from oncoprompt.methods.volumetric.network import VolumetricOutput


def volumetric_loss(output: VolumetricOutput, regions: Tensor, recall: float = 0.5) -> Loss:
    """L = sum_i w_i (Dice + focal of level i), w = 1, 1/2, 1/4, ... scaled to a sum of 1, as nnU-Net does.

    regions [B, 3, D, H, W]: WT, TC, ET; on coarser levels they are averaged over each cell, and the last plane is
    repeated where the network did so with the image. ``recall`` as in `dice_focal`.
    """
    truth = regions.to(output.logits.dtype)
    terms = [dice_focal(output.logits, truth, recall)]
    for level, logits in enumerate(output.coarser, start=1):
        cell = 2 ** (level + 1)
        pads = [
            pad
            for n, cells in zip(reversed(truth.shape[2:]), reversed(logits.shape[2:]), strict=True)
            for pad in (0, cells * cell - n)
        ]
        whole = functional.pad(truth, pads, mode="replicate") if any(pads) else truth
        terms.append(dice_focal(logits, functional.avg_pool3d(whole, cell), recall))
    weights = [0.5**level for level in range(len(terms))]
    total = sum(weight * term for weight, term in zip(weights[1:], terms[1:], strict=True)) + terms[0]
    parts = {"fine": terms[0].item()}
    if len(terms) > 1:
        parts["coarser"] = sum(term.item() for term in terms[1:]) / (len(terms) - 1)
    return Loss(total / sum(weights), parts)
