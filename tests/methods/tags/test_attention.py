"""Attention in windows against brute force, and against SAM's own in a plane."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from methods.medsam.original_sam import original_sam
from oncoprompt.methods.tags.attention import WindowAttention


def attention(window: int, table: int, heads: int = 2) -> WindowAttention:
    torch.manual_seed(0)
    module = WindowAttention(12, heads, window, table)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
        module.position_scale.fill_(0.7)
    return module


def brute_force(module: WindowAttention, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Every pair of tokens by itself."""
    n, length, width = x.shape
    size, channels = module.window, width // module.heads
    query, key, value = module.qkv(x).view(n, length, 3, module.heads, channels).permute(2, 0, 3, 1, 4)
    wanted = 2 * size - 1
    tables = [
        functional.interpolate(table.T[None], wanted, mode="linear")[0].T
        for table in (module.rel_pos_d, module.rel_pos_h, module.rel_pos_w)
    ]
    places = torch.ones(size, size, size).nonzero().tolist()
    logits = torch.zeros(n, module.heads, length, length)
    for i, mine in enumerate(places):
        for j, theirs in enumerate(places):
            entry = sum(table[a - b + size - 1] for table, a, b in zip(tables, mine, theirs, strict=True))
            bias = module.position_scale * (query[:, :, i] @ entry)
            logits[:, :, i, j] = (query[:, :, i] * key[:, :, j]).sum(-1) / channels**0.5 + bias
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], -torch.inf)
    mixed = logits.softmax(-1) @ value
    return module.proj(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize(("window", "table"), [(2, 3), (3, 5), (3, 27), (4, 31)])
def test_relative_positions_along_three_axes_equal_brute_force(window: int, table: int) -> None:
    module, x = attention(window, table), torch.randn(2, window**3, 12)
    with torch.no_grad():
        torch.testing.assert_close(module(x), brute_force(module, x), atol=1e-5, rtol=0)


def test_a_masked_token_has_no_influence() -> None:
    module, x = attention(3, 5), torch.randn(2, 27, 12)
    mask = (torch.rand(2, 27, 27) > 0.5) | torch.eye(27, dtype=torch.bool)
    mask[:, :9, 9:] = False
    changed = x.clone()
    changed[:, 9:] += 3
    with torch.no_grad():
        torch.testing.assert_close(module(x, mask), brute_force(module, x, mask), atol=1e-5, rtol=0)
        assert torch.equal(module(x, mask)[:, :9], module(changed, mask)[:, :9])


@pytest.mark.parametrize("block", [0, 1])
def test_a_plane_repeated_along_the_depth_is_attended_to_as_in_sam(block: int) -> None:
    theirs = original_sam(seed=3).image_encoder.blocks[block].attn
    side, width = 4, theirs.qkv.in_features
    module = WindowAttention(width, theirs.num_heads, side, len(theirs.rel_pos_h))
    # the table that SAM's resolution does not have
    module.load_state_dict({**module.state_dict(), **theirs.state_dict(), "rel_pos_d": 0 * theirs.rel_pos_h})
    plane = torch.randn(2, side, side, width)
    with torch.no_grad():
        found = module(plane[:, None].expand(2, side, side, side, width).flatten(1, 3))
        expected = theirs(plane)
    for slab in found.unflatten(1, (side, side, side)).unbind(1):
        torch.testing.assert_close(slab, expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_the_table_of_the_depth_alone() -> None:
    module = attention(3, 5)
    module(torch.randn(1, 27, 12)).sum().backward()
    reached = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert reached == {"rel_pos_d"}
    assert module.rel_pos_d.grad is not None
    assert module.rel_pos_d.grad.any()


def test_the_gradient_of_the_table_equals_brute_force() -> None:
    module, x = attention(2, 7), torch.randn(2, 8, 12)
    folded, pairs = (
        torch.autograd.grad(way(x).square().sum(), module.rel_pos_d)[0]
        for way in (module, lambda x: brute_force(module, x))
    )
    torch.testing.assert_close(folded, pairs, atol=1e-5, rtol=1e-4)


def test_half_precision_gives_nearly_the_same() -> None:
    module, x = attention(3, 5), torch.randn(2, 27, 12)
    with torch.no_grad():
        single = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = module(x)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), single, atol=0.1, rtol=0.05)
