"""Foreground: padding of stripped scans, air of scans with a skull, and what remains in odd ones."""

import numpy as np
import pytest

from oncoprompt.study.foreground import find_foreground


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
