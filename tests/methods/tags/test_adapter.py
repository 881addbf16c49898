"""What is trained around SAM's blocks."""

import torch

from oncoprompt.methods.tags.adapter import AlignmentAdapter, SpatialAdapter


def test_a_published_adapter_only_adds() -> None:
    torch.manual_seed(0)
    adapter, x = SpatialAdapter(12, 6), torch.randn(2, 3, 4, 5, 12)
    with torch.no_grad():
        change = adapter(x) - x
    assert change.shape == x.shape
    assert bool((change >= 0).all())
    assert bool((change > 0).any())


def test_an_adapter_of_zeros_starts_as_nothing_and_learns() -> None:
    torch.manual_seed(0)
    adapter, x = SpatialAdapter(12, 6, zero=True), torch.randn(1, 3, 3, 3, 12)
    assert torch.equal(adapter(x), x)
    adapter(x).square().sum().backward()
    with torch.no_grad():
        for parameter in adapter.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
        assert bool((adapter(x) < x).any())
        assert bool((adapter(x) > x).any())


def test_an_adapter_sees_the_neighbours_of_a_token_and_no_further() -> None:
    torch.manual_seed(0)
    adapter, x = SpatialAdapter(12, 24), torch.randn(1, 5, 5, 5, 12)
    changed = x.clone()
    changed[0, 2, 2, 2] += 4
    with torch.no_grad():
        seen = (adapter(changed) - adapter(x)).abs().amax(-1)[0] > 0
    near = torch.zeros(5, 5, 5, dtype=torch.bool)
    near[1:4, 1:4, 1:4] = True
    assert torch.equal(seen, near)


def test_a_fifth_of_the_alignment_goes_back_into_the_stream() -> None:
    torch.manual_seed(0)
    adapter, x = AlignmentAdapter(6), torch.randn(2, 3, 6)
    with torch.no_grad():
        blended, aligned = adapter(x)
        linear = x @ adapter.linear.weight.T
    torch.testing.assert_close(aligned, torch.where(linear > 0, linear, 0.01 * linear))
    torch.testing.assert_close(blended, 0.8 * x + 0.2 * aligned)


def test_a_learned_gate_starts_closed_and_opens() -> None:
    torch.manual_seed(0)
    adapter, x = AlignmentAdapter(6, blend=None), torch.randn(2, 3, 6)
    blended, _ = adapter(x)
    assert torch.equal(blended, x)
    blended.square().sum().backward()
    gate = dict(adapter.named_parameters())["blend"]
    assert gate.grad is not None
    assert gate.grad != 0
