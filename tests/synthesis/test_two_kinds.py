"""People with tumours of two kinds: each kind has its own labels, and the rest of the head stays as it was."""

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis.ct.subject import AbdomenSubject
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.kinds import abdomen_of_kinds
from oncoprompt.synthesis.two_kinds import TwoKinds

FAMILIES = ("meningioma", "metastases")
POINTS = box_points(4.0, torch.device("cpu"))
SPACING = (4.0, 4.0, 4.0)


@pytest.fixture(scope="module")
def person() -> TwoKinds:
    return TwoKinds.random(2, FAMILIES)


def test_the_same_seed_gives_the_same_person(person: TwoKinds) -> None:
    again = TwoKinds.random(2, FAMILIES).picture(POINTS, SPACING)[0]
    torch.testing.assert_close(person.picture(POINTS, SPACING)[0].images, again.images)


def test_kinds_do_not_overlap_and_together_are_the_labels(person: TwoKinds) -> None:
    picture, each = person.picture(POINTS, SPACING)
    assert list(each) == ["meningioma", "brain metastasis"]
    first, second = each.values()
    assert first.any()
    assert second.any()
    assert not ((first > 0) & (second > 0)).any()
    assert torch.equal(picture.labels, first + second)


def test_away_from_the_second_tumour_the_picture_is_that_of_the_first(person: TwoKinds) -> None:
    picture, each = person.picture(POINTS, SPACING)
    alone = person.first.picture(POINTS, SPACING)
    changed = (picture.images - alone.images).abs().amax(0)
    tumour = each["brain metastasis"] > 0
    near = torch.nn.functional.max_pool3d(tumour[None].float(), 7, 1, 3)[0] > 0
    assert changed[tumour].mean() > 5 * changed[~near].mean()


@pytest.mark.parametrize(
    "families", [("meningioma",), ("meningioma", "healthy"), ("high-grade glioma", "low-grade glioma")]
)
def test_two_different_kinds_are_needed(families: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="Two families of different kinds"):
        TwoKinds.random(0, families)


def test_an_abdomen_has_tumours_in_every_organ_that_was_asked_for_inside_its_anatomy() -> None:
    found = abdomen_of_kinds(3, ("liver", "kidney"), spacing_mm=6.0)
    assert list(found.kinds) == ["liver tumour", "kidney tumour"]
    for word, mask in found.kinds.items():
        assert mask.shape == found.study.grid.shape
        assert mask.any()
        assert not (mask & ~found.anatomy[word]).any()


def test_tumours_of_other_organs_leave_the_labels_to_the_first_organ() -> None:
    subject = AbdomenSubject.random(3, "liver", also=("kidney",))
    region = subject.whole(6.0)
    labels = subject.picture(region).labels
    kidney = subject.tumours(region)["kidney"]
    assert int(labels[kidney].max()) == 0
    assert np.isin(labels.numpy(), (0, 1, 2)).all()
