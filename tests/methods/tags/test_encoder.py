"""The encoder of TAGS: its parameters, crops of any size, and what is trained."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.encoder import Block, TagsEncoder
from oncoprompt.methods.tags.windows import Windows

PARTS = {
    "adapter": 7_220_736,
    "neck": 7_868_416,
    "alignment": 2_359_296,
    "slice_embed": 13_056,
    "depth_embed": 24_576,
    "norm": 36_864,
    "rel_pos_d": 46_336,
}
FROZEN = {
    "projection": 590_592,
    "pos_embed": 3_145_728,
    "qkv": 21_261_312,
    "proj": 7_087_104,
    "mlp": 56_669_184,
    "rel_pos_h": 46_336,
    "rel_pos_w": 46_336,
    "position_scale": 12,
}


def encoder(config: TagsConfig, seed: int = 0) -> TagsEncoder:
    torch.manual_seed(seed)
    return TagsEncoder(config.small())


def counted(config: TagsConfig) -> tuple[Counter[str], Counter[str]]:
    """Trained and frozen parameters by part."""
    with torch.device("meta"):
        network = TagsEncoder(config)
    trained: Counter[str] = Counter()
    frozen: Counter[str] = Counter()
    for name, parameter in network.named_parameters():
        words = name.replace("norm1", "norm").replace("norm2", "norm").split(".")
        part = next(word for word in words if word in (PARTS | FROZEN))
        (trained if parameter.requires_grad else frozen)[part] += parameter.numel()
    return trained, frozen


def test_the_published_encoder_has_the_parameters_of_its_table() -> None:
    trained, frozen = counted(TagsConfig.faithful())
    assert trained == PARTS
    assert frozen == FROZEN
    assert trained.total() == 17_569_280
    assert frozen.total() == 88_846_604


def test_without_alignment_it_is_that_of_3dsam_adapter() -> None:
    trained, frozen = counted(replace(TagsConfig.faithful(), alignment=False))
    assert trained.total() == 15_209_984
    assert frozen.total() == 88_846_604


def test_gates_are_all_that_our_form_has_more() -> None:
    assert counted(TagsConfig.plus())[0].total() == 17_569_280 + 4


def test_trainable_names_are_all_that_gradients_reach() -> None:
    network = encoder(TagsConfig.faithful())
    features = network(torch.randn(1, 3, 16, 16, 24))
    sum(x.square().sum() for x in (*features.stages, *features.alignments)).backward()
    reached = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert reached == set(network.trainable_names())
    assert len(reached) < len(list(network.parameters()))


@pytest.mark.parametrize("config", [TagsConfig.faithful(), TagsConfig.plus()])
@pytest.mark.parametrize("size", [(32, 32, 32), (12, 20, 44), (4, 64, 16)])
def test_any_crop_gives_features_on_the_grid_of_its_tokens(config: TagsConfig, size: tuple[int, int, int]) -> None:
    network, volume = encoder(config), torch.randn(2, 3, *size)
    with torch.no_grad():
        features = network(volume)
    grid = tuple(side // 4 for side in size)
    assert [x.shape for x in features.stages] == [(2, 16, *grid)] * 4
    assert [x.shape for x in features.alignments] == [(2, 24, *grid)] * 4
    assert torch.equal(features.image, volume[:, :1])
    assert all(bool(x.isfinite().all()) for x in features.stages)


def test_items_of_a_batch_do_not_see_one_another() -> None:
    network, volume = encoder(TagsConfig.faithful()), torch.randn(2, 3, 20, 24, 36)
    with torch.no_grad():
        both, second = network(volume), network(volume[1:])
    for mine, alone in zip(both.stages, second.stages, strict=True):
        torch.testing.assert_close(mine[1:], alone, atol=1e-5, rtol=1e-5)


def test_folded_and_unfolded_give_the_same_features() -> None:
    network, volume = encoder(TagsConfig.faithful()), torch.randn(1, 3, 16, 24, 20)
    with torch.no_grad():
        folded = network(volume)
        unfolded = network.encode_tokens(network.patch_embedding.unfolded(volume), volume[:, :1])
    for mine, theirs in zip(folded.stages, unfolded.stages, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_every_second_block_shifts_its_windows_the_first_too(monkeypatch: pytest.MonkeyPatch) -> None:
    shifts: list[tuple[int, ...]] = []
    forward = Block.forward

    def spy(block: Block, x: torch.Tensor, windows: Windows, mask: torch.Tensor | None) -> torch.Tensor:
        shifts.append(windows.shifts)
        return forward(block, x, windows, mask)

    monkeypatch.setattr(Block, "forward", spy)
    with torch.no_grad():
        encoder(TagsConfig.faithful())(torch.randn(1, 3, 32, 32, 32))
    assert shifts == [(2, 2, 2), (0, 0, 0)] * 2


def test_the_adapter_comes_before_the_attention() -> None:
    torch.manual_seed(0)
    block, x = Block(TagsConfig.faithful().small(), 27), torch.randn(1, 4, 4, 4, 24)
    windows = Windows((4, 4, 4), 4, shifted=False)
    with torch.no_grad():
        whole, adapted = block(x, windows, None), block.adapter(x)
        block.adapter = torch.nn.Identity()
        torch.testing.assert_close(whole, block(adapted, windows, None))
        assert not torch.allclose(whole, block(x, windows, None))


def test_a_stages_alignment_changes_its_features_and_all_that_follow() -> None:
    network, volume = encoder(TagsConfig.faithful()), torch.randn(1, 3, 16, 16, 16)
    with torch.no_grad():
        before = network(volume)
        network.stages[1].alignment.linear.weight.neg_()
        after = network(volume)
    for kind in ("stages", "alignments"):
        pairs = zip(getattr(before, kind), getattr(after, kind), strict=True)
        assert [torch.equal(mine, theirs) for mine, theirs in pairs] == [True, False, False, False]


def test_our_form_starts_as_sams_blocks_alone() -> None:
    network, volume = encoder(TagsConfig.plus()), torch.randn(1, 3, 16, 16, 16)
    with torch.no_grad():
        before = network(volume)
        for name, parameter in network.named_parameters():
            if ".adapter.down." in name or ".adapter.neighbours." in name or ".alignment.linear." in name:
                parameter.normal_()
        after = network(volume)
    for mine, theirs in zip(before.stages, after.stages, strict=True):
        assert torch.equal(mine, theirs)


def test_checkpointing_gives_the_same_gradients_and_keeps_less() -> None:
    volume, gradients, kept = torch.randn(1, 3, 24, 16, 16), [], []
    for checkpointing in (False, True):
        network = encoder(TagsConfig.faithful()).train()
        network.checkpointing = checkpointing
        saved: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(partial(counting, saved), lambda tensor: tensor):
            features = network(volume)
        sum(x.square().mean() for x in features.stages).backward()
        gradients.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
        kept.append(sum(saved))
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)
    assert kept[1] < kept[0] / 2


def counting(saved: list[int], tensor: torch.Tensor) -> torch.Tensor:
    saved.append(tensor.numel())
    return tensor


def test_half_precision_gives_nearly_the_same_and_trains() -> None:
    network, volume = encoder(TagsConfig.faithful()), torch.randn(1, 3, 16, 20, 16)
    with torch.no_grad():
        single = network(volume)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(volume)
    for mine, theirs in zip(half.stages, single.stages, strict=True):
        assert (mine.float() - theirs).abs().mean() < 0.05 * theirs.abs().mean()
    sum(x.float().square().mean() for x in half.stages).backward()
    table = dict(network.named_parameters())["blocks.0.attn.rel_pos_d"]
    assert table.grad is not None
    assert bool(table.grad.isfinite().all())
    assert table.grad.any()


@pytest.mark.parametrize("shape", [(1, 2, 16, 16, 16), (1, 3, 16, 16, 18), (1, 3, 16, 16), (1, 3, 0, 16, 16)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        encoder(TagsConfig.faithful())(torch.zeros(shape))
