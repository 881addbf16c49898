"""The companion sees prompts from its first layer on, and its answer is averaged with MSM-Seg's."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg import MSMSeg, MSMSegConfig, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.companion import Companion
from oncoprompt.methods.msm_seg.parameters import analytic_parameter_count

WIDTHS = (8, 8, 16, 16)
ROLES = ("t1n", "t1c", "t2w", "t2f")


def images(*size: int, channels: int = 4) -> Tensor:
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(3))


def box_maps(size: tuple[int, int, int]) -> PromptMaps:
    box = torch.zeros(1, 1, *size)
    box[..., 4:12, 4:12, 4:12] = 1.0
    return PromptMaps(box, torch.zeros(1, 2, *size))


def awake(seed: int = 0) -> Companion:
    """A companion whose prompts have been given some weight, which training starts without."""
    torch.manual_seed(seed)
    companion = Companion(WIDTHS).eval()
    torch.nn.init.normal_(companion.prompt_stem, std=0.2)
    return companion


@settings(max_examples=12)
@given(st.permutations(range(4)), st.integers(1, 4))
def test_order_of_the_channels_does_not_matter(order: list[int], count: int) -> None:
    kept, companion, volume = order[:count], awake(), images(16, 16, 16)
    with torch.no_grad():
        given = companion.decode(companion.encode(volume[:, kept], [ROLES[c] for c in kept]))
        usual = companion.decode(companion.encode(volume[:, sorted(kept)], [ROLES[c] for c in sorted(kept)]))
    torch.testing.assert_close(given, usual, atol=1e-4, rtol=1e-4)


@settings(max_examples=12)
@given(st.tuples(*[st.integers(1, 4).map(lambda n: 8 * n)] * 3))
def test_every_multiple_of_eight_is_a_size_and_regions_are_nested(size: tuple[int, int, int]) -> None:
    companion = awake()
    with torch.no_grad():
        logits = companion.decode(companion.encode(images(*size), ROLES), PromptMaps(*maps_of(size)))
    assert logits.shape == (1, 3, *size)
    assert (logits[:, 2] <= logits[:, 1]).all()
    assert (logits[:, 1] <= logits[:, 0]).all()


def maps_of(size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    return torch.ones(1, 1, *size), torch.zeros(1, 2, *size)


def test_a_box_is_seen_and_empty_maps_are_no_prompt() -> None:
    size, companion = (16, 16, 24), awake()
    empty = PromptMaps(torch.zeros(1, 1, *size), torch.zeros(1, 2, *size))
    with torch.no_grad():
        features = companion.encode(images(*size), ROLES)
        automatic, boxed = companion.decode(features), companion.decode(features, box_maps(size))
        assert torch.equal(automatic, companion.decode(features, empty))
    assert not torch.allclose(automatic, boxed, atol=1e-3)


def test_the_answer_is_the_average_of_both_and_each_is_trained() -> None:
    torch.manual_seed(1)
    size = (16, 16, 16)
    network = MSMSeg(replace(MSMSegConfig.compact(), companion=WIDTHS))
    output = network(images(*size), ROLES, box_maps(size))
    assert output.companion is not None
    torch.testing.assert_close(output.logits, (output.fused + output.companion) / 2)
    loss = msm_seg_loss(output, torch.zeros(1, 3, *size))
    assert loss.parts["companion"] > 0
    loss.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.companion.parameters())


def test_without_a_companion_the_network_is_what_it_was() -> None:
    torch.manual_seed(1)
    alone = MSMSeg()
    assert not [name for name in alone.state_dict() if "companion" in name]
    output = alone(images(16, 16, 16), ROLES)
    assert output.companion is None
    assert output.logits is output.fused


def test_parameters_are_those_of_the_formula() -> None:
    config = replace(MSMSegConfig.compact(), companion=(32, 64, 96, 128))
    counted = sum(p.numel() for p in MSMSeg(config).parameters())
    assert counted == analytic_parameter_count(config)["total"]


def test_hiera_takes_no_companion() -> None:
    with pytest.raises(InputError, match="compact backbone alone"):
        replace(MSMSegConfig.hiera("tiny"), companion=WIDTHS)
