import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oncoprompt.nn.rope import AxialRope

ROWS, COLUMNS, DIM = 5, 7, 16


@settings(max_examples=30)
@given(
    st.integers(0, ROWS - 2),
    st.integers(0, COLUMNS - 2),
    st.integers(0, ROWS - 2),
    st.integers(0, COLUMNS - 2),
    st.integers(0, 99),
)
def test_scores_depend_only_on_the_displacement_of_two_tokens(r1: int, c1: int, r2: int, c2: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    query, key = torch.randn(2, DIM, generator=generator)
    rope = AxialRope.build((ROWS, COLUMNS), DIM, query)
    queries = rope.rotate(query.expand(ROWS * COLUMNS, DIM)).view(ROWS, COLUMNS, DIM)
    keys = rope.rotate(key.expand(ROWS * COLUMNS, DIM)).view(ROWS, COLUMNS, DIM)
    here = queries[r1, c1] @ keys[r2, c2]
    moved = queries[r1 + 1, c1 + 1] @ keys[r2 + 1, c2 + 1]
    torch.testing.assert_close(here, moved, atol=1e-4, rtol=1e-4)


def test_rotation_keeps_lengths_and_leaves_the_first_token_alone() -> None:
    x = torch.randn(3, ROWS * COLUMNS, DIM)
    turned = AxialRope.build((ROWS, COLUMNS), DIM, x).rotate(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(turned[:, 0], x[:, 0])
    assert not torch.allclose(turned[:, -1], x[:, -1])


def test_rows_and_columns_are_told_apart() -> None:
    x = torch.ones(1, DIM)
    rope = AxialRope.build((3, 3), DIM, x)
    turned = rope.rotate(x.expand(9, DIM))
    assert not torch.allclose(turned[1], turned[3])
