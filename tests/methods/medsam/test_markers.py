"""Markers on some slices become boxes on all between, and boxes become targets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from methods.medsam.bright_slices import BrightInBox, ellipsoid
from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.markers import Marker, MarkerSettings, interpolated_boxes, segment_markers
from oncoprompt.prompts.slice_box import mask_box

TRUTH = ellipsoid()
TIGHT = MarkerSettings(margin=0.0)

corners = st.integers(16, 24)
sides = st.integers(8, 20)


def markers_of(truth: NDArray[np.bool_], step: int) -> list[Marker]:
    """Tight boxes on every step-th slice of a target and on its last."""
    inside = np.flatnonzero(truth.any(axis=(1, 2)))
    return [Marker(int(z), mask_box(truth[z])) for z in sorted({*inside[::step], inside[-1]})]


def segmented(stack, *targets, model=None, **options):
    """Logits of targets in a stack of slices."""
    model = model or BrightInBox()
    images = stack.astype(np.float32)
    return segment_markers(model, lambda z: model.encode(images[z]), stack.shape, targets, **options)


def by_distance(first: NDArray[np.bool_], second: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The paper's interpolation: signed distances of two masks, mixed, and cut at 0."""
    inwards = [distance_transform_edt(mask) - distance_transform_edt(~mask) for mask in (first, second)]
    return (1 - share) * inwards[0] + share * inwards[1] > 0


def drawn(box: tuple[float, float, float, float], shape: tuple[int, int] = (64, 64)) -> NDArray[np.bool_]:
    """A box as a mask."""
    mask = np.zeros(shape, bool)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    mask[y0:y1, x0:x1] = True
    return mask


@given(st.tuples(corners, corners, sides, sides), st.integers(-5, 5), st.integers(-5, 5), st.integers(-2, 6))
def test_edges_agree_with_the_distance_transform_of_the_paper(rectangle, dx, dy, growth) -> None:
    x, y, width, height = rectangle
    first = (x, y, x + width, y + height)
    second = (x + dx - growth, y + dy - growth, x + width + dx + growth, y + height + dy + growth)
    boxes = interpolated_boxes([Marker(0, first), Marker(4, second)])
    for index in range(1, 4):
        theirs = mask_box(by_distance(drawn(first), drawn(second), index / 4))
        assert theirs is not None
        assert np.abs(np.asarray(theirs) - np.asarray(boxes[index])).max() <= 2.0


def test_where_a_wide_rectangle_turns_tall_edges_keep_what_distances_lose() -> None:
    wide, tall = (20, 28, 60, 36), (36, 12, 44, 52)
    x0, y0, x1, y1 = interpolated_boxes([Marker(0, wide), Marker(2, tall)])[1]
    theirs = mask_box(by_distance(drawn(wide, (80, 80)), drawn(tall, (80, 80)), 0.5))
    assert (x0, y0, x1, y1) == (28, 20, 52, 44)
    assert theirs is not None
    assert x1 - x0 > theirs[2] - theirs[0] + 5


def test_marked_slices_keep_their_boxes_and_every_slice_between_has_one() -> None:
    markers = markers_of(TRUTH, 5)
    boxes = interpolated_boxes(markers[::-1])
    assert list(boxes) == list(range(markers[0].index, markers[-1].index + 1))
    assert all(boxes[marker.index] == marker.box for marker in markers)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6, unique=True), st.randoms(use_true_random=False))
def test_every_edge_lies_between_those_of_the_markers_around(indices, random) -> None:
    made = {z: (random.uniform(0, 10), random.uniform(0, 10), random.uniform(11, 30), 31.0) for z in indices}
    boxes = interpolated_boxes([Marker(z, box) for z, box in made.items()])
    for z, box in boxes.items():
        below, above = max(i for i in made if i <= z), min(i for i in made if i >= z)
        for edge, one, other in zip(box, made[below], made[above], strict=True):
            assert min(one, other) - 1e-9 <= edge <= max(one, other) + 1e-9


def test_axes_become_the_smallest_box_that_holds_the_pixels_at_their_ends() -> None:
    marker = Marker.of_axes(3, ((2.0, 5.0), (12.0, 9.0)), ((6.0, 10.0), (8.0, 4.0)))
    assert marker == Marker(3, (2.0, 4.0, 13.0, 11.0))


def test_markers_on_every_fourth_slice_find_the_target() -> None:
    logits = segmented(TRUTH, markers_of(TRUTH, 4), settings=MarkerSettings(margin=3 / 48))
    assert logits.shape == (1, *TRUTH.shape)
    assert np.array_equal(logits[0] > 0, TRUTH)


def test_targets_keep_their_order_and_do_not_touch_each_other() -> None:
    other = ellipsoid(centre=(4, 8, 7), radii=(3, 5, 5))
    small = ellipsoid(centre=(9, 20, 38), radii=(5, 8, 7))
    logits = segmented(
        other | small, markers_of(small, 2), markers_of(other, 2), settings=MarkerSettings(margin=2 / 48)
    )
    assert np.array_equal(logits[0] > 0, small)
    assert np.array_equal(logits[1] > 0, other)


def test_boxes_grow_by_a_share_of_the_longer_side() -> None:
    model = BrightInBox()
    segmented(TRUTH, [Marker(8, (10, 10, 20, 20))], model=model, settings=MarkerSettings(margin=0.05))
    assert model.asked[0].box == pytest.approx((10 - 2.4, 10 - 2.4, 20 + 2.4, 20 + 2.4))


def test_a_target_goes_beyond_its_markers_only_where_ends_are_given() -> None:
    markers = [marker for marker in markers_of(TRUTH, 1) if 5 <= marker.index <= 10]
    assert np.array_equal(np.flatnonzero((segmented(TRUTH, markers)[0] > 0).any(axis=(1, 2))), range(5, 11))
    found = segmented(TRUTH, markers, ends=(4, 17))[0] > 0
    assert np.array_equal(found[4:], TRUTH[4:])
    assert not found[:4].any()


def test_no_target_is_an_empty_answer() -> None:
    assert segmented(TRUTH).shape == (0, *TRUTH.shape)


@pytest.mark.parametrize(
    ("markers", "said"),
    [
        ([], "no marker"),
        ([Marker(3, (1, 1, 4, 4)), Marker(3, (2, 2, 5, 5))], r"two markers on slices \[3\]"),
        ([Marker(17, (1, 1, 4, 4))], "17 slices"),
    ],
)
def test_markers_without_sense_are_told(markers, said) -> None:
    with pytest.raises(InputError, match=said):
        segmented(TRUTH, markers)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 1, 2, 5), (0, 0, float("nan"), 4)])
def test_an_inverted_box_is_told_when_it_is_drawn(box) -> None:
    with pytest.raises(InputError, match="inverted or empty"):
        Marker(1, box)


def test_an_axis_without_an_end_is_told() -> None:
    with pytest.raises(InputError, match="two points"):
        Marker.of_axes(1, ((1.0, 2.0), (float("nan"), 3.0)), ((1.0, 1.0), (2.0, 2.0)))
