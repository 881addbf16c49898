"""MedSAM as a model of slices: its pre-processing, its prompts, one encoding for all of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.medsam.original_sam import original_sam
from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.sam import MedSAM, square_pixels
from oncoprompt.methods.medsam.sam_names import to_transformers
from oncoprompt.methods.medsam.sam_network import encode_pixels, load_sam
from oncoprompt.methods.medsam.sam_prompts import dense_mask, to_square
from oncoprompt.methods.medsam.slice_model import SlicePrompt

BOX = SlicePrompt(box=(4.0, 6.0, 30.0, 20.0))
POINT = SlicePrompt(points=np.array([[10.0, 8.0]]), positive=np.array([True]))


@pytest.fixture(scope="module")
def model() -> MedSAM:
    state = {to_transformers(name): value for name, value in original_sam(seed=9).state_dict().items()}
    return MedSAM(load_sam(state), "tiny", "0" * 64, torch.device("cpu"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).random((24, 40)).astype(np.float32)


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    colours=st.booleans(),
    low=st.floats(-2000, 2000),
    spread=st.floats(0.1, 3000),
)
def test_every_slice_becomes_a_square_on_0_to_1(shape, colours, low, spread):
    values = np.random.default_rng(1).random((*shape, 3) if colours else shape) * spread + low
    values.flat[0] = low - spread
    pixels = square_pixels(values.astype(np.float32), 64)
    assert pixels.shape == (3, 64, 64)
    assert 0.0 <= float(pixels.min()) <= float(pixels.max()) <= 1.0 + 1e-6
    assert colours or torch.equal(pixels[0], pixels[2])


def test_a_slice_of_the_network_s_own_size_is_only_stretched():
    values = np.random.default_rng(2).normal(40, 300, (64, 64)).astype(np.float32)
    expected = (values - values.min()) / (values.max() - values.min())
    np.testing.assert_allclose(square_pixels(values, 64)[1].numpy(), expected, atol=1e-6)


def test_colours_share_one_range_and_the_aspect_ratio_is_not_kept():
    values = np.zeros((10, 40, 3), dtype=np.float32)
    values[:, 20:, 0], values[:, 20:, 1] = 200.0, 100.0
    pixels = square_pixels(values, 64)
    assert pixels[:, 32, 60].tolist() == pytest.approx([1.0, 0.5, 0.0], abs=1e-6)
    assert pixels[0, 0, :28].max() == 0.0


def test_a_slice_without_contrast_is_black():
    assert square_pixels(np.full((5, 5), 7.0, dtype=np.float32), 64).abs().max() == 0.0


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 4)), np.zeros(4), np.zeros((0, 4)), np.full((4, 4), np.nan)])
def test_what_is_no_slice_is_refused(model, bad):
    with pytest.raises(InputError, match="slice"):
        model.encode(bad.astype(np.float32))


def test_answers_lie_on_the_slice_s_own_pixels_in_the_order_of_the_prompts(model, image):
    features = model.encode(image)
    boxes = [SlicePrompt(box=(x, 2.0, x + 12.0, 20.0)) for x in (0.0, 9.0, 25.0)]
    mixed = [boxes[0], POINT, boxes[1], SlicePrompt(box=boxes[2].box, points=POINT.points, positive=POINT.positive)]
    together = model.decode(features, mixed)
    assert together.shape == (4, 24, 40)
    for prompt, answer in zip(mixed, together, strict=True):
        np.testing.assert_allclose(model.decode(features, [prompt])[0], answer, atol=1e-4)
    assert np.ptp(together, axis=0).max() > 0.1
    assert model.decode(features, []).shape == (0, 24, 40)


def test_a_slice_is_encoded_once_for_all_of_its_prompts(model, image, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "oncoprompt.methods.medsam.sam.encode_pixels", lambda *a: (calls.append(1), encode_pixels(*a))[1]
    )
    features = model.encode(image)
    for _ in range(3):
        model.decode(features, [BOX, POINT])
    assert len(calls) == 1


def test_boxes_and_points_move_to_the_square_as_corners_and_centres():
    prompts = [SlicePrompt(box=(0, 0, 40, 24), points=np.array([[0.0, 23.0]]), positive=np.array([False]))]
    moved = to_square(prompts, (24, 40), 64, 16)
    assert moved.boxes.tolist() == [[0.0, 0.0, 64.0, 64.0]]
    # the centre of the first pixel of 40 lies at 0.8 of the 64, of which centres are half a pixel less
    np.testing.assert_allclose(moved.points[0, 0].numpy(), [0.5 * 1.6 - 0.5, 23.5 * 64 / 24 - 0.5], rtol=1e-6)
    assert not moved.positive.any()


@settings(max_examples=25)
@given(row=st.integers(0, 99), side=st.sampled_from([16, 256]))
def test_a_thin_line_is_kept_at_full_value_in_the_dense_prompt(row, side):
    mask = torch.zeros(100, 90)
    mask[row], mask[:, 3] = 5.0, -2.0
    dense = dense_mask(mask, side)
    assert dense.shape == (1, side, side)
    assert float(dense.max()) == 5.0
    assert float(dense.min()) == -2.0


def test_a_drawing_changes_the_answer_and_needs_the_slice_s_shape(model, image):
    features = model.encode(image)
    mask = np.zeros((24, 40), dtype=np.float32)
    mask[10, 5:30] = 10.0
    plain, drawn = model.decode(features, [BOX, SlicePrompt(box=BOX.box, mask=mask)])
    assert np.abs(plain - drawn).max() > 0.05
    assert model.decode(features, [SlicePrompt(mask=mask)]).shape == (1, 24, 40)
    with pytest.raises(InputError, match="shape"):
        model.decode(features, [SlicePrompt(mask=mask[1:])])


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (SlicePrompt(), "no prompt"),
        (SlicePrompt(box=(41.0, 2.0, 50.0, 9.0)), "outside the slice"),
        (SlicePrompt(points=np.array([[5.0, 24.0]]), positive=np.array([True])), "outside the slice"),
        (SlicePrompt(words="liver"), "Found words"),
    ],
)
def test_prompts_it_cannot_use_are_refused(model, image, prompt, said):
    with pytest.raises(InputError, match=said):
        model.decode(model.encode(image), [prompt])


def test_a_box_that_leaves_the_slice_is_cut_at_its_edge(model, image):
    features = model.encode(image)
    outside, cut = SlicePrompt(box=(-9.0, 5.0, 20.0, 99.0)), SlicePrompt(box=(0.0, 5.0, 20.0, 24.0))
    np.testing.assert_array_equal(model.decode(features, [outside]), model.decode(features, [cut]))


def test_half_precision_changes_the_embedding_little(model, image):
    half = MedSAM(model.network, model.name, model.weights_sha256, model.device, half=True)
    full, found = model.encode(image).values, half.encode(image).values
    assert found.dtype == torch.float32
    difference = (found - full).abs().mean() / full.abs().mean()
    assert 0 < difference < 0.05
