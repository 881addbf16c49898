"""CycleGAN: losses, pool, exact resumption; a toy domain is translated while its blobs stay where they are."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oncoprompt.adaptation.cyclegan import (
    CycleGAN,
    CycleGANConfig,
    CycleGANTraining,
    ImagePool,
    Pair,
    ResNetGenerator,
    edge_consistency,
    generator_losses,
    rate_factor,
    segmentation_consistency,
    translate,
)
from oncoprompt.errors import InputError

SMALL = CycleGANConfig(
    channels=1, width=4, blocks=1, edge_kernel=3, discriminator_width=4, discriminator_layers=2, steps=60
)
SIDE = 16


def _blob(rng: np.random.Generator) -> Tensor:
    """Mask [1, 1, 16, 16, 16] of a ball somewhere."""
    centre = rng.uniform(5, 11, 3)
    axes = np.indices((SIDE,) * 3) + 0.5
    inside = sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) < rng.uniform(2.5, 4.5) ** 2
    return torch.from_numpy(inside.astype(np.float32))[None, None]


def _image(mask: Tensor, background: float, blob: float, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.normal(0, 0.1, mask.shape).astype(np.float32))
    return background + (blob - background) * mask + noise


def _segmenter() -> Callable[[Tensor], Tensor]:
    """Region logits of one that knows blobs by being brighter than the image's median, whatever its level."""

    def segment(images: Tensor) -> Tensor:
        return (8.0 * (images - images.median() - 0.6)).expand(-1, 3, -1, -1, -1)

    return segment


def _pairs(index: int) -> Pair:
    """Synthetic: blobs of 1 in 0. Real: blobs of 3 in 1.5."""
    rng = np.random.default_rng(index)
    mask = _blob(rng)
    return Pair(
        synthetic=_image(mask, 0.0, 1.0, rng),
        regions=mask.expand(-1, 3, -1, -1, -1),
        real=_image(_blob(rng), 1.5, 3.0, rng),
        segment=_segmenter(),
    )


def test_losses_are_zero_for_identity_generators_on_identical_domains():
    model = CycleGAN(SMALL)
    model.to_real = model.to_synthetic = nn.Identity()
    rng = np.random.default_rng(0)
    mask = _blob(rng)
    image = _image(mask, 0.0, 1.0, rng)
    pair = Pair(image, mask.expand(-1, 3, -1, -1, -1), image, lambda _: 40 * mask.expand(-1, 3, -1, -1, -1) - 20)
    losses, to_real, to_synthetic = generator_losses(model, pair, SMALL)
    assert torch.equal(to_real, image)
    assert torch.equal(to_synthetic, image)
    assert {name: float(losses[name].detach()) for name in ("cycle", "identity", "edges")} == {
        "cycle": 0,
        "identity": 0,
        "edges": 0,
    }
    assert float(losses["consistency"]) == pytest.approx(0, abs=1e-5)


def test_weights_start_from_the_stated_deviation_and_sizes_are_kept():
    torch.manual_seed(0)
    generator = ResNetGenerator(CycleGANConfig(width=8, blocks=2, edge_kernel=3))
    weight = generator.layers[0].weight.detach()
    assert float(weight.mean()) == pytest.approx(0, abs=2e-3)
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    x = torch.randn(1, 4, 8, 12, 16)
    assert generator(x).shape == x.shape


def test_sizes_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(InputError, match="multiples of 4"):
        ResNetGenerator(SMALL)(torch.zeros(1, 1, 8, 8, 10))


def test_consistency_is_the_cross_entropy_of_the_right_class_where_rare_classes_weigh_as_much():
    regions = torch.zeros(1, 3, 4, 2, 2)
    regions[:, :2, 0] = 1
    logits = torch.zeros(1, 3, 4, 2, 2)
    logits[:, 1] = -1.0
    logits[:, 2] = -2.0
    whole, core, enhancing = torch.sigmoid(torch.tensor([0.0, -1.0, -2.0]))
    expected = -(torch.log(core - enhancing) + torch.log(1 - whole)) / 2
    assert float(segmentation_consistency(logits, regions)) == pytest.approx(float(expected), rel=1e-5)


def test_edges_in_the_tumour_may_not_change_but_intensities_may():
    rng = np.random.default_rng(1)
    mask = _blob(rng)
    image = _image(mask, 0.0, 1.0, rng)
    assert float(edge_consistency(image, image + 4.0, mask)) == pytest.approx(0, abs=1e-6)
    assert float(edge_consistency(image, image + (1 - mask), mask)) == pytest.approx(0, abs=1e-6)
    assert float(edge_consistency(image, 2 * image, mask)) > 0.02
    assert float(edge_consistency(image, 2 * image, torch.zeros_like(mask))) == 0


