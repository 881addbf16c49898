"""Records: all that was drawn, as plain data from which the same study comes again."""

import json
from functools import cache
from typing import Any

import pytest
import torch

from oncoprompt.errors import InputError
from oncoprompt.synthesis import FAMILIES, Picture, Subject
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.record import describe, replay
from oncoprompt.synthesis.relaxometry import CHANNELS

GRID = box_points(8.0, torch.device("cpu"))


def picture(subject: Subject) -> Picture:
    return subject.picture(GRID, (8.0, 8.0, 8.0))


@cache
def person(family: str) -> Subject:
    return Subject.random(FAMILIES.index(family), family)


def written(family: str) -> dict[str, Any]:
    """The record of a person as it comes out of a file."""
    content: dict[str, Any] = json.loads(json.dumps(describe(person(family))))
    return content


@pytest.mark.parametrize("family", FAMILIES)
def test_a_record_read_from_json_gives_the_same_bytes(family: str) -> None:
    again = replay(written(family))
    one, two = picture(person(family)), picture(again)
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.labels, two.labels)
    assert torch.equal(one.mask, two.mask)
    assert describe(again) == describe(person(family))


def test_a_record_holds_every_member_of_what_was_drawn() -> None:
    record = written("post-treatment glioma")
    subject = person("post-treatment glioma")
    assert set(record["tissue"]) == set(vars(subject.lesion.tissue))
    assert set(record["appearance"]) == set(vars(subject.appearance)) - {"lesion"}
    assert set(record["scanners"]) == set(CHANNELS)
    assert all(set(record["scanners"][name]) == set(vars(subject.scanners[0])) for name in CHANNELS)
    assert set(record["stripping"]) == set(vars(subject.stripping))
    assert set(record["form"]) == set(subject.lesion.drawn)
    assert record["atlas"]["name"] == "icbm152"


def test_an_edited_uptake_is_honoured() -> None:
    record = written("high-grade glioma")
    record["tissue"]["uptake"] = 4.0
    edited = replay(record)
    assert edited.lesion.tissue.uptake == edited.appearance.lesion.uptake == 4.0
    before, after = picture(person("high-grade glioma")), picture(edited)
    assert torch.equal(before.labels, after.labels)
    for index, name in enumerate(CHANNELS):
        assert torch.equal(before.images[index], after.images[index]) == (name != "t1c")


def test_edited_noise_sequence_contrast_and_stripping_are_honoured() -> None:
    record = written("healthy")
    record["scanners"]["t2w"]["noise"] = 0.3
    record["appearance"]["sequences"]["t2_te"] = 0.2
    record["appearance"]["contrast"]["offsets"]["t2f"] = [0.25] * 8
    record["appearance"]["healthy"]["density"][0] = 0.5
    record["stripping"]["shift_mm"] = 3.0
    edited = replay(record)
    assert edited.scanners[CHANNELS.index("t2w")].noise == 0.3
    assert edited.appearance.sequences.t2_te == 0.2
    assert edited.appearance.contrast.offsets[CHANNELS.index("t2f")].tolist() == [0.25] * 8
    assert float(edited.appearance.healthy.density[0]) == 0.5
    assert int(picture(edited).mask.sum()) < int(picture(person("healthy")).mask.sum())


def changed(path: str, value: object) -> dict[str, Any]:
    """A record in which the entry at a path is another, or gone where ``value`` is None."""
    record = written("healthy")
    *parts, last = path.split(".")
    table = record
    for part in parts:
        table = table[part]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("seed", None, "The record has no seed"),
        ("scanners", None, "The record has no scanners"),
        ("seed", "seven", "'seed' must be a whole number"),
        ("family", "wart", "Known: high-grade glioma"),
        ("atlas.name", "bert", "There is no anatomy 'bert'"),
        ("atlas.identity", "0123", "is not the one of the record"),
        ("atlas.identity", None, "'atlas' has no identity"),
        ("form", {"cavity_ml": 3.0}, "not what its seed gives"),
        ("tissue.uptakes", 1.0, "unknown name 'tissue.uptakes'"),
        ("tissue.uptake", "much", "'tissue.uptake' is 'much'"),
        ("appearance.sequences", 3, "'appearance.sequences' is 3"),
        ("appearance.healthy.r1", [1.0, 2.0], "'appearance.healthy.r1' must hold"),
        ("appearance.healthy.r1", "fast", "'appearance.healthy.r1' must hold"),
        ("appearance.contrast.offsets.t2f", None, "'appearance.contrast.offsets' has no t2f"),
        ("scanners.t1c", None, "'scanners' has no t1c"),
        ("scanners.t1c", "noisy", "'scanners.t1c' is 'noisy'"),
        ("stripping", "rough", "'stripping' is 'rough'"),
    ],
)
def test_a_record_that_cannot_be_replayed_is_refused_with_the_place(path: str, value: object, told: str) -> None:
    with pytest.raises(InputError) as refused:
        replay(changed(path, value))
    assert told in str(refused.value)
