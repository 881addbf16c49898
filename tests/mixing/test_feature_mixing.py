"""Mixing inside a network: harmless at first, exact about labels, absent when off."""

import numpy as np
import pytest
import torch
from torch import nn

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg.compact import CompactBackbone
from oncoprompt.methods.msm_seg.config import CompactConfig
from oncoprompt.mixing.feature_mixing import (
    FeatureMixer,
    FeatureMixing,
    LabelMode,
    Partners,
    consistency_loss,
    noise_contrastive_loss,
    position_time_code,
)


def features(batch: int = 3, channels: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, channels, 4, 5, 6, generator=torch.Generator().manual_seed(seed))


def partners(mode: LabelMode, index: list[int], share: float = 0.3) -> Partners:
    n = len(index)
    return Partners(mode, torch.tensor(index), torch.rand(n, 3), torch.rand(n), torch.full((n,), share))


def mixer(align: bool = False, trained: bool = False) -> FeatureMixer:
    torch.manual_seed(0)
    made = FeatureMixer(8, align)
    if trained:
        nn.init.normal_(made.narrow.weight, std=0.3)
        if made.flow is not None:
            nn.init.normal_(made.flow.layers[2].weight, std=0.3)
    return made


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("bias", [-3.0, 0.0, 2.0])
@pytest.mark.parametrize("mode", list(LabelMode))
def test_a_partner_with_the_same_features_changes_nothing_at_first_for_any_gate(mode, bias, align):
    alike = features(1).expand(2, -1, -1, -1, -1)
    made = mixer(align)
    nn.init.constant_(made.gate.bias, bias)
    torch.testing.assert_close(made(alike, partners(mode, [1, 0])), alike, atol=1e-6, rtol=1e-5)


def test_an_open_gate_gives_back_the_sample_whatever_the_partner():
    made = mixer()
    nn.init.constant_(made.gate.bias, 20.0)
    x = features()
    torch.testing.assert_close(made(x, partners(LabelMode.complementary, [1, 2, 0])), x, atol=1e-5, rtol=0)


def test_a_half_open_gate_takes_from_the_partner():
    made = mixer()
    nn.init.constant_(made.gate.bias, 0.0)
    nn.init.zeros_(made.gate.weight)
    x = features()
    torch.testing.assert_close(made(x, partners(LabelMode.complementary, [1, 2, 0])), 0.5 * (x + x[[1, 2, 0]]))


def test_a_sample_without_partner_gives_the_same_as_no_partners_at_all():
    made, x = mixer(align=True, trained=True), features()
    alone = made(x, partners(LabelMode.complementary, [0, 1, 2]))
    assert bool(alone.isfinite().all())
    torch.testing.assert_close(alone, made(x))
    torch.testing.assert_close(made(x, partners(LabelMode.none, [1, 2, 0])), made(x))
    mixed = made(x, partners(LabelMode.complementary, [1, 1, 2]))
    torch.testing.assert_close(mixed[1:], made(x)[1:])
    assert float((mixed[0] - made(x)[0]).detach().abs().max()) > 1e-2


def test_mode_mixing_mixes_features_and_soft_labels_in_one_proportion():
    x, labels = features(), torch.eye(3).view(3, 3, 1, 1, 1).expand(3, 3, 4, 5, 6)
    who = partners(LabelMode.mixing, [1, 2, 0], share=0.3)
    torch.testing.assert_close(mixer()(x, who), 0.3 * x + 0.7 * x[[1, 2, 0]])
    torch.testing.assert_close(who.targets(labels)[0, :, 0, 0, 0], torch.tensor([0.3, 0.7, 0.0]))
    assert partners(LabelMode.complementary, [1, 2, 0]).targets(labels) is labels


