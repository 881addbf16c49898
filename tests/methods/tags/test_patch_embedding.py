"""The folded patch embedding against the one step by step, and positions of any grid."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from oncoprompt.methods.tags.patch_embedding import PatchEmbedding, TokenPositions

sides = st.integers(1, 4).map(lambda tokens: 4 * tokens)


class LargestTensor(TorchDispatchMode):
    """Remembers how many numbers the largest result of an operation had."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


def gradients(embedding: PatchEmbedding, tokens: Tensor) -> list[Tensor]:
    parameters = list(embedding.slice_embed.parameters())
    weights = torch.linspace(-1, 1, tokens.numel()).view_as(tokens)
    return list(torch.autograd.grad((tokens * weights).sum() / tokens.numel(), parameters))


@settings(max_examples=8)
@given(shape=st.tuples(st.integers(1, 2), st.just(3), sides, sides, sides), seed=st.integers(0, 99))
def test_folded_equals_unfolded_with_its_gradients(shape: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    embedding, volume = PatchEmbedding(8), torch.randn(shape)
    folded, unfolded = embedding(volume), embedding.unfolded(volume)
    assert folded.shape == (shape[0], *(side // 4 for side in shape[2:]), 8)
    torch.testing.assert_close(folded, unfolded, atol=1e-5, rtol=0)
    for mine, theirs in zip(gradients(embedding, folded), gradients(embedding, unfolded), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


def test_folded_equals_unfolded_at_the_width_of_vit_b() -> None:
    torch.manual_seed(0)
    embedding, volume = PatchEmbedding(768), torch.randn(1, 3, 8, 12, 16)
    with torch.no_grad():
        torch.testing.assert_close(embedding(volume), embedding.unfolded(volume), atol=1e-5, rtol=0)


def test_the_folded_form_never_makes_a_finer_volume() -> None:
    embedding, volume = PatchEmbedding(8), torch.randn(1, 3, 32, 32, 32)
    padded = 3 * 34**3
    with LargestTensor() as folded:
        embedding(volume)
    with LargestTensor() as unfolded:
        embedding.unfolded(volume)
    assert folded.numbers == padded
    assert unfolded.numbers >= 64 * volume.numel()


@pytest.mark.parametrize("place", [(0, 0, 0), (5, 9, 2), (3, 8, 11)])
def test_a_token_sees_its_four_voxels_a_side_and_one_beside(place: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    embedding, volume = PatchEmbedding(8), torch.randn(1, 3, 8, 12, 16)
    changed = volume.clone()
    changed[(0, 0, *place)] += 1
    with torch.no_grad():
        seen = (embedding(changed) - embedding(volume)).abs().amax(-1)[0] > 1e-6
    for token in torch.ones_like(seen).nonzero().tolist():
        near = all(4 * t - 1 <= voxel <= 4 * t + 4 for t, voxel in zip(token, place, strict=True))
        assert bool(seen[tuple(token)]) == near, token


def test_a_mean_of_slices_leaves_what_sam_sees_in_a_plane() -> None:
    torch.manual_seed(0)
    embedding = PatchEmbedding(8, mean_slices=True)
    plane = torch.randn(1, 3, 1, 12, 8)
    with torch.no_grad():
        tokens = embedding(plane.expand(1, 3, 8, 12, 8))
        fine = torch.nn.functional.interpolate(plane[:, :, 0], scale_factor=4, mode="bilinear")
        expected = embedding.projection(fine).movedim(1, -1)
    for slab in tokens.unbind(1):
        torch.testing.assert_close(slab, expected, atol=1e-5, rtol=0)


def test_only_the_convolution_along_the_depth_is_trained() -> None:
    trained = {name for name, parameter in PatchEmbedding(8).named_parameters() if parameter.requires_grad}
    assert trained == {"slice_embed.weight", "slice_embed.bias"}


def test_positions_of_the_published_grid_are_not_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    positions = TokenPositions(8, 6)
    torch.nn.init.normal_(positions.depth_embed)
    pooled = positions.pos_embed.unflatten(1, (8, 2)).unflatten(3, (8, 2)).mean((2, 4))
    monkeypatch.delattr(torch.nn.functional, "interpolate")
    expected = pooled[:, None] + positions.depth_embed[:, :, None, None]
    torch.testing.assert_close(positions((8, 8, 8)), expected)
    with pytest.raises(AttributeError):
        positions((8, 8, 4))


@settings(max_examples=15)
@given(grid=st.tuples(*[st.integers(1, 20)] * 3))
def test_positions_of_another_grid_keep_what_changes_linearly(grid: tuple[int, int, int]) -> None:
    positions, side = TokenPositions(8, 3), 8
    with torch.no_grad():
        place = (torch.arange(side) + 0.5) / side
        fine = (torch.arange(2 * side) + 0.5) / (2 * side)
        positions.pos_embed.zero_()
        positions.depth_embed.zero_()
        positions.depth_embed[..., 0] = place
        positions.pos_embed[..., 1] = fine[:, None]
        positions.pos_embed[..., 2] = fine
        found = positions(grid)[0]
    for axis, tokens in enumerate(grid):
        expected = ((torch.arange(tokens) + 0.5) / tokens).clamp(place[0], place[-1])
        along = found[..., axis].movedim(axis, 0).flatten(1)
        torch.testing.assert_close(along, expected[:, None].expand_as(along), atol=1e-5, rtol=0)


def test_the_depth_starts_at_one_as_published_or_at_nothing() -> None:
    assert bool((TokenPositions(4, 2).depth_embed == 1).all())
    assert not TokenPositions(4, 2, 0.0).depth_embed.any()
