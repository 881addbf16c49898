"""`oncoprompt evaluate` from a shell's point of view."""

import gzip
import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from evaluation.label_maps import BOTH, GRID, LARGE, ONE, SMALL, labels, write
from oncoprompt.cli import main
from oncoprompt.evaluation.profiles import PROFILES
from oncoprompt.study import write_nifti

METRICS = {
    "dice", "hd95", "nsd_0.5", "nsd_1.0", "nsd_2.0", "lesionwise_dice", "lesionwise_hd95", "lesionwise_nsd_0.5",
    "lesionwise_nsd_1.0", "true_positives", "false_positives", "false_negatives", "volume_ml", "truth_volume_ml",
}  # fmt: skip


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main(["evaluate", *(str(argument) for argument in arguments)])
    return int(left.value.code or 0)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str | Path, ...]:
    """Arguments for three cases: found whole, half of it, and without prediction."""
    truth = write(tmp_path / "truth", P1=BOTH, P2=BOTH, P3=BOTH)
    prediction = write(tmp_path / "prediction", P1=BOTH, P2=ONE, Q9=ONE)
    return "--truth", truth, "--prediction", prediction, "--profile", "brats2024-met"


def test_every_case_and_the_mean_are_in_the_json_the_table_and_the_page(tmp_path, folders, capsys):
    out, page = tmp_path / "scores.json", tmp_path / "scores.html"
    assert call(*folders, "--json", out, "--html", page) == 4
    told = capsys.readouterr()
    scores = json.loads(out.read_text())
    assert scores["profile"] == "brats2024-met"
    assert set(scores["cases"]) == {"P1", "P2", "P3"}
    for figures in (*scores["cases"]["P2"].values(), *scores["mean"].values(), *scores["interval"].values()):
        assert set(figures) >= METRICS
    dice = [scores["cases"][case]["ET"]["lesionwise_dice"] for case in ("P1", "P2", "P3")]
    assert dice == [1.0, 0.5, 0.0]
    assert scores["mean"]["ET"]["lesionwise_dice"] == 0.5
    assert scores["interval"]["ET"]["lesionwise_dice"] == [0.0, 1.0]
    assert (scores["missing"], scores["without_truth"]) == (["P3"], ["Q9"])
    assert "P3: There is no prediction. Scored as missing." in told.err
    assert "there is no truth: Q9" in told.err
    assert "| ET     | 0.500 [0.000, 1.000]" in told.out
    html = page.read_text()
    assert html.count("data:image/png;base64,") == 3
    assert html.index("<figcaption>P3:") < html.index("<figcaption>P2:") < html.index("<figcaption>P1:")


def test_two_sets_of_predictions_are_compared(tmp_path, folders, capsys):
    other = write(tmp_path / "other", P1=ONE, P2=ONE)
    assert call(*folders, "--compare", other, "--json", tmp_path / "s.json") == 4
    test = json.loads((tmp_path / "s.json").read_text())["wilcoxon"]["ET"]["lesionwise_dice"]
    assert test == {"n": 3, "different": 1, "median_difference": 0.0, "p": 1.0}
    assert "no case differs" in capsys.readouterr().out


def test_two_files_are_scored_without_an_interval(tmp_path, folders, capsys):
    arguments = ("--truth", folders[1] / "P1-seg.nii.gz", "--prediction", folders[3] / "P2-seg.nii.gz")
    assert call(*arguments, "--profile", "brats2023-met", "--json", tmp_path / "s.json", "-q") == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["cases"]["P1"]["ET"]["lesionwise_dice"] == 0.5
    assert scores["interval"]["ET"]["lesionwise_dice"] is None
    assert capsys.readouterr().out == ""


def test_labels_of_another_edition_are_scored_with_their_schema_and_refused_without(tmp_path, folders, capsys):
    prediction = write(tmp_path / "of2021", P1=labels(LARGE, SMALL, value=4))
    arguments = ("--truth", prediction, "--prediction", prediction, "--profile", "brats2023-gli")
    assert call(*arguments, "--schema", "brats2021", "--json", tmp_path / "s.json") == 0
    assert json.loads((tmp_path / "s.json").read_text())["cases"]["P1"]["ET"]["lesionwise_dice"] == 1.0
    capsys.readouterr()
    assert call(*arguments) == 2
    told = capsys.readouterr().err
    assert "has no 4" in told
    assert "--schema" in told


