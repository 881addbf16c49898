"""Foreground: padding of stripped scans, air of scans with a skull, and what remains in odd ones."""

import numpy as np
import pytest

from oncoprompt.study.foreground import find_foreground, foreground_mask


def head(background: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    image = np.full((20, 24, 16), background, dtype=np.float32)
    image[5:15, 6:18, 4:12] = rng.normal(100, 5, (10, 12, 8))
    return image


@pytest.mark.parametrize("padding", [0.0, -1000.0, 7.0])
def test_what_differs_from_the_padding_of_a_stripped_scan_is_foreground(padding: float) -> None:
    found = find_foreground(head(padding))
    assert found.mean == pytest.approx(100, abs=1)
    assert found.deviation == pytest.approx(5, abs=1)
    assert found.bounds.tolist() == [[5, 15], [6, 18], [4, 12]]


def test_noisy_air_is_told_from_head_by_brightness() -> None:
    rng = np.random.default_rng(1)
    found = find_foreground(head(0.0) + np.abs(rng.normal(0, 2, (20, 24, 16))).astype(np.float32))
    assert found.mean == pytest.approx(101.6, abs=1.5)
    assert found.bounds.tolist() == [[5, 15], [6, 18], [4, 12]]


def test_a_scan_of_head_alone_is_all_foreground() -> None:
    rng = np.random.default_rng(2)
    found = find_foreground(rng.normal(100, 5, (8, 8, 8)).astype(np.float32))
    assert found.bounds.tolist() == [[0, 8]] * 3


@pytest.mark.parametrize("outside", [-1024.0, -2000.0])
def test_body_is_told_from_air_by_hounsfield_units_with_and_without_padding_around_the_field_of_view(outside) -> None:
    rng = np.random.default_rng(3)
    hu = rng.normal(-1000, 15, (20, 24, 16)).astype(np.float32)
    hu[5:15, 6:18, 4:12] = rng.normal(-60, 60, (10, 12, 8))
    hu[:6, :12] = outside
    hu[0, 0, 0] = outside
    expected = np.zeros(hu.shape, dtype=bool)
    expected[5:15, 6:18, 4:12] = True
    expected[:6, :12] = False
    assert np.array_equal(foreground_mask(hu, "ct"), expected)


def test_a_registered_ct_padded_with_zero_is_the_head_alone() -> None:
    found = find_foreground(head(0.0), "ct")
    assert found.bounds.tolist() == [[5, 15], [6, 18], [4, 12]]
