import torch
from monai.losses import DiceLoss, FocalLoss

from oncoprompt.methods.msm_seg import MSMSegOutput, msm_seg_loss
from oncoprompt.methods.msm_seg.loss import SMOOTHING, dice_focal

SIZE = (8, 8, 8)


def output(logits: torch.Tensor) -> MSMSegOutput:
    reduced = torch.nn.functional.avg_pool3d(logits, 2)
    channels = torch.stack([reduced, reduced], dim=1)
    return MSMSegOutput(logits, channels, channels[:, :, :1])


def test_dice_and_focal_equal_monai_on_hard_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, *SIZE, generator=generator)
    truth = (torch.rand(2, 3, *SIZE, generator=generator) > 0.7).float()
    smooth = SMOOTHING * 8**3
    dice = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth)(logits, truth)
    focal = FocalLoss(gamma=2.0)(logits, truth)
    torch.testing.assert_close(dice_focal(logits, truth), dice + focal)


def test_a_perfect_answer_costs_nothing_and_the_parts_add_up() -> None:
    regions = torch.zeros(1, 3, *SIZE)
    regions[..., 2:6, 2:6, 2:6] = 1
    perfect = msm_seg_loss(output(40 * regions - 20), regions.byte())
    assert perfect.total < 1e-3
    wrong = msm_seg_loss(output(20 - 40 * regions), regions)
    assert wrong.total > 3
    torch.testing.assert_close(sum(wrong.parts.values()), wrong.total.item())
    assert set(wrong.parts) == {"prompt", "modal", "fusion"}


def test_empty_regions_are_finite_and_false_positives_in_them_cost() -> None:
    regions = torch.zeros(1, 3, *SIZE)
    logits = torch.zeros(1, 3, *SIZE, requires_grad=True)
    loss = msm_seg_loss(output(logits), regions).total
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert (logits.grad > 0).all()
    assert msm_seg_loss(output(logits.detach() - 20), regions).total < 0.01
