"""CT windows: their endpoints and the names there are."""

import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis.ct.window import WINDOWS, apply_window, window


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_maps_its_lower_end_to_zero_its_level_to_a_half_and_its_upper_end_to_one(name: str) -> None:
    level, width = window(name).level, window(name).width
    hu = torch.tensor([-3000.0, level - width / 2, level, level + width / 2, 3000.0])
    assert torch.allclose(apply_window(hu, level, width), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-5)


@pytest.mark.parametrize(("name", "low", "high"), [("liver", -48, 163), ("kidney", -54, 247), ("pancreas", -39, 204)])
def test_organ_windows_are_the_clip_ranges_of_tags(name: str, low: float, high: float) -> None:
    found = window(name)
    assert (found.level - found.width / 2, found.level + found.width / 2) == (low, high)


def test_an_unknown_window_and_a_width_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match="abdomen"):
        window("brain")
    with pytest.raises(InputError, match="above 0"):
        apply_window(torch.zeros(1), 40, 0)
