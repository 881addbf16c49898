"""The compact network: prompts, nesting, gradients, learning."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg import MSMSeg, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.mf_decoder import nest, unpack

FOUR = ("t1n", "t1c", "t2w", "t2f")


@pytest.fixture(scope="module")
def model() -> MSMSeg:
    torch.manual_seed(0)
    return MSMSeg().eval()


def noise(batch: int, channels: int, size: tuple[int, int, int], seed: int = 1) -> Tensor:
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def maps(batch: int, size: tuple[int, int, int], box: bool = False, click: bool = False) -> PromptMaps:
    shading, clicks = torch.zeros(batch, 1, *size), torch.zeros(batch, 2, *size)
    if box:
        shading[..., 4:12, 2:10, 6:14] = 1
    if click:
        clicks[:, 0, 7:9, 7:9, 7:9] = 1
    return PromptMaps(shading, clicks)


def test_it_stays_below_six_million_parameters(model: MSMSeg) -> None:
    assert sum(p.numel() for p in model.parameters()) <= 6_000_000


@pytest.mark.parametrize("size", [(8, 8, 8), (16, 24, 8), (24, 16, 40)])
def test_output_has_the_size_of_the_images_for_any_multiple_of_eight(model: MSMSeg, size: tuple[int, int, int]) -> None:
    with torch.no_grad():
        output = model(noise(1, 1, size), ("ct",))
    assert output.logits.shape == (1, 3, *size)
    assert output.guidance.shape == (1, 1, 1, *(n // 2 for n in size))


def test_a_size_that_is_no_multiple_of_eight_is_refused_with_what_was_found(model: MSMSeg) -> None:
    with pytest.raises(InputError, match=r"multiples of 8.*\(8, 12, 8\)"):
        model(noise(1, 1, (8, 12, 8)), ("t1c",))


def test_roles_and_channels_must_agree(model: MSMSeg) -> None:
    with pytest.raises(InputError, match="one role a channel"):
        model(noise(1, 2, (8, 8, 8)), ("t1c",))


def test_the_same_input_gives_the_same_output(model: MSMSeg) -> None:
    images = noise(1, 2, (16, 16, 16))
    model.train()
    with torch.no_grad():
        assert torch.equal(model(images, FOUR[:2]).logits, model(images, FOUR[:2]).logits)
    model.eval()


def test_one_encoding_serves_every_prompt_and_each_prompt_changes_the_answer(model: MSMSeg) -> None:
    size = (16, 16, 16)
    with torch.no_grad():
        pyramid = model.encode(noise(1, 2, size), FOUR[:2])
        copies = [level.clone() for level in (pyramid.coarse, pyramid.middle, pyramid.fine)]
        automatic = model.decode(pyramid).logits
        boxed = model.decode(pyramid, maps(1, size, box=True)).logits
        clicked = model.decode(pyramid, maps(1, size, click=True)).logits
        again = model.decode(pyramid).logits
    assert all(torch.equal(a, b) for a, b in zip(copies, (pyramid.coarse, pyramid.middle, pyramid.fine), strict=True))
    assert torch.equal(automatic, again)
    assert not torch.allclose(automatic, boxed)
    assert not torch.allclose(automatic, clicked)
    assert not torch.allclose(boxed, clicked)


def test_empty_prompt_maps_mean_automatic_for_each_sample_of_a_batch(model: MSMSeg) -> None:
    size = (16, 16, 16)
    images, prompt = noise(2, 1, size), maps(2, size, box=True)
    prompt.box[1] = 0
    with torch.no_grad():
        assert torch.equal(model(images, FOUR[1:2], maps(2, size)).logits, model(images, FOUR[1:2]).logits)
        both = model(images, FOUR[1:2], prompt).logits
        first = model(images[:1], FOUR[1:2], maps(1, size, box=True)).logits
        second = model(images[1:], FOUR[1:2]).logits
    torch.testing.assert_close(both, torch.cat([first, second]), atol=1e-4, rtol=1e-4)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e4]))
def test_regions_are_nested_whatever_the_raw_logits(seed: int, scale: float) -> None:
    raw = scale * torch.randn(2, 3, 8, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    nested = nest(raw)
    assert (nested[:, 2] <= nested[:, 1]).all()
    assert (nested[:, 1] <= nested[:, 0]).all()
    assert torch.equal(nested[:, 0], raw[:, 0])
    torch.testing.assert_close(nested[:, 2], raw.amin(1), atol=1e-3 * scale, rtol=1e-4)


def test_sub_voxels_return_to_their_places() -> None:
    full = torch.randn(1, 3, 4, 6, 8)
    packed = full.reshape(1, 3, 2, 2, 3, 2, 4, 2).permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(1, 3, 8, 2, 3, 4)
    assert torch.equal(unpack(packed, (2, 2, 2)), full)


def test_the_gradient_reaches_every_parameter(model: MSMSeg) -> None:
    size = (24, 16, 16)
    output = model(noise(1, 3, size), ("t1c", "t2f", "pet"), maps(1, size, box=True, click=True))
    regions = torch.zeros(1, 3, *size)
    regions[:, :, 8:16, 4:12, 4:12] = 1
    model.zero_grad()
    msm_seg_loss(output, regions).total.backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_few_steps_on_one_item_lower_the_loss() -> None:
    torch.manual_seed(0)
    network, size = MSMSeg(), (16, 16, 16)
    regions = torch.zeros(1, 3, *size)
    regions[:, 0, 4:12, 2:10, 6:14] = 1
    regions[:, 1:, 6:10, 4:8, 8:12] = 1
    images = 0.3 * noise(1, 2, size) + torch.stack([regions[:, 0], regions[:, 2]], dim=1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(15):
        loss = msm_seg_loss(network(images, ("t2f", "t1c"), maps(1, size, box=True)), regions)
        optimiser.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.6 * losses[0]
