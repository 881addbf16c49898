"""SAM 2 on slices, and through volumes by its memory."""

import dataclasses
import gc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from transformers import Sam2VideoInferenceSession

from methods.medsam.tiny_sam2 import MAPS, POINTERS, SIDE, tiny_sam2
from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam2_memory import SliceMemory
from oncoprompt.methods.medsam.sam2_pixels import SquareStack, on_slice, square_pixels, value_range
from oncoprompt.methods.medsam.sam2_volume import NOT_TARGET, VolumeSettings
from oncoprompt.methods.medsam.slice_model import SlicePrompt

WHOLE = VolumeSettings(patience=None, largest_component=False)
BOX = SlicePrompt(box=(10, 8, 30, 25))
CORNERS = torch.tensor([[[[12.0, 12.0], [40.0, 40.0]]]]), torch.tensor([[[2, 3]]])


@pytest.fixture(scope="module")
def model():
    return tiny_sam2(WHOLE)


def noise(slices, shape=(40, 52)):
    return np.random.default_rng(0).normal(size=(slices, *shape)).astype(np.float32)


def test_slices_from_first_to_before_last_are_answered_and_no_others(model):
    logits = model.segment_volume(noise(6), 2, BOX, 1, 5)
    assert logits.shape == (6, 40, 52)
    assert logits.dtype == np.float32
    answered = [bool((plane != NOT_TARGET).any()) for plane in logits]
    assert answered == [False, True, True, True, True, False]


def test_up_and_down_are_the_same_in_a_symmetric_volume(model):
    half = noise(4)
    logits = model.segment_volume(np.concatenate([half, half[-2::-1]]), 3, BOX, 0, 7)
    np.testing.assert_allclose(logits, logits[::-1], atol=1e-4)
    assert np.abs(logits[2] - logits[1]).max() > 0.01


def test_answers_equal_those_of_transformers_with_every_slice_and_memory_kept(model):
    stack, key = noise(MAPS + POINTERS, (SIDE, SIDE)), 1
    slices = SquareStack(stack, SIDE, *value_range(stack))
    expected = np.empty(stack.shape, dtype=np.float32)
    for reverse in (False, True):
        session = Sam2VideoInferenceSession(torch.stack(list(slices.values())), dtype=torch.float32)
        target = session.obj_id_to_idx(1)
        corners = torch.tensor([[[[10.0, 8.0], [30.0, 25.0]]]])
        session.add_point_inputs(target, key, {"point_coords": corners, "point_labels": CORNERS[1]})
        session.obj_with_new_inputs = [1]
        for answer in model.network.propagate_in_video_iterator(session, key, reverse=reverse):
            expected[answer.frame_idx] = on_slice(answer.pred_masks[0, 0], (SIDE, SIDE))
    np.testing.assert_allclose(model.segment_volume(stack, key, BOX, 0, len(stack)), expected, atol=1e-4)


def test_memory_does_not_grow_with_the_number_of_slices(model):
    stack = noise(14, (SIDE, SIDE))
    memory = SliceMemory(model.network, SquareStack(stack, SIDE, *value_range(stack)), model.device)
    memory.show(0, *CORNERS)
    for index in range(1, POINTERS + 2):
        memory.follow(index, down=False)
    before = tensor_bytes()
    for index in range(POINTERS + 2, 14):
        memory.follow(index, down=False)
    assert tensor_bytes() == before
    assert memory.remembered == list(range(14 - POINTERS, 14))
    memory.restart()
    assert memory.remembered == []


def tensor_bytes():
    return sum(item.numel() * item.element_size() for item in gc.get_objects() if type(item) is torch.Tensor)


def test_one_slice_of_a_volume_is_answered_as_a_single_slice_is(model):
    stack = noise(1)
    alone = model.decode(model.encode(stack[0]), [BOX])[0]
    np.testing.assert_allclose(model.segment_volume(stack, 0, BOX, 0, 1)[0], alone, atol=1e-5)


POINTS = np.array([[20.0, 15.0]])
DRAWING = np.zeros((40, 52), np.float32)
DRAWING[10:20, 12:25] = 1


