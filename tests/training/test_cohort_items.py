"""Items of a data set on disk: read when drawn, packed without loss of anything but digits, bad cases told by name."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from oncoprompt.cohort import read_cohort, split_cohort
from oncoprompt.errors import InputError
from oncoprompt.study import Study, write_nifti
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.cohort_items import CohortCases, PackedCase, cohort_items, labelled_cases
from oncoprompt.training.config import DataSection
from oncoprompt.training.fit import fit
from oncoprompt.training.items import ItemConfig, TrainingItem
from oncoprompt.training.mixed_items import MixedItems
from training.cases import ball_case, write_ball
from training.toy import ToyLoss, toy_config

TINY = ItemConfig(least_voxels=32, least_voxels_unboxed=32, most_voxels=32)
NAMES = tuple(f"BraTS-MET-0000{number}-000" for number in range(2))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two labelled cases on disk as BraTS-METS names them."""
    folder = tmp_path_factory.mktemp("cohort")
    for seed, name in enumerate(NAMES):
        write_ball(folder, name, schema=None, seed=seed)
    return folder


def section(folder, **changes: object) -> DataSection:
    """`[data]` of the written cases."""
    return DataSection(cohort=str(folder), schema="brats2023", **changes)


def test_a_packed_case_is_the_case_but_for_the_last_digits_of_its_intensities():
    case = ball_case(parts={4: (60, 75, 0, 10, 0, 10)}, spacing_mm=4.0)
    # a label may lie outside of the brain
    case = dataclasses.replace(case, labels=case.labels.clone())
    case.labels[0, 0, 0] = 2
    packed = PackedCase.of(case)
    back = packed.unpacked()
    assert (back.name, back.channels) == (case.name, case.channels)
    assert torch.equal(back.labels, case.labels)
    assert torch.equal(back.brain, case.brain)
    for channel, original in zip(back.images, case.images, strict=True):
        assert float((channel - original).abs().max()) <= float(original.abs().max()) / 2000
    size = (
        sum(t.numel() * t.element_size() for t in (packed.images, packed.labels, packed.brain)) + packed.inside.nbytes
    )
    assert size < 0.3 * case.images.numel() * 4


def test_an_item_is_that_of_the_case_in_memory(written):
    cases = labelled_cases(str(written), None, "brats2023", None, "train")
    read = [LabelledCase.of_study(case.study(), case.labels()) for case in cases]
    item = cohort_items(section(written), TINY, seed=3).item(5)
    direct = CaseItems(read, TINY, seed=3).item(5)
    assert item.roles == direct.roles
    assert torch.equal(item.regions, direct.regions)
    assert torch.equal(item.box, direct.box)
    torch.testing.assert_close(item.images, direct.images, atol=0.05, rtol=0.0)


def test_a_case_is_read_when_it_is_drawn_and_only_the_last_ones_are_kept(written, monkeypatch):
    cases = CohortCases(labelled_cases(str(written), None, "brats2023", None, "train"), kept=1)
    read: list[str] = []
    pack = PackedCase.of
    monkeypatch.setattr(PackedCase, "of", staticmethod(lambda case: read.append(case.name) or pack(case)))
    assert (len(cases), read) == (2, [])
    for index in (0, 0, 1, 0):
        assert cases[index].name == NAMES[index]
    assert read == [NAMES[0], NAMES[1], NAMES[0]]


def test_only_the_part_of_the_split_is_trained_on(written, tmp_path):
    split = split_cohort(read_cohort(written, schema="brats2023"), {"train": 0.5, "validation": 0.5}, seed=0)
    split.write(tmp_path / "split.json")
    for part in ("train", "validation"):
        found = labelled_cases(str(written), None, "brats2023", str(tmp_path / "split.json"), part)
        assert tuple(case.name for case in found) == split.cases(part)


def test_a_share_of_the_items_stays_synthetic(written):
    items = cohort_items(section(written, synthetic_share=0.3), TINY, seed=0)
    assert isinstance(items, MixedItems)
    drawn = [items.source_of(index) for index in range(400)]
    assert drawn.count("synthetic") == pytest.approx(120, abs=40)


def test_a_data_set_without_labels_is_refused(tmp_path):
    for name in NAMES:
        write_ball(tmp_path, name)
        (tmp_path / name / f"{name}-seg.nii.gz").unlink()
    with pytest.raises(InputError, match="has no labelled case among its 2"):
        cohort_items(section(tmp_path), TINY, seed=0)


def voxel_loss(model: torch.nn.Module, item: TrainingItem) -> ToyLoss:
    """Something to minimise on an item of any size."""
    total = (model(item.images.mean()[None]) - 1.0).square().mean()
    return ToyLoss(total, {"error": float(total.detach())})


@pytest.mark.parametrize("damage", ["truncated scan", "unknown label"])
def test_a_damaged_case_is_told_by_its_name_and_the_run_goes_on(written, tmp_path, caplog, damage):
    cohort = shutil.copytree(written, tmp_path / "cohort")
    bad = NAMES[0]
    if damage == "truncated scan":
        scan = cohort / bad / f"{bad}-t1c.nii.gz"
        scan.write_bytes(scan.read_bytes()[:2000])
    else:
        like = Study.read(cohort / bad)
        write_nifti(cohort / bad / f"{bad}-seg.nii.gz", np.full(like.grid.shape, 40, dtype=np.uint8), like=like)
    # the first item of this seed is of the bad case, the second of the other
    items = cohort_items(section(cohort), TINY, seed=1)
    done = fit(toy_config(steps=1, accumulate=1), torch.nn.Linear(1, 1), items, voxel_loss, tmp_path / "run")
    assert (done.step, done.skipped) == (1, 1)
    assert f"item 0 cannot be made (InputError: Case '{bad}' cannot be used: " in caplog.text