def test_partners_are_others_unless_dropped_and_the_dropped_keep_their_labels():
    rng = np.random.default_rng(0)
    for _ in range(20):
        who = Partners.random(LabelMode.mixing, 5, rng, dropout=0.0)
        assert sorted(who.index.tolist()) == list(range(5))
        assert not bool((who.index == torch.arange(5)).any())
        assert bool(((who.share >= 0) & (who.share <= 1)).all())
    dropped = Partners.random(LabelMode.mixing, 5, rng, dropout=1.0)
    assert dropped.index.tolist() == list(range(5))
    labels = torch.rand(5, 3, 2, 2, 2)
    torch.testing.assert_close(dropped.targets(labels), labels)
    shares = [int((Partners.random(LabelMode.mixing, 8, rng).index == torch.arange(8)).sum()) for _ in range(50)]
    assert 3 < np.mean(shares) < 5


def test_partners_are_the_same_for_the_same_seed():
    first, second = (Partners.random(LabelMode.mixing, 6, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.index, second.index)
    assert torch.equal(first.share, second.share)


def test_wrong_partners_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="same patient"):
        Partners.random(LabelMode.complementary, 2, rng)
    with pytest.raises(InputError, match="places in the batch"):
        Partners.random(LabelMode.complementary, 2, rng, index=torch.tensor([0, 2]))
    with pytest.raises(InputError, match="2 samples but 3"):
        mixer()(features(3), partners(LabelMode.mixing, [1, 0]))


def test_every_parameter_learns_from_a_complementary_partner():
    made = mixer(align=True, trained=True)
    made(features(), partners(LabelMode.complementary, [1, 2, 0])).square().mean().backward()
    silent = [name for name, p in made.named_parameters() if p.grad is None or not bool(p.grad.abs().sum() > 0)]
    assert silent == []


def test_the_code_of_position_and_time_has_48_numbers_and_tells_places_apart():
    code = position_time_code(torch.tensor([[0.1, 0.2, 0.3], [0.1, 0.2, 0.4]]), torch.zeros(2))
    assert code.shape == (2, 48)
    assert float((code[0] - code[1]).norm()) > 0.5


def test_in_an_encoder_it_is_absent_when_off_and_takes_part_when_on():
    torch.manual_seed(0)
    config = CompactConfig()
    backbone = CompactBackbone(config, 32, 16, 8).eval()
    images = torch.randn(2, 1, 16, 16, 16)
    before, count = backbone(images, ["t1c"]).coarse, len(list(backbone.parameters()))
    mixing = FeatureMixing(backbone.block8, FeatureMixer(config.widths[2]))
    assert len(list(backbone.parameters())) == count
    assert torch.equal(backbone(images, ["t1c"]).coarse, before)
    mixing.partners = partners(LabelMode.mixing, [1, 0], share=0.5)
    mixed = backbone(images, ["t1c"]).coarse
    assert float((mixed - before).detach().abs().max()) > 1e-3
    mixed.square().mean().backward()
    assert mixing.mixer.narrow.weight.grad is not None
    mixing.detach()
    assert torch.equal(backbone(images, ["t1c"]).coarse, before)


def test_consistency_is_zero_for_equal_answers_and_is_a_divergence():
    logits = torch.randn(2, 3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    assert float(consistency_loss(logits, logits)) == pytest.approx(0.0, abs=1e-6)
    p, q = torch.tensor(0.8), torch.tensor(0.3)
    expected = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert float(consistency_loss(p.logit().view(1, 1), q.logit().view(1, 1))) == pytest.approx(
        float(expected), rel=1e-5
    )
    assert bool(consistency_loss(torch.tensor([[300.0]]), torch.tensor([[-300.0]])).isfinite())


def test_contrast_is_low_where_the_same_patients_match_and_high_where_they_are_swapped():
    x = features(4, 16)
    matched = noise_contrastive_loss(x, x + 0.01 * features(4, 16, seed=1))
    swapped = noise_contrastive_loss(x, x[[1, 2, 3, 0]])
    assert float(matched) < 0.2 < float(swapped)
