"""MSM-Seg with parts of it left out: what is left out is gone, and what is left learns."""

import pytest
import torch
from torch import Tensor

from oncoprompt.mapping import updated
from oncoprompt.methods.msm_seg import MSMSeg, MSMSegConfig, MSMSegOutput, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.parameters import analytic_parameter_count

SIZE = (24, 16, 16)
ROLES = ("t1c", "t2f", "t1n")
ABLATIONS = {
    "no memory": {"memory": {"slices": 0, "channels": 0}},
    "slice bank": {"memory": {"channels": 0}},
    "channel bank": {"memory": {"slices": 0}},
    "no MCP-Encoder": {"prompt_encoder": {"guidance": False}},
    "no MF-Decoder": {"decoder": {"by_role": False}, "fusion": {"learned": False}},
    "nothing": {
        "memory": {"slices": 0, "channels": 0},
        "prompt_encoder": {"guidance": False},
        "decoder": {"by_role": False},
        "fusion": {"learned": False},
    },
}
every_ablation = pytest.mark.parametrize("name", ABLATIONS)


def network(name: str) -> MSMSeg:
    torch.manual_seed(0)
    return MSMSeg(updated(MSMSegConfig.compact(), ABLATIONS[name], "test"))


def images(seed: int = 1) -> Tensor:
    return torch.randn(1, len(ROLES), *SIZE, generator=torch.Generator().manual_seed(seed))


def prompt() -> PromptMaps:
    box, clicks = torch.zeros(1, 1, *SIZE), torch.zeros(1, 2, *SIZE)
    box[..., 4:18, 3:12, 5:13] = 1
    clicks[:, 0, 10:12, 7:9, 8:10] = 1
    return PromptMaps(box, clicks)


def answer(model: MSMSeg, maps: PromptMaps | None = None, volume: Tensor | None = None) -> MSMSegOutput:
    with torch.no_grad():
        out: MSMSegOutput = model.eval()(images() if volume is None else volume, ROLES, maps)
    return out


@every_ablation
def test_it_has_the_number_of_parameters_its_formulas_give(name: str) -> None:
    model = network(name)
    counted = {part: sum(p.numel() for p in child.parameters()) for part, child in model.named_children()}
    analytic = analytic_parameter_count(model.config)
    assert {part: number for part, number in analytic.items() if number} == {
        part: number for part, number in {**counted, "total": sum(counted.values())}.items() if number
    }


@every_ablation
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    model, regions = network(name), torch.zeros(1, 3, *SIZE)
    regions[..., 8:16, 4:12, 4:12] = 1
    msm_seg_loss(model(images(), ROLES, prompt()), regions).total.backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@every_ablation
def test_the_answer_is_nested_and_changes_with_the_prompt(name: str) -> None:
    model = network(name)
    automatic, asked = answer(model), answer(model, prompt())
    assert (asked.logits[:, 2] <= asked.logits[:, 1]).all()
    assert (asked.logits[:, 1] <= asked.logits[:, 0]).all()
    assert not torch.allclose(automatic.logits, asked.logits)


def test_empty_maps_mean_automatic_without_the_mcp_encoder() -> None:
    model = network("no MCP-Encoder")
    empty = PromptMaps(torch.zeros(1, 1, *SIZE), torch.zeros(1, 2, *SIZE))
    assert torch.equal(answer(model, empty).logits, answer(model).logits)
    assert answer(model).guidance is None


def test_without_memory_the_features_pass_msma_unchanged_and_no_slice_sees_another() -> None:
    model = network("no memory")
    assert not list(model.msma.parameters())
    assert model.memory_encoder is None
    tokens = torch.randn(2, 4, model.config.dim)
    codes = model.msma.codes((2, 2))
    assert torch.equal(model.msma(model.msma.prepare(tokens, (2, 2), codes), tokens, (), (), codes), tokens)
    assert reached(model, slice_=0, channel=0) == {(0, 0)}


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("slice bank", {(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)}),
        ("channel bank", {(0, 0), (0, 1), (0, 2)}),
    ],
)
def test_one_bank_alone_remembers_slices_or_channels(name: str, seen: set[tuple[int, int]]) -> None:
    assert reached(network(name), slice_=0, channel=0) == seen


def reached(model: MSMSeg, slice_: int, channel: int) -> set[tuple[int, int]]:
    """Frames (slice, channel) whose own prediction changes when the coarse features of one frame do."""
    with torch.no_grad():
        pyramid = model.eval().encode(images(), ROLES)
        before = model.decode(pyramid).channel_logits.unflatten(3, (-1, 4))
        pyramid.coarse[:, slice_, channel] += 1
        after = model.decode(pyramid).channel_logits.unflatten(3, (-1, 4))
    changed = (before != after).amax(dim=(0, 2, 4, 5, 6))
    return {(int(t), int(m)) for m, t in changed.nonzero()}


def test_without_the_mf_decoder_channels_share_a_token_and_their_mean_is_the_answer() -> None:
    model = network("no MF-Decoder")
    out = answer(model)
    fine = torch.nn.functional.avg_pool3d(out.logits, 2)
    torch.testing.assert_close(fine, out.channel_logits.mean(1))
    assert torch.equal(model.decoder.tokens("t1c", 1), model.decoder.tokens("t2f", 1))
