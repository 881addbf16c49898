"""The dual memory's update rule, alone and inside the network."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.msm_seg import MSMSeg, MSMSegConfig
from oncoprompt.methods.msm_seg import model as model_module
from oncoprompt.methods.msm_seg.config import MemoryConfig
from oncoprompt.methods.msm_seg.memory import DualMemory

FOUR = ("t1n", "t1c", "t2w", "t2f")
SUBSETS = [subset for count in range(1, 5) for subset in combinations(range(4), count)]


@pytest.fixture(scope="module")
def model() -> MSMSeg:
    torch.manual_seed(0)
    network = MSMSeg(replace(MSMSegConfig.compact(), memory=MemoryConfig(slices=2, channels=2)))
    with torch.no_grad():  # untrained codes are too small to see
        network.msma.slice_branch.temporal.normal_()
        network.msma.channel_branch.temporal.normal_()
    return network.eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(1, 4, 32, 16, 16, generator=torch.Generator().manual_seed(3))


class Record:
    """Inputs and outputs of a module's calls, gathered by a hook."""

    def __init__(self, module: nn.Module) -> None:
        self.inputs: list[tuple[object, ...]] = []
        self._handle = module.register_forward_hook(self._hook)

    def _hook(self, module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        self.inputs.append(inputs)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *error: object) -> None:
        self._handle.remove()


@given(st.integers(0, 4), st.integers(0, 8), st.lists(st.integers(1, 5), max_size=12))
def test_memory_keeps_the_last_k_channels_of_this_slice_and_the_last_n_slices(
    k: int, n: int, volume: list[int]
) -> None:
    memory: DualMemory[str] = DualMemory(n, k)
    for t, channels in enumerate(volume):
        assert memory.read_slices() == tuple(f"slice {i}" for i in range(t - 1, max(t - 1 - n, -1), -1))
        for m in range(channels):
            assert memory.read_channels() == tuple(f"{t}.{i}" for i in range(m - 1, max(m - 1 - k, -1), -1))
            memory.remember_channel(f"{t}.{m}")
        memory.close_slice(f"slice {t}")
        assert memory.read_channels() == ()


def test_branches_read_at_most_n_slices_and_k_channels(model: MSMSeg, images: Tensor) -> None:
    with torch.no_grad(), Record(model.msma.slice_branch) as slices, Record(model.msma.channel_branch) as channels:
        model(images, FOUR)
    assert [len(call[1]) for call in slices.inputs] == [0] * 4 + [1] * 4 + [2] * 8
    assert [len(call[1]) for call in channels.inputs] == [0, 1, 2, 2] * 4


def test_slice_item_is_made_from_the_fused_prediction_and_the_mean_feature(model: MSMSeg, images: Tensor) -> None:
    with torch.no_grad(), Record(model.memory_encoder) as calls:
        pyramid = model.encode(images[:, :2], FOUR[:2])
        output = model.decode(pyramid)
    assert len(calls.inputs) == 4 + 3  # one channel item a slice, and no slice item after the last slice
    feature, mask = calls.inputs[1]
    torch.testing.assert_close(feature, pyramid.coarse[:, 0].mean(1))
    torch.testing.assert_close(mask, functional.avg_pool3d(output.logits[:, :, :8], 2))
    feature, mask = calls.inputs[0]
    torch.testing.assert_close(feature, pyramid.coarse[:, 0, 0])
    torch.testing.assert_close(mask, output.channel_logits[:, 0, :, :4])


def test_each_bank_has_its_own_temporal_code(model: MSMSeg, images: Tensor) -> None:
    assert model.msma.slice_branch.temporal.shape[0] == 2
    assert model.msma.channel_branch.temporal.shape[0] == 2
    with torch.no_grad():
        before = model(images[:, :1], FOUR[:1]).logits
        saved = model.msma.channel_branch.temporal.clone()
        model.msma.channel_branch.temporal.add_(5)
        assert torch.equal(model(images[:, :1], FOUR[:1]).logits, before)
        assert not torch.equal(model(images[:, :2], FOUR[:2]).logits[:, :, :8], before[:, :, :8])
        model.msma.channel_branch.temporal.copy_(saved)


