"""The loss of alignment with words: its formulas, its floor with two softmaxes, and what lowers it."""

import math

import pytest
import torch
from monai.losses import DiceLoss

from oncoprompt.methods.tags.alignment_loss import alignment_loss, focal_loss, similarity, soft_dice_loss


@pytest.fixture
def text():
    """Orthogonal vectors of a healthy organ and of a tumour."""
    return torch.eye(6)[:, :2].contiguous()


@pytest.fixture
def tumour():
    """A cube in a crop of 16."""
    mask = torch.zeros(1, 1, 16, 16, 16, dtype=torch.uint8)
    mask[..., 4:12, 4:12, 4:12] = 1
    return mask


def tokens_of(mask: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Tokens [1, C, 4, 4, 4] that point at the word which is true in most of their voxels."""
    share = torch.nn.functional.avg_pool3d(mask.float(), 4)[0, 0]
    return torch.where(share[..., None] > 0.5, text[:, 1], text[:, 0]).permute(3, 0, 1, 2)[None]


def test_the_similarity_is_a_hundred_times_the_cosine(text):
    tokens = torch.randn(2, 6, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    found = similarity(tokens, text)
    wanted = torch.stack(
        [torch.cosine_similarity(tokens, text[None, :, k, None, None, None], dim=1) for k in (0, 1)], 1
    )
    assert found.shape == (2, 2, 3, 2, 4)
    assert torch.allclose(found, 100 * wanted, atol=1e-4)
    assert torch.isfinite(similarity(torch.zeros(1, 6, 1, 1, 1), text)).all()


def test_with_two_softmaxes_the_focal_loss_of_a_perfect_answer_is_the_floor_of_the_released_code(tumour):
    perfect = torch.cat([1.0 - tumour.float(), tumour.float()], dim=1)
    share = math.e / (math.e + 1.0)
    floor = -((1.0 - share) ** 2) * math.log(share)
    assert floor == pytest.approx(0.0227, abs=5e-5)
    assert float(focal_loss(perfect.softmax(1), tumour)) == pytest.approx(floor, abs=1e-5)
    assert float(focal_loss(perfect, tumour)) == pytest.approx(0.0, abs=1e-6)


def test_no_answer_falls_below_the_floor(tumour):
    generator = torch.Generator().manual_seed(1)
    for sharpness in (0.1, 10.0, 1000.0):
        logits = sharpness * torch.randn(1, 2, 16, 16, 16, generator=generator)
        assert float(focal_loss(logits.softmax(1).softmax(1), tumour)) > 0.0226


def test_focal_loss_is_that_of_its_formula(tumour):
    shares = torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(2)) * 0.8 + 0.1
    shares = torch.cat([1.0 - shares, shares], dim=1)
    true = torch.where(tumour > 0, shares[:, 1:], shares[:, :1])
    assert float(focal_loss(shares, tumour)) == pytest.approx(float((-((1 - true) ** 2) * true.log()).mean()), abs=1e-4)


def test_dice_is_monais_for_one_channel(tumour):
    shares = torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(3))
    for mask in (tumour, torch.zeros_like(tumour)):
        assert float(soft_dice_loss(shares, mask)) == pytest.approx(float(DiceLoss()(shares, mask.float())), abs=1e-6)


def test_tokens_that_point_at_the_true_word_have_the_lowest_loss(text, tumour):
    right, wrong = tokens_of(tumour, text), tokens_of(1 - tumour, text)
    losses = [float(alignment_loss([tokens], text, tumour)) for tokens in (right, wrong)]
    # not 0: tokens are coarser than the mask
    assert losses[0] < 0.4 < 0.2 * losses[1]
    assert float(alignment_loss([right, right], text, tumour)) == pytest.approx(2 * losses[0], rel=1e-5)
    everywhere = torch.ones_like(tumour)
    sure = [alignment_loss([tokens_of(everywhere, text)], text, everywhere, double) for double in (False, True)]
    assert [float(loss) for loss in sure] == pytest.approx([0.0, 0.5 * 0.02266], abs=1e-5)
    assert float(alignment_loss([], text, tumour)) == 0.0


def test_the_loss_is_finite_and_has_a_gradient_where_half_precision_would_have_none(text, tumour):
    tokens = torch.randn(1, 6, 4, 4, 4, generator=torch.Generator().manual_seed(4)).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = alignment_loss([tokens.bfloat16()], text, tumour)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(tokens.grad).all()
    assert float(tokens.grad.abs().sum()) > 0
    single = float(alignment_loss([tokens.detach()], text, tumour))
    assert float(loss.detach()) == pytest.approx(single, rel=0.05)
