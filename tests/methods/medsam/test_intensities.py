"""Grey levels on 0..255, and a record of what was done."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.methods.medsam.intensities import WINDOWS, Intensities, automatic_preset, rescale, window


@given(values=st.lists(st.integers(-1024, 3000), min_size=1, max_size=30), preset=st.sampled_from(list(WINDOWS)))
def test_a_window_does_not_depend_on_what_else_is_in_view(values, preset):
    image = np.array(values, dtype=np.int16)
    whole, done = rescale(image, preset=preset)
    first, _ = rescale(image[:1], preset=preset)
    width, level = WINDOWS[preset]
    assert (done.low, done.high) == (level - width / 2, level + width / 2)
    assert first[0] == whole[0]
    assert whole.min() >= 0.0
    assert whole.max() <= 255.0


def test_ends_and_middle_of_the_soft_tissue_window():
    scaled, done = rescale(np.array([-2000, -160, 40, 240, 2000]), channel="ct")
    np.testing.assert_allclose(scaled, [0, 0, 127.5, 255, 255])
    assert done == Intensities("soft-tissue", -160.0, 240.0)
    assert done.to_mapping() == {"preset": "soft-tissue", "low": -160.0, "high": 240.0}


def test_the_two_lung_windows_differ():
    assert window("lung-l160") == (1500.0, -160.0)
    assert window("lung-l600") == (1500.0, -600.0)


def test_a_window_can_be_given_in_numbers():
    assert window("350/50") == window("mediastinum")
    assert window("80.5/-3") == (80.5, -3.0)


@pytest.mark.parametrize("preset", ["lung", "0/40", "-400/40", "400", "400/40/2", ""])
def test_an_unknown_window_is_refused_with_the_known_ones(preset):
    with pytest.raises(InputError, match="lung-l600"):
        rescale(np.zeros(3), preset=preset)


def test_percentiles_clip_outliers_and_leave_background_black():
    rng = np.random.default_rng(0)
    image = rng.normal(500, 50, (20, 30, 10)).astype(np.float32)
    image[:10] = 0.0
    image[15, 15, 5] = 1e6
    scaled, done = rescale(image, channel="t2w")
    assert done.preset == "percentiles"
    assert (scaled[:10] == 0).all()
    assert scaled.max() == pytest.approx(255.0)
    body = image[10:]
    np.testing.assert_allclose([done.low, done.high], np.percentile(body, [0.5, 99.5]), rtol=1e-5)
    assert 100 < scaled[10:].mean() < 155


@pytest.mark.parametrize("image", [np.zeros((3, 3)), np.full((3, 3), 7.0)])
def test_an_image_without_contrast_becomes_black(image):
    scaled, _ = rescale(image, channel="t1n")
    assert not scaled.any()


def test_pictures_are_left_alone_if_they_lie_in_0_to_255():
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    scaled, done = rescale(picture, channel="grey")
    np.testing.assert_array_equal(scaled, picture)
    assert done.preset == "unchanged"


@pytest.mark.parametrize(
    ("channel", "top", "expected"),
    [
        ("ct", 255, "soft-tissue"),
        ("CT", 2000, "soft-tissue"),
        ("rgb", 255, "unchanged"),
        ("grey", 65535, "percentiles"),
        ("t1c", 255, "percentiles"),
        ("", 255, "percentiles"),
    ],
)
def test_the_automatic_rule(channel, top, expected):
    assert automatic_preset(np.array([0.0, top], dtype=np.float32), channel) == expected


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="not finite"):
        rescale(np.array([0.0, np.nan]), channel="grey")