def test_worst_cases_are_drawn_over_their_scans_or_say_why_not(tmp_path, folders, capsys):
    images = tmp_path / "images"
    (images / "P3").mkdir(parents=True)
    scan = np.random.default_rng(0).normal(100, 9, GRID.shape).astype(np.float32)
    write_nifti(images / "P3" / "P3-t1c.nii.gz", scan, GRID)
    write_nifti(images / "P2-t2f.nii.gz", scan, GRID)
    assert call(*folders, "--html", tmp_path / "with.html", "--truth-images", images) == 4
    told = capsys.readouterr().err
    assert "P1 is drawn without its scans" in told
    assert "P2 is" not in told
    assert "P3 is" not in told
    assert call(*folders, "--html", tmp_path / "without.html") == 4
    with_scans, without = (
        [figure.split("</figure>")[0] for figure in (tmp_path / name).read_text().split("<figure>")[1:]]
        for name in ("with.html", "without.html")
    )
    assert [one == other for one, other in zip(with_scans, without, strict=True)] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--truth", "{folder}/none"], "does not exist"),
        (["--prediction", "{folder}/empty"], "holds no label maps"),
        (["--prediction", "{folder}/strangers"], "No prediction belongs to a truth"),
        (["--compare", "{folder}/none"], "does not exist"),
        (["--profile", "brats1999-gli"], "Known: brats2023-gli"),
        (["--schema", "mine"], "no label schema 'mine'"),
        (["--json", "{folder}/scores.txt"], "must end in .json"),
        (["--html", "{folder}/none/scores.html"], "a folder that exists"),
        (["--truth-images", "{folder}/empty"], "give both"),
        (["--html", "{folder}/scores.html", "--truth-images", "{folder}/none"], "is no folder"),
    ],
)
def test_bad_input_is_told_in_one_sentence_and_leaves_nothing(tmp_path, folders, capsys, arguments, told):
    write(tmp_path / "strangers", X1=BOTH)
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert call(*folders, *(argument.replace("{folder}", str(tmp_path)) for argument in arguments)) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_scores_from_files_to_json(tmp_path, name):
    one = labels(LARGE, value=1)
    truth, prediction = write(tmp_path / "t", P1=one, P2=one), write(tmp_path / "p", P1=one)
    arguments = ("--truth", truth, "--prediction", prediction, "--profile", name)
    assert call(*arguments, "--json", tmp_path / "s.json") == 4
    scores = json.loads((tmp_path / "s.json").read_text())
    region = "GTV" if list(PROFILES[name].regions) == ["GTV"] else "TC"
    assert scores["profile"] == name
    assert [scores["cases"][case][region]["lesionwise_dice"] for case in ("P1", "P2")] == [1.0, 0.0]
    assert scores["cases"]["P1"][region]["volume_ml"] == pytest.approx(one.sum() * 2 / 1000)


def test_a_prediction_without_a_truth_is_named_and_the_exit_code_is_four(tmp_path, capsys):
    truth, prediction = write(tmp_path / "t", P1=ONE), write(tmp_path / "p", P1=ONE, P9=ONE)
    arguments = ("--truth", truth, "--prediction", prediction, "--profile", "brats2024-met")
    assert call(*arguments, "--json", tmp_path / "s.json") == 4
    assert "P9" in capsys.readouterr().err
    assert json.loads((tmp_path / "s.json").read_text())["without_truth"] == ["P9"]
    next(prediction.rglob("P9*")).unlink()
    assert call(*arguments) == 0


def test_a_prediction_in_a_format_that_is_not_read_is_named_and_no_absence(tmp_path, capsys):
    truth, prediction = write(tmp_path / "t", P1=ONE, P2=ONE), write(tmp_path / "p", P1=ONE, P2=ONE)
    file = next(path for path in prediction.rglob("P2*") if path.is_file())
    file.with_name("P2-seg.nii.xz").write_bytes(lzma.compress(gzip.decompress(file.read_bytes())))
    file.unlink()
    assert call("--truth", truth, "--prediction", prediction, "--profile", "brats2024-met") == 4
    assert "P2-seg.nii.xz" in capsys.readouterr().err


def test_maps_of_probabilities_beside_a_result_are_no_predictions(tmp_path, capsys):
    truth, prediction = write(tmp_path / "t", P1=ONE), write(tmp_path / "p" / "P1", **{"P1-oncoprompt": ONE})
    write_nifti(prediction / "P1-oncoprompt-prob-ET.nii.gz", np.zeros(GRID.shape, np.float32), GRID)
    assert call("--truth", truth, "--prediction", tmp_path / "p", "--profile", "brats2024-met") == 0
    assert "prob" not in capsys.readouterr().err
