"""Made-up pictures: repeatable, varied, each with a target that is one thing of a sensible size."""

from functools import cache

import numpy as np

from oncoprompt.synthesis.pictures import SIDE, PictureWithTarget, StudySlices, random_picture


@cache
def _pictures() -> list[PictureWithTarget]:
    return [random_picture(np.random.default_rng(seed)) for seed in range(60)]


def test_a_seed_makes_the_same_picture_again():
    first, again = (random_picture(np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)


def test_targets_are_never_empty_and_of_all_sizes():
    pictures = _pictures()
    shares = [picture.mask.mean() for picture in pictures]
    assert min(shares) > 0
    assert max(shares) < 0.7
    assert min(shares) < 0.02 < 0.08 < max(shares)
    for picture in pictures:
        assert picture.image.dtype == np.uint8
        assert picture.image.shape[:2] == picture.mask.shape == (SIDE, SIDE)


def test_there_are_grey_and_coloured_pictures_and_dark_and_bright_targets():
    pictures = _pictures()
    colours = [picture.image.ndim == 3 for picture in pictures]
    assert 3 <= sum(colours) <= 30
    grey = [p for p in pictures if p.image.ndim == 2]
    brighter = [p.image[p.mask].mean() > p.image[~p.mask].mean() for p in grey]
    assert 0.2 < np.mean(brighter) < 0.8


def test_slices_of_people_show_a_target_and_repeat_themselves():
    first, again = ([StudySlices(seed=3).slice(0, np.random.default_rng(n)) for n in range(5)] for _ in range(2))
    found = [(a, b) for a, b in zip(first, again, strict=True) if a is not None]
    assert found
    for picture, same in found:
        assert same is not None
        assert np.array_equal(picture.image, same.image)
        assert picture.image.shape == picture.mask.shape
        assert np.count_nonzero(picture.mask) >= 40
