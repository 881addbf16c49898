"""Windows of tokens: every token comes back, and none attends to one that only the roll or the padding brought."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.methods.tags.windows import Windows

grids = st.tuples(*[st.integers(1, 11)] * 3)


@settings(max_examples=60)
@given(grid=grids, side=st.integers(1, 4), shifted=st.booleans(), batch=st.integers(1, 2))
def test_split_and_join_give_every_token_back(grid: tuple[int, int, int], side: int, shifted: bool, batch: int) -> None:
    windows, x = Windows(grid, side, shifted), torch.randn(batch, *grid, 2)
    assert torch.equal(windows.join(windows.split(x)), x)


@settings(max_examples=40)
@given(grid=grids, side=st.integers(2, 4), shifted=st.booleans())
def test_a_token_attends_to_those_of_its_window_that_are_near_it_in_the_grid(
    grid: tuple[int, int, int], side: int, shifted: bool
) -> None:
    windows = Windows(grid, side, shifted)
    # places from 1, so that the zeros of the padding are known
    places = windows.split(torch.ones(grid).nonzero().view(1, *grid, 3) + 1.0)
    real = places.sum(-1) > 0
    near = (places[:, :, None] - places[:, None]).abs().amax(-1) < side
    expected = real[:, :, None] & real[:, None] & near
    mask = windows.mask(torch.device("cpu"))
    found = torch.ones_like(expected) if mask is None else mask
    assert torch.equal(found & real[:, :, None], expected)
    assert bool(found.any(-1).all())


def test_the_published_grid_needs_a_mask_where_it_is_shifted_alone() -> None:
    grid, device = (32, 32, 32), torch.device("cpu")
    assert Windows(grid, 8, shifted=False).mask(device) is None
    mask = Windows(grid, 8, shifted=True).mask(device)
    assert mask is not None
    assert mask.shape == (64, 512, 512)
    # only windows at the far end of an axis hold tokens that the roll has brought
    assert [not bool(window.all()) for window in mask] == [3 in (n // 16, n // 4 % 4, n % 4) for n in range(64)]


def test_an_axis_of_a_single_window_is_not_rolled() -> None:
    assert Windows((8, 20, 3), 8, shifted=True).shifts == (0, 4, 0)