@pytest.mark.parametrize(
    "prompt",
    [
        SlicePrompt(box=(14, 8, 30, 25)),
        SlicePrompt(points=POINTS, positive=np.array([True])),
        SlicePrompt(points=POINTS, positive=np.array([False])),
        SlicePrompt(box=BOX.box, points=POINTS, positive=np.array([True])),
        SlicePrompt(box=BOX.box, points=POINTS, positive=np.array([False])),
        SlicePrompt(mask=DRAWING),
        SlicePrompt(box=BOX.box, mask=DRAWING),
        SlicePrompt(box=BOX.box, mask=-DRAWING),
    ],
)
def test_every_kind_of_prompt_has_a_say_on_the_slice_and_on_those_after_it(model, prompt):
    stack = noise(2)
    features = model.encode(stack[0])
    one, other = model.decode(features, [BOX, prompt])
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(model.decode(features, [prompt])[0], other)
    followed = [model.segment_volume(stack, 0, shown, 0, 2)[1] for shown in (BOX, prompt)]
    assert np.abs(followed[0] - followed[1]).max() > 1e-4


def test_grey_values_may_have_any_range_and_a_grey_picture_may_be_in_colour(model):
    stack = noise(2)
    expected = model.segment_volume(stack, 0, BOX, 0, 2)
    np.testing.assert_allclose(model.segment_volume(1000 * stack - 300, 0, BOX, 0, 2), expected, atol=1e-2)
    coloured = np.repeat(stack[..., None], 3, axis=3)
    np.testing.assert_allclose(model.segment_volume(coloured, 0, BOX, 0, 2), expected, atol=1e-4)


def test_only_the_largest_part_is_kept(model):
    stack = noise(3)
    parts, count = ndimage.label(model.segment_volume(stack, 1, BOX, 0, 3) > 0, np.ones((3, 3, 3)))
    assert count > 1
    kept = dataclasses.replace(model, settings=VolumeSettings(None, largest_component=True))
    expected = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    np.testing.assert_array_equal(kept.segment_volume(stack, 1, BOX, 0, 3) > 0, expected)


def test_a_direction_ends_after_slices_without_the_target():
    gone = tiny_sam2(WHOLE, score=-1000.0)
    encoded = []
    gone.network.vision_encoder.register_forward_hook(lambda *_: encoded.append(1))
    for patience, looked_at in ((1, 3), (2, 5), (None, 7)):
        encoded.clear()
        logits = dataclasses.replace(gone, settings=VolumeSettings(patience)).segment_volume(noise(7), 3, BOX, 0, 7)
        assert len(encoded) == looked_at
        np.testing.assert_allclose(logits, NOT_TARGET, rtol=1e-5)


@settings(max_examples=30)
@given(shape=st.tuples(st.integers(20, 150), st.integers(20, 150)), place=st.tuples(*[st.floats(0.3, 0.7)] * 2))
def test_what_is_seen_at_a_place_is_answered_at_that_place(shape, place):
    rows, columns = np.indices(shape)
    centre = place[0] * shape[0], place[1] * shape[1]
    spread = 0.08 * np.hypot(*shape)
    blob = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * spread**2)).astype(np.float32)
    seen = square_pixels(blob, SIDE, 0.0, 1.0)[0]
    back = on_slice(torch.nn.functional.avg_pool2d(seen[None], 4)[0], shape).numpy()
    found = ndimage.center_of_mass(np.clip(back - back.min() - 0.5 * np.ptp(back), 0, None))
    expected = ndimage.center_of_mass(np.clip(blob - 0.5, 0, None))
    tolerance = 0.15 * 4 * max(shape) / SIDE + 0.1
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_what_the_model_cannot_use_is_refused(model):
    stack = noise(2)
    features = model.encode(stack[0])
    with pytest.raises(InputError, match="words"):
        model.decode(features, [SlicePrompt(words="liver")])
    with pytest.raises(InputError, match="no prompt"):
        model.decode(features, [SlicePrompt()])
    with pytest.raises(InputError, match="outside"):
        model.segment_volume(stack, 0, SlicePrompt(box=(60, 5, 70, 9)), 0, 2)
    with pytest.raises(InputError, match="found shape"):
        model.encode(np.zeros((4, 5, 2), np.float32))
    with pytest.raises(InputError, match="not finite"):
        model.segment_volume(np.full((2, 8, 8), np.nan, np.float32), 0, BOX, 0, 2)
    for key, first, last in ((2, 0, 2), (0, 1, 2), (1, 0, 3), (0, -1, 2)):
        with pytest.raises(InputError, match="slices"):
            model.segment_volume(stack, key, BOX, first, last)
    with pytest.raises(InputError, match="Patience"):
        VolumeSettings(patience=0)
    assert model.decode(features, []).shape == (0, 40, 52)
