"""Every format of scans is read wherever NIfTI is, and what is not used in a folder is named with the reason."""

from __future__ import annotations

import json
import logging

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from acceptance.threshold import shell
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.prompts import Anatomy
from oncoprompt.study import Study, read_label_map
from study.files import LPS, noise, save

ENDINGS = (".nii.gz", ".nii", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd", ".img")


def written(path, values=None):
    """A scan in the format of its name."""
    values = noise() if values is None else values
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".mgz", ".mgh"):
        nib.save(nib.MGHImage(values, LPS), path)
    elif path.suffix == ".img":
        nib.save(nib.Nifti1Pair(values, LPS), path)
    elif path.suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        image = SimpleITK.GetImageFromArray(values.transpose(2, 1, 0))
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ LPS
        image.SetDirection(lps[:3, :3].ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        SimpleITK.WriteImage(image, str(path))
    else:
        save(path, values)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_channel_is_read_in_every_format(tmp_path, ending):
    written(tmp_path / f"case_t1c{ending}")
    study = Study.read(tmp_path)
    assert np.array_equal(study.channels["t1c"], noise())
    assert study.grid.matches(Grid((6, 7, 8), LPS))
    assert study.unused_files == ()


@pytest.mark.parametrize("ending", ENDINGS)
def test_label_maps_and_masks_are_read_in_every_format(tmp_path, ending):
    labels = np.zeros((6, 7, 8), np.uint8)
    labels[2:4] = 3
    path = written(tmp_path / f"case-seg{ending}", labels)
    assert np.array_equal(read_label_map(path, "brats2023").labels, labels)
    assert Anatomy.read(path).mask.sum() == (labels > 0).sum()
    done = shell("evaluate", "--truth", path, "--prediction", path, "--profile", "brats2023-gli")
    assert done.exit_code == 0, done.stderr


def test_analyze_is_refused_for_it_does_not_tell_left_from_right(tmp_path):
    nib.save(nib.AnalyzeImage(noise(), np.diag([1.0, 1, 1, 1])), tmp_path / "case_t1c.img")
    with pytest.raises(InputError, match=r"Analyze.*left and right"):
        Study.read(tmp_path)


@pytest.mark.parametrize("ending", [".hdr", ".img"])
def test_half_of_a_pair_is_named(tmp_path, ending):
    written(tmp_path / "case_t1c.img")
    (tmp_path / f"case_t1c{ending}").unlink()
    with pytest.raises(InputError, match=rf"case_t1c\{ending}' is not beside it"):
        Study.read(tmp_path)


@pytest.mark.parametrize("ending", [".mgz", ".nii.bz2", ".mhd", ".nii.gz"])
def test_a_channel_that_cannot_be_read_is_an_error_that_names_it(tmp_path, ending):
    save(tmp_path / "case_t2f.nii.gz")
    (tmp_path / f"case_t1c{ending}").write_bytes(b"nothing of the kind " * 40)
    with pytest.raises(InputError, match=rf"case_t1c\{ending}"):
        Study.read(tmp_path)


def test_every_scan_that_is_not_used_is_told_with_its_reason(tmp_path, caplog):
    save(tmp_path / "case_t1c.nii.gz")
    for name in ("case-seg.nii.gz", "case-oncoprompt-seg.nii.gz", "other-something.nii.gz", "sub/case_t2f.nii.gz"):
        save(tmp_path / name)
    written(tmp_path / "case_adc.mha")
    (tmp_path / "seen.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("nothing")
    with caplog.at_level(logging.WARNING):
        study = Study.read(tmp_path)
    reasons = {file.file: file.reason for file in study.unused_files}
    assert set(reasons) == {
        "case-seg.nii.gz", "case-oncoprompt-seg.nii.gz", "other-something.nii.gz", "sub/case_t2f.nii.gz",
        "case_adc.mha", "seen.png",
    }  # fmt: skip
    assert "diffusion" in reasons["case_adc.mha"]
    assert "folder within" in reasons["sub/case_t2f.nii.gz"]
    assert caplog.text.count("Not used") == 1
    assert "case-seg" not in caplog.text
    assert "other-something.nii.gz" in caplog.text


def test_two_files_of_one_channel_are_named_with_the_flag_that_chooses(tmp_path):
    save(tmp_path / "case_T1post.nii.gz")
    save(tmp_path / "case_t1c.nii.gz")
    done = shell("segment", "-i", tmp_path, "-o", tmp_path / "out.nii.gz")
    assert done.exit_code == 2
    assert all(text in done.stderr for text in ("case_T1post.nii.gz", "case_t1c.nii.gz", "--channel t1c="))


def test_the_order_of_several_volumes_is_told_by_a_flag(tmp_path, monkeypatch):
    import oncoprompt.inference.session as session
    from acceptance.threshold import Threshold

    monkeypatch.setattr(session, "load_model", lambda *_: Threshold())
    save(tmp_path / "four.nii.gz", noise((12, 12, 12, 2)))
    box = ("--box", "2", "9", "2", "9", "2", "9", "--json")
    done = shell("segment", "-i", tmp_path / "four.nii.gz", "-o", tmp_path / "o.nii.gz", *box)
    assert done.exit_code == 2
    assert "--channel-order" in done.stderr
    assert "Study" not in done.stderr
    done = shell(
        "segment", "-i", tmp_path / "four.nii.gz", "-o", tmp_path / "o.nii.gz", "--channel-order", "t2f,t1c", *box
    )
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["channels"] == ["t1c", "t2f"]


def test_two_inputs_are_not_one(tmp_path):
    for name in "ab":
        save(tmp_path / name / "case_t1c.nii.gz")
    done = shell("segment", "-i", tmp_path / "a", "-i", tmp_path / "b", "-o", tmp_path / "o.nii.gz")
    assert done.exit_code == 2
    assert "-i was given 2 times" in done.stderr
