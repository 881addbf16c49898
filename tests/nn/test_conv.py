import pytest
import torch
from torch import nn

from oncoprompt.nn.conv import PlaneConv, PointwiseConv, VolumeConv


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 3, 4), (5, 4, 6), (6, 6, 6)])
@pytest.mark.parametrize("batch", [1, 2])
def test_volume_convolution_equals_the_ordinary_one_for_odd_and_even_sizes(
    size: tuple[int, int, int], batch: int
) -> None:
    ordinary, ours = nn.Conv3d(4, 6, 3, padding=1), VolumeConv(4, 6)
    ours.load_state_dict(ordinary.state_dict())
    x = torch.randn(batch, 4, *size)
    torch.testing.assert_close(ours(x), ordinary(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_pointwise_convolution_equals_the_ordinary_one(bias: bool) -> None:
    ordinary, ours = nn.Conv3d(3, 5, 1, bias=bias), PointwiseConv(3, 5, bias=bias)
    ours.load_state_dict(ordinary.state_dict())
    x = torch.randn(2, 3, 2, 4, 3)
    torch.testing.assert_close(ours(x), ordinary(x))


def test_plane_convolution_lets_every_plane_of_a_slab_see_every_other() -> None:
    conv = PlaneConv(2, 3, depth=4)
    x = torch.randn(1, 2, 4, 5, 5, requires_grad=True)
    out = conv(x)
    assert out.shape == (1, 3, 4, 5, 5)
    (gradient,) = torch.autograd.grad(out[0, 0, 0, 2, 2], x)
    assert (gradient.abs().amax((0, 1, 3, 4)) > 0).all()
