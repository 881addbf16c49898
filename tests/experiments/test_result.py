"""What an experiment writes: valid numbers with their origin, a page that names its protocol, a figure."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from experiments.studies import FOUR, Thresholds, case_of, labelled
from oncoprompt import __version__
from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import LABELLED, SYNTHETIC, cases_of
from oncoprompt.experiments.missing_channels import left_out, missing_channels, subsets
from oncoprompt.experiments.prompt_sweep import prompt_sweep
from oncoprompt.experiments.result import write_result
from training.cases import write_ball


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The prompts of a model that never sees enhancing tumour, written with a case that is torn."""

    def torn():
        raise InputError("it is torn")

    cases = [case_of(labelled("P1")), case_of(labelled("P2", enhancing=False)), case_of(labelled("S1"), SYNTHETIC)]
    cases.append(type(cases[0])("torn", "torn", LABELLED, torn))
    result = prompt_sweep(Thresholds(enhancing=1e6), cases, lambda: None, draws=2)
    folder = tmp_path_factory.mktemp("out")
    return write_result(result, folder / "new", "prompts", "oncoprompt experiment prompts -o out")


def test_the_numbers_are_valid_json_with_every_answer_and_where_they_come_from(swept) -> None:
    content = json.loads(swept[1].read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert content["weights_sha256"] == "1" * 64
    assert (content["model"], content["version"]) == ("thresholds", __version__)
    assert content["command"] == "oncoprompt experiment prompts -o out"
    assert content["cases"] == {LABELLED: 2, SYNTHETIC: 1}
    assert content["problems"] == ["Case 'torn' is left out: it is torn"]
    # tight, +-10 %, +-20 %, one click, three clicks, correction, none
    assert len(content["answers"]) == 3 * (1 + 2 + 2 + 2 + 2 + 2 + 1)
    missed = content["answers"][0]["regions"]["ET"]
    assert (missed["dice"], missed["hd95_mm"]) == (0.0, None)
    assert content["means"][LABELLED]["none"]["WT"]["dice"] == 1.0
    assert content["means"][LABELLED]["none"]["ET"]["cases"] == 1
    assert content["lost_from_tight_to_20_percent"][LABELLED]["WT"] == 0.0


def test_the_page_names_protocols_origin_and_treatment_of_misses(swept) -> None:
    page = swept[0].read_text(encoding="utf-8")
    for said in (
        "each side moved by up to 10% of its length",
        "Labelled cases (2)",
        "Synthetic studies (1)",
        "374",
        "(1 of 1 missed)",
        "weights 111111111111",
        "Case 'torn' is left out",
        "oncoprompt experiment prompts -o out",
        "prompts.png",
    ):
        assert said in page


def test_the_figure_is_a_picture_with_something_in_it(swept) -> None:
    picture = imread(swept[2])
    assert picture.shape[0] > 300
    assert np.unique(picture[::5, ::5, :3].reshape(-1, 3), axis=0).shape[0] > 20


def test_synthetic_scores_alone_carry_a_warning(tmp_path) -> None:
    result = prompt_sweep(Thresholds(), [case_of(labelled(), SYNTHETIC)], lambda: None, draws=1)
    page = write_result(result, tmp_path, "prompts", "command")[0].read_text(encoding="utf-8")
    assert "do not say how good the model is on real scans" in page


def test_all_fifteen_subsets_are_asked_and_fewer_where_a_channel_is_missing() -> None:
    cases = [case_of(labelled()), case_of(labelled("P2", channels=("t1c", "t2f")))]
    result = missing_channels(Thresholds(), cases, lambda: None)
    assert len(result.settings) == len(list(subsets(FOUR))) == 15
    assert [sum(answer.case == name for answer in result.outcome.answers) for name in ("P1", "P2")] == [15, 3]


def test_the_loss_without_a_channel_is_the_dice_of_all_minus_that_of_the_rest() -> None:
    study = labelled()
    study.study.channels["t2f"][:] = study.study.channels["t2f"] + 100  # all of it too bright: WT is everything
    outcome = missing_channels(Thresholds(), [case_of(study)], lambda: None).outcome
    whole = next(a for a in outcome.answers if a.setting == " ".join(FOUR)).regions["WT"].dice
    losses = left_out(outcome, LABELLED)
    assert losses["t2f"]["WT"] == pytest.approx(whole - 1.0)
    assert losses["t1n"]["WT"] == 0.0
    assert whole < 0.5


def test_cases_come_from_a_data_set_and_from_seeds_in_that_order(tmp_path) -> None:
    write_ball(tmp_path / "data", "P1")
    cases = cases_of(tmp_path / "data", None, 2, 7)
    assert [(case.name, case.source) for case in cases] == [
        ("P1", LABELLED),
        ("synthetic-7", SYNTHETIC),
        ("synthetic-8", SYNTHETIC),
    ]
    assert set(cases[0].read().regions) == {"WT", "TC", "ET"}


@pytest.mark.slow
def test_a_synthetic_case_has_its_truth_on_its_grid() -> None:
    read = cases_of(None, None, 1, 3)[0].read()
    assert read.truth.grid.shape == read.study.grid.shape
    assert read.regions["WT"].any()


def test_no_cases_and_unlabelled_cases_are_told(tmp_path) -> None:
    with pytest.raises(InputError, match="--data FOLDER, --synthetic N"):
        cases_of(None, None, 0, 0)
    write_ball(tmp_path / "data", "P1")
    (tmp_path / "data" / "P1" / "P1-seg.nii.gz").unlink()
    with pytest.raises(InputError, match="label map to score against"):
        cases_of(tmp_path / "data", None, 0, 0)