def test_the_pool_gives_back_old_images_half_of_the_time_once_it_is_full():
    pool, rng = ImagePool(5), np.random.default_rng(0)
    given = [int(pool.exchange(torch.tensor(i), rng)) for i in range(405)]
    assert given[:5] == [0, 1, 2, 3, 4]
    new = sum(value == i for i, value in enumerate(given[5:], start=5))
    assert 160 < new < 240
    assert all(value <= i for i, value in enumerate(given))
    assert max(given.count(value) for value in set(given)) == 2


def test_the_learning_rate_is_constant_for_half_of_the_steps_and_then_falls_to_zero():
    assert [rate_factor(p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1, 1, 1, 0.5, 0]


def test_a_stopped_training_goes_on_exactly_as_it_would_have(tmp_path):
    whole = CycleGANTraining(SMALL, seed=3)
    losses = list(whole.run(_pairs, until=5))
    first = CycleGANTraining(SMALL, seed=3)
    before = list(first.run(_pairs, until=2))
    torch.save(first.state(), tmp_path / "state.pt")
    second = CycleGANTraining(SMALL, seed=99)
    second.load(torch.load(tmp_path / "state.pt", weights_only=True))
    assert before + list(second.run(_pairs, until=5)) == losses
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_a_state_of_other_sizes_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        CycleGANTraining(CycleGANConfig(width=4, blocks=1)).load(CycleGANTraining(SMALL).state())


def test_the_segmenter_is_left_alone():
    segmenter = nn.Conv3d(1, 3, 1)
    pair = _pairs(0)
    before = segmenter.weight.detach().clone()
    losses = CycleGANTraining(SMALL).step(Pair(pair.synthetic, pair.regions, pair.real, segmenter))
    assert losses["consistency"] > 0
    assert segmenter.weight.grad is None
    assert torch.equal(segmenter.weight, before)


def _distance(first: Tensor, second: Tensor) -> float:
    """Wasserstein-1 distance of two intensity distributions of equal size."""
    return float((first.flatten().sort().values - second.flatten().sort().values).abs().mean())


def _overlap(image: Tensor, mask: Tensor) -> float:
    found = image > image.median() + 0.6
    return float(2 * (found & (mask > 0)).sum() / (found.sum() + mask.sum()))


TOY = CycleGANConfig(
    channels=1,
    width=4,
    blocks=1,
    edge_kernel=3,
    discriminator_width=8,
    discriminator_layers=1,
    learning_rate=3e-3,
    consistency=3.0,
    steps=60,
)
UNSEEN = range(1000, 1006)


def _trained(config: CycleGANConfig, pairs: Callable[[int], Pair]) -> nn.Module:
    training = CycleGANTraining(config, seed=1)
    for _ in training.run(pairs):
        pass
    return training.model.to_real.requires_grad_(False)


def test_translations_have_the_real_intensities_and_their_blobs_where_they_were():
    to_real = _trained(TOY, _pairs)
    unseen = [_pairs(index) for index in UNSEEN]
    before = sum(_distance(pair.synthetic, pair.real) for pair in unseen)
    after = sum(_distance(to_real(pair.synthetic), pair.real) for pair in unseen)
    assert after < 0.25 * before
    assert min(_overlap(to_real(pair.synthetic), pair.regions[:, :1]) for pair in unseen) > 0.8


@pytest.mark.slow
def test_lesions_that_real_scans_do_not_have_are_erased_without_the_consistency_and_kept_with_it():
    def without_blobs(index: int) -> Pair:
        pair, rng = _pairs(index), np.random.default_rng(index + 10**6)
        return replace(pair, real=_image(torch.zeros_like(pair.real), 1.5, 3.0, rng))

    # twice as long: after 60 steps how much is erased still depends on the processor's last bits
    longer = replace(TOY, steps=2 * TOY.steps)
    erasing = _trained(replace(longer, consistency=0.0, edges=0.0), without_blobs)
    keeping = _trained(longer, without_blobs)
    unseen = [without_blobs(index) for index in UNSEEN]
    erased, kept = (
        [_overlap(to_real(pair.synthetic), pair.regions[:, :1]) for pair in unseen] for to_real in (erasing, keeping)
    )
    assert max(erased) < 0.3
    assert min(kept) > 0.8


def test_a_translation_takes_any_subset_and_order_of_channels():
    class Doubled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * x + x[:, :1]

    images = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    out = translate(Doubled(), images, ("t2f", "ct", "t1n"), ("t1n", "t1c", "t2w", "t2f"))
    assert torch.allclose(out[0], 2 * images[0] + images[2])
    assert torch.equal(out[1], images[1])
    assert torch.allclose(out[2], 3 * images[2])
