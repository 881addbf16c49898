"""From one slice to all of a target: what is followed, where it ends, and that it does not leak."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.medsam.bright_slices import BrightInBox, ellipsoid
from oncoprompt.errors import InputError
from oncoprompt.evaluation import dice
from oncoprompt.methods.medsam.propagation import NOT_TARGET, PropagationSettings, propagate
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.prompts.slice_box import mask_box

TRUTH = ellipsoid()
KEY = SlicePrompt(box=mask_box(TRUTH[8]))
WITHIN = mask_box(TRUTH.any(axis=0))
FOLLOWING = PropagationSettings(margin=3 / 48)


def followed(stack, key=8, prompt=KEY, first=0, last=None, model=None, **options):
    """Logits of a target in a stack of slices."""
    model = model or BrightInBox()
    last = stack.shape[0] if last is None else last
    images = stack.astype(np.float32)
    return propagate(model, lambda z: model.encode(images[z]), stack.shape, key, prompt, first, last, **options)


def test_a_box_on_the_key_slice_finds_the_whole_target_and_its_ends() -> None:
    assert np.array_equal(followed(TRUTH) > 0, TRUTH)


@settings(max_examples=25)
@given(
    centre=st.tuples(st.integers(6, 10), st.integers(12, 28), st.integers(14, 34)),
    radii=st.tuples(st.integers(3, 6), st.integers(4, 9), st.integers(4, 11)),
    drift=st.integers(-2, 2),
)
def test_a_target_that_wanders_less_than_the_margin_is_followed(centre, radii, drift) -> None:
    still = ellipsoid(centre=centre, radii=radii)
    stack = np.stack([np.roll(plane, drift * (z - centre[0]) // 2, axis=1) for z, plane in enumerate(still)])
    prompt = SlicePrompt(box=mask_box(stack[centre[0]]))
    answer = followed(stack, key=centre[0], prompt=prompt, settings=FOLLOWING)
    assert np.array_equal(answer > 0, stack)


def test_slices_outside_the_given_ends_are_not_looked_at() -> None:
    logits = followed(TRUTH, first=5, last=11)
    assert np.all(logits[:5] == NOT_TARGET)
    assert np.all(logits[11:] == NOT_TARGET)
    assert np.array_equal(logits[5:11] > 0, TRUTH[5:11])


def test_without_an_extent_a_target_ends_after_so_many_empty_slices() -> None:
    stack = TRUTH.copy()
    stack[10] = False
    stack[12:14] = False
    model = BrightInBox()
    found = followed(stack, model=model, settings=PropagationSettings(patience=2)) > 0
    assert np.array_equal(found[:14], stack[:14])
    assert not found[14:].any()
    assert not (followed(stack, settings=PropagationSettings(patience=1)) > 0)[11:].any()


def test_within_a_box_in_three_dimensions_an_empty_slice_is_followed_by_the_whole_box() -> None:
    stack = TRUTH.copy()
    stack[9:12] = False
    model = BrightInBox()
    found = followed(stack, prompt=SlicePrompt(box=WITHIN), first=2, last=15, model=model, within=WITHIN) > 0
    assert np.array_equal(found, stack)
    # slices 8, 9, 10, ...: the third is asked after an empty one
    assert model.asked[2].box == WITHIN


def test_within_a_box_in_three_dimensions_nothing_is_answered_beyond_its_reach() -> None:
    stack = np.ones((9, 40, 40), bool)
    found = followed(
        stack,
        key=4,
        prompt=SlicePrompt(box=(10, 10, 20, 20)),
        model=BrightInBox(reach=15),
        settings=PropagationSettings(reach=0.05, most_fill=1.0),
        within=(10, 10, 20, 20),
    )
    assert mask_box((found > 0).any(axis=0)) == (8, 8, 22, 22)


def test_each_box_is_the_answer_before_and_a_margin_relative_to_the_slice() -> None:
    model = BrightInBox()
    followed(TRUTH, last=10, first=8, model=model, settings=PropagationSettings(margin=0.05))
    assert np.asarray(model.asked[1].box) == pytest.approx(np.asarray(KEY.box) + 48 * 0.05 * np.array([-1, -1, 1, 1]))


def test_a_target_that_opens_into_something_large_keeps_its_box_and_then_ends() -> None:
    stack = TRUTH.copy()
    stack[11:] = True
    assert np.array_equal(followed(stack)[:11] > 0, stack[:11])
    assert not (followed(stack)[11:] > 0).any()
    held = followed(stack, last=12) > 0
    assert mask_box(held[11]) == mask_box(stack[10])


def test_a_target_may_not_grow_past_a_multiple_of_the_key_slice() -> None:
    grows = np.stack([ellipsoid((1, 60, 60), (0, 30, 30), (1, 4 + 2 * z, 4 + 2 * z))[0] for z in range(12)])
    prompt = SlicePrompt(box=mask_box(grows[0]))
    settings = PropagationSettings(margin=0.05, most_growth=2.0, patience=3)
    found = followed(grows, key=0, prompt=prompt, settings=settings) > 0
    assert np.array_equal(found[:3], grows[:3])
    widths = [box[2] - box[0] for box in map(mask_box, found) if box]
    assert widths == [9, 13, 17]


def test_prompts_on_further_slices_are_used_where_they_are_and_followed_from_there() -> None:
    stack = TRUTH.copy()
    stack[10:12] = False
    elsewhere = ellipsoid((17, 40, 48), (13, 5, 40), (4, 4, 5))
    stack |= elsewhere
    stack[11:12] = False
    prompt = SlicePrompt(box=mask_box(elsewhere[13]))
    found = followed(stack, boxes={13: prompt}, settings=PropagationSettings(patience=1)) > 0
    assert np.array_equal(found[13:], elsewhere[13:])
    assert not found[12].any()


def test_a_key_slice_without_an_answer_is_followed_with_the_box_that_was_given() -> None:
    stack = TRUTH.copy()
    stack[8] = False
    assert np.array_equal(followed(stack) > 0, stack)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"key": 3, "first": 5}, "in that order"),
        ({"last": 18}, "17 slices"),
        ({"boxes": {3: KEY}, "first": 5}, r"slices \[3\]"),
    ],
)
def test_slices_that_are_not_there_are_told(options, said) -> None:
    with pytest.raises(InputError, match=said):
        followed(TRUTH, **options)


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(InputError, match="margin"):
        PropagationSettings(margin=-0.1)


def test_noise_does_not_pull_the_box_away() -> None:
    rng = np.random.default_rng(3)
    images = (TRUTH + rng.normal(0, 0.2, TRUTH.shape)).astype(np.float32)
    model = BrightInBox()
    logits = propagate(model, lambda z: images[z], TRUTH.shape, 8, KEY, 0, 17)
    assert dice(logits > 0, TRUTH) > 0.95


class EllipseInBox:
    """Answers with the ellipse that fills a box, whatever the slice shows, as a network that trusts its box does."""

    name = "ellipse-in-box"
    weights_sha256 = "4" * 64

    def encode(self, image):
        """Nothing is worth keeping but the shape."""
        return image.shape

    def decode(self, features, prompts):
        """Logits [N, H, W]: 5 in the ellipse, -5 elsewhere."""
        y, x = np.indices(features) + 0.5
        answers = []
        for x0, y0, x1, y1 in (prompt.box for prompt in prompts):
            distance = ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2
            answers.append(np.where(distance <= 1, 5.0, -5.0).astype(np.float32))
        return np.stack(answers)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_target_ends_where_it_fades_though_the_model_goes_on(sign) -> None:
    tube = np.zeros((20, 40, 40), bool)
    tube[6:15] = ellipsoid((1, 40, 40), (0, 20, 20), (1, 9, 9))[0]
    rng = np.random.default_rng(0)
    images = (sign * 100 * tube + rng.normal(200, 20, tube.shape)).astype(np.float32)
    model, prompt = EllipseInBox(), SlicePrompt(box=mask_box(tube[9]))
    blind = propagate(model, lambda z: images[z].shape, tube.shape, 9, prompt, 0, 20) > 0
    seeing = propagate(model, lambda z: images[z].shape, tube.shape, 9, prompt, 0, 20, images=lambda z: images[z]) > 0
    assert blind.any(axis=(1, 2)).all()
    assert np.flatnonzero(seeing.any(axis=(1, 2))).tolist() == list(range(6, 15))
    colours = propagate(
        model, lambda z: images[z].shape, tube.shape, 9, prompt, 0, 20, images=lambda z: np.stack([images[z]] * 3, -1)
    )
    assert np.array_equal(colours > 0, seeing)


def test_by_default_a_model_that_fills_its_box_does_not_grow_its_target() -> None:
    def answered(settings: PropagationSettings):
        prompt = SlicePrompt(box=(10, 10, 30, 26))
        return propagate(EllipseInBox(), lambda z: (48, 48), (12, 48, 48), 0, prompt, 0, 12, settings) > 0

    assert mask_box(answered(PropagationSettings()).any(axis=0)) == (10, 10, 30, 26)
    grown = mask_box(answered(PropagationSettings(margin=3 / 256)).any(axis=0))
    assert grown is not None
    assert grown[2] - grown[0] > 30