def test_a_slice_is_seen_by_later_slices_and_never_by_earlier_ones(model: MSMSeg, images: Tensor) -> None:
    with torch.no_grad():
        pyramid = model.encode(images[:, :2], FOUR[:2])
        changed = replace(pyramid, coarse=pyramid.coarse.clone())
        changed.coarse[:, 1] += 1
        before, after = model.decode(pyramid).logits, model.decode(changed).logits
    assert torch.equal(before[:, :, :8], after[:, :, :8])
    assert not torch.equal(before[:, :, 16:24], after[:, :, 16:24])


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda s: "+".join(FOUR[i] for i in s))
def test_every_subset_of_channels_gives_finite_nested_output(
    model: MSMSeg, images: Tensor, subset: tuple[int, ...]
) -> None:
    with torch.no_grad():
        output = model(images[:, list(subset), :16], tuple(FOUR[i] for i in subset))
    assert output.logits.shape == (1, 3, 16, 16, 16)
    assert output.channel_logits.shape == (1, len(subset), 3, 8, 8, 8)
    for logits in (output.logits, output.channel_logits.flatten(0, 1)):
        assert torch.isfinite(logits).all()
        assert (logits[:, 2] <= logits[:, 1]).all()
        assert (logits[:, 1] <= logits[:, 0]).all()


def test_channel_order_changes_neither_the_shared_features_nor_each_channels_own(model: MSMSeg, images: Tensor) -> None:
    order = [2, 0, 3, 1]
    with torch.no_grad():
        first = model.encode(images, FOUR)
        second = model.encode(images[:, order], tuple(FOUR[i] for i in order))
    torch.testing.assert_close(second.fine, first.fine, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second.middle, first.middle, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(second.coarse, first.coarse[:, :, order], atol=1e-4, rtol=1e-4)


def test_descending_visits_the_slices_from_last_to_first(model: MSMSeg, images: Tensor) -> None:
    with torch.no_grad():
        pyramid = model.encode(images[:, :2], FOUR[:2])
        assert pyramid.detail is not None
        turned = replace(
            pyramid,
            coarse=pyramid.coarse.flip(1),
            middle=pyramid.middle.flip(1),
            fine=pyramid.fine.flip(1),
            detail=pyramid.detail.flip(1),
        )
        upwards = model.decode(turned).logits
        original, model.config = model.config, replace(model.config, descending=True)
        downwards = model.decode(pyramid).logits
        model.config = replace(original, bidirectional=True)
        both = model.decode(pyramid).logits
        model.config = original
        ascending = model.decode(pyramid).logits
    torch.testing.assert_close(downwards.unflatten(2, (4, 8)), upwards.unflatten(2, (4, 8)).flip(2))
    torch.testing.assert_close(both, (ascending + downwards) / 2, atol=1e-4, rtol=1e-4)


def test_clip_of_one_slice_forgets_the_slices_before(model: MSMSeg, images: Tensor) -> None:
    original, model.config = model.config, replace(model.config, clip_slices=1)
    with torch.no_grad(), Record(model.msma.slice_branch) as slices:
        model(images[:, :1], FOUR[:1])
    model.config = original
    assert [len(call[1]) for call in slices.inputs] == [0, 0, 0, 0]


def test_slices_prepared_at_once_change_nothing(model: MSMSeg, images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.no_grad():
        before = model(images[:, :2], FOUR[:2]).logits
        monkeypatch.setattr(model_module, "SLICES_AT_ONCE", 3)
        torch.testing.assert_close(model(images[:, :2], FOUR[:2]).logits, before, atol=1e-5, rtol=1e-5)
