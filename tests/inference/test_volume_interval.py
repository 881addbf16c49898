"""Volume intervals cover as they say, and hold the predicted volume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oncoprompt.errors import InputError
from oncoprompt.inference.volume_interval import VolumeError


def test_intervals_cover_the_stated_share_of_unseen_studies() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        predicted = rng.uniform(1, 100, 60)
        true = predicted * np.exp(rng.normal(0.1, 0.4, 60))
        error = VolumeError.fit(true[:40], predicted[:40], share=0.8)
        ranges = [error.interval_ml(volume) for volume in predicted[40:]]
        covered += [low <= volume <= high for volume, (low, high) in zip(true[40:], ranges, strict=True)]
    assert 0.79 < np.mean(covered) < 0.86


@given(st.floats(0, 1000), st.floats(-3, 3), st.floats(0, 3))
def test_an_interval_is_never_negative_and_holds_the_predicted_volume(predicted, low, width) -> None:
    least, most = VolumeError(low, low + width, 0.8).interval_ml(predicted)
    assert 0 <= least <= predicted <= most


def test_a_region_that_was_not_found_may_be_there() -> None:
    assert VolumeError.fit([0.0] * 5 + [2.0] * 5, [0.0] * 10).interval_ml(0.0) == (0.0, pytest.approx(2.0, abs=0.01))


def test_too_few_studies_for_the_share_are_refused() -> None:
    with pytest.raises(InputError, match="needs 9 studies or more"):
        VolumeError.fit([1.0] * 8, [1.0] * 8, share=0.8)
    VolumeError.fit([1.0] * 9, [1.0] * 9, share=0.8)
