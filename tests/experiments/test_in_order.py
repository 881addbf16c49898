"""Orders and lengths: the same frames in another order, the same weights with another memory."""

from itertools import permutations

import numpy as np
import pytest
import torch

from experiments.studies import FOUR, Thresholds, case_of, labelled, untrained, untrained_network
from oncoprompt.errors import InputError
from oncoprompt.evaluation import RegionScores
from oncoprompt.experiments.cases import LABELLED
from oncoprompt.experiments.channel_order import channel_order, smallest_p
from oncoprompt.experiments.engine import Answer, Outcome
from oncoprompt.experiments.in_order import InOrder, visited
from oncoprompt.experiments.memory import lengths
from oncoprompt.experiments.memory_length import with_memory
from oncoprompt.inference import Session
from oncoprompt.methods.msm_seg import PromptMaps
from oncoprompt.methods.msm_seg.model import MSMSeg
from oncoprompt.prompts import Box

ORDER = ("t2f", "t1n", "t2w", "t1c")


@pytest.fixture(scope="module")
def network() -> MSMSeg:
    return untrained_network()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(1, 4, 48, 16, 16, generator=torch.Generator().manual_seed(3))


def decoded(network: MSMSeg, images: torch.Tensor, slices: int, channels: int) -> torch.Tensor:
    with torch.inference_mode():
        changed = with_memory(network, slices, channels)
        maps = PromptMaps(torch.ones(1, 1, *images.shape[2:]), torch.zeros(1, 2, *images.shape[2:]))
        return changed.decode(changed.encode(images, FOUR), maps).logits


def test_frames_put_in_order_after_encoding_are_those_of_images_encoded_in_that_order(
    network: MSMSeg, images: torch.Tensor
) -> None:
    with torch.inference_mode():
        after = visited(network.encode(images, FOUR), ORDER)
        before = network.encode(images[:, [FOUR.index(name) for name in ORDER]], ORDER)
        answers = [network.decode(pyramid).logits for pyramid in (after, before)]
    assert after.roles == before.roles == ORDER
    torch.testing.assert_close(after.coarse, before.coarse, atol=1e-4, rtol=1e-4)
    assert after.detail is not None
    assert before.detail is not None
    assert torch.equal(after.detail, before.detail)
    torch.testing.assert_close(answers[0], answers[1], atol=1e-3, rtol=1e-3)


def test_the_usual_order_gives_the_usual_answer_and_another_order_another() -> None:
    model, study = untrained(), labelled().study
    box = Box.around(labelled().regions["WT"], study.grid)
    usual, same, other = (
        Session(study, asked).segment(box).probability("WT")
        for asked in (model, InOrder(model, FOUR), InOrder(model, ORDER))
    )
    assert np.array_equal(usual, same)
    assert not np.array_equal(usual, other)


def test_a_model_that_does_not_visit_channels_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match="does not visit channels one after the other"):
        channel_order(Thresholds(), [case_of(labelled())], lambda: None)  # type: ignore[arg-type]


def test_every_order_of_the_channels_that_are_there_is_asked_once() -> None:
    result = channel_order(untrained(), [case_of(labelled(channels=("t1c", "t2w", "t2f")))], lambda: None)
    assert sorted(result.settings) == sorted(" ".join(order) for order in permutations(("t1c", "t2w", "t2f")))
    assert len(result.outcome.answers) == 6


def answer(case: str, setting: str, dice: float) -> Answer:
    return Answer(case, LABELLED, setting, "", 0, 0.0, {"WT": RegionScores(dice, 0.0, 0.0, 1.0, 1.0)})


def test_the_paired_test_finds_an_order_that_is_always_worse_and_none_where_scores_are_equal() -> None:
    noise = [0.001, -0.002, 0.0015, 0.0, -0.001]
    answers = [answer(f"P{n}", "a b", 0.8) for n in range(5)]
    answers += [answer(f"P{n}", "b a", 0.7 + noise[n]) for n in range(5)]
    found = smallest_p(Outcome(tuple(answers)), LABELLED)
    assert found["WT"]["p"] < 1e-4
    assert (found["WT"]["order"], found["WT"]["tests"], found["WT"]["below_0.05"]) == ("b a", 1, 1)
    equal = [answer(f"P{n}", order, 0.8) for order in ("a b", "b a") for n in range(5)]
    assert smallest_p(Outcome(tuple(equal)), LABELLED) == {}


def test_the_usual_lengths_change_nothing_and_shorter_memories_do(network: MSMSeg, images: torch.Tensor) -> None:
    with torch.inference_mode():
        maps = PromptMaps(torch.ones(1, 1, 48, 16, 16), torch.zeros(1, 2, 48, 16, 16))
        usual = network.decode(network.encode(images, FOUR), maps).logits
    # slices alone and in slabs take other convolution kernels on some processors, so the last bits may differ
    assert torch.allclose(decoded(network, images, 4, 3), usual, rtol=0, atol=1e-5)
    for shorter in ((0, 3), (1, 3), (4, 0), (4, 1), (0, 0)):
        assert not torch.allclose(decoded(network, images, *shorter), usual, rtol=0, atol=1e-3)


def test_a_longer_memory_reads_the_sixth_slice_before_and_one_that_is_long_enough_changes_nothing_more(
    network: MSMSeg, images: torch.Tensor
) -> None:
    usual, longer, longest = (decoded(network, images, n, 3) for n in (4, 7, 16))
    # slabs of 8: the first five of six slabs have no more than four before them
    assert torch.equal(usual[:, :, :40], longer[:, :, :40])
    assert not torch.equal(usual[:, :, 40:], longer[:, :, 40:])
    assert torch.equal(longer, longest)


def test_every_length_is_asked_once_with_the_other_as_usual() -> None:
    assert lengths((4, 3)) == [(0, 3), (1, 3), (2, 3), (4, 3), (7, 3), (8, 3), (16, 3), (4, 0), (4, 1), (4, 2)]
    assert (5, 2) in lengths((5, 2))
