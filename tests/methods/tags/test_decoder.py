"""The decoder: sizes, the split convolution, and a text that starts without effect."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.decoder import TagsDecoder

SHAPE = (16, 24, 32)


def decoder(config: TagsConfig | None = None) -> TagsDecoder:
    torch.manual_seed(0)
    return TagsDecoder((config or TagsConfig.faithful()).small()).eval()


def stages(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 16, *(n // 4 for n in shape), generator=generator) for _ in range(4)]


def image(shape: tuple[int, int, int] = SHAPE) -> Tensor:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(16, 16, 16), (8, 16, 24), SHAPE])
def test_logits_have_the_size_of_the_crop(shape: tuple[int, int, int]) -> None:
    network, x = decoder(), stages(shape)
    with torch.no_grad():
        assert network(network.fixed(x[:-1], image(shape)), x[-1], None, shape).shape == (1, 2, *shape)


def test_the_split_convolution_is_the_published_one_over_all_stages_and_the_image() -> None:
    network, x = decoder(), stages()
    with torch.no_grad():
        half = [2 * n for n in x[0].shape[2:]]
        small = functional.interpolate(image(), size=half, mode="trilinear")
        last = network.stages[3](x[3])
        together = torch.cat([*(s(y) for s, y in zip(network.stages[:3], x, strict=False)), small, last], dim=1)
        weight = torch.cat([network.fuse_fixed.weight, network.fuse_prompted.weight], dim=1)
        fused = functional.conv3d(together, weight, padding=1)
        expected = functional.interpolate(network.head(fused), size=SHAPE, mode="trilinear")
        found = network(network.fixed(x[:-1], image()), x[-1], None, SHAPE)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert weight.shape[:2] == (8, 4 * 8 + 1)


def test_the_image_and_each_stage_reach_the_answer() -> None:
    network, x = decoder(), [s.requires_grad_() for s in stages()]
    seen = image().requires_grad_()
    (network(network.fixed(x[:-1], seen), x[-1], None, SHAPE) ** 3).sum().backward()
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in (*x, seen))


def test_the_similarity_map_starts_without_effect_and_can_learn_one() -> None:
    network, x = decoder(TagsConfig.plus()), stages()
    similarity = torch.randn(1, 1, *x[0].shape[2:])
    fixed = network.fixed(x[:-1], image()).detach()
    before = network(fixed, x[-1], similarity, SHAPE)
    assert torch.equal(before, network(fixed, x[-1], None, SHAPE))
    assert network.fuse_text is not None
    (before**3).sum().backward()
    assert network.fuse_text.weight.grad is not None
    assert network.fuse_text.weight.grad.any()
    nn.init.normal_(network.fuse_text.weight)
    assert not torch.allclose(network(fixed, x[-1], similarity, SHAPE), before)


def test_only_a_form_that_hears_words_has_a_place_for_them() -> None:
    assert decoder().fuse_text is None
