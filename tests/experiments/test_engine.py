"""Cases times settings: honest scores, one bad case ends nothing, real and synthetic cases stay apart."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.studies import Thresholds, case_of, labelled
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.experiments.cases import LABELLED, SYNTHETIC, Case, LabelledStudy
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.experiments.engine import MISS_MM, Setting, dice_of, hausdorff95_of, run
from oncoprompt.experiments.protocol import moved_box, unprompted
from oncoprompt.geometry import Grid
from oncoprompt.study import LabelMap

TIGHT = moved_box(0.0)


def right(model: Thresholds | None = None) -> Setting:
    return Setting("right", model or Thresholds(), TIGHT)


def raising(error: Exception) -> Case:
    def read() -> LabelledStudy:
        raise error

    return Case("broken", "broken", LABELLED, read)


def test_a_right_answer_has_dice_1_and_no_distance() -> None:
    (answer,) = run([case_of(labelled())], lambda _: [right()]).answers
    assert {region: (s.dice, s.hausdorff95_mm) for region, s in answer.regions.items()} == dict.fromkeys(
        ("WT", "TC", "ET"), (1.0, 0.0)
    )
    assert (answer.case, answer.source, answer.weights_sha256, answer.draw) == ("P1", LABELLED, "1" * 64, 0)


def test_a_region_that_is_missed_wholly_has_dice_0_and_the_distance_of_a_miss() -> None:
    outcome = run([case_of(labelled())], lambda _: [right(Thresholds(enhancing=1e6))])
    assert outcome.per_case(LABELLED, "right", dice_of("ET")) == {"P1": 0.0}
    assert outcome.per_case(LABELLED, "right", hausdorff95_of("ET")) == {"P1": MISS_MM}
    assert outcome.per_case(LABELLED, "right", hausdorff95_of("WT")) == {"P1": 0.0}


def test_a_region_that_is_not_in_the_truth_has_no_score() -> None:
    outcome = run([case_of(labelled(enhancing=False)), case_of(labelled("P2"))], lambda _: [right()])
    assert list(outcome.answers[0].regions) == ["WT"]
    assert outcome.per_case(LABELLED, "right", dice_of("ET")) == {"P2": 1.0}
    assert outcome.per_case(LABELLED, "right", dice_of("mean")) == {"P1": 1.0, "P2": 1.0}


def test_draws_of_a_case_are_averaged_before_cases_are() -> None:
    setting = Setting("drawn", Thresholds(), moved_box(0.2, 3))
    outcome = run([case_of(labelled())], lambda _: [setting])
    assert [answer.draw for answer in outcome.answers] == [0, 1, 2]
    shifted = [replace(a, regions={"WT": replace(a.regions["WT"], dice=0.3 * a.draw)}) for a in outcome.answers]
    assert replace(outcome, answers=tuple(shifted)).per_case(LABELLED, "drawn", dice_of("WT")) == {
        "P1": pytest.approx(0.3)
    }


@pytest.mark.parametrize("error", [InputError("it is torn"), OSError("it is torn"), RuntimeError("it is torn")])
def test_a_case_that_breaks_is_told_by_name_and_the_others_go_on(error: Exception) -> None:
    outcome = run([raising(error), case_of(labelled())], lambda _: [right()])
    assert outcome.cases(LABELLED) == ("P1",)
    assert outcome.problems == ("Case 'broken' is left out: it is torn",)


def test_where_no_case_is_left_the_first_reason_is_told() -> None:
    with pytest.raises(InputError, match=r"None of the 1 cases could be scored.*it is torn"):
        run([raising(InputError("it is torn"))], lambda _: [right()])


def test_missing_weights_are_not_the_fault_of_a_case() -> None:
    with pytest.raises(WeightsError):
        run([raising(WeightsError("gone")), case_of(labelled())], lambda _: [right()])


def test_real_and_synthetic_cases_are_never_averaged_together() -> None:
    cases = [case_of(labelled()), case_of(labelled("S1"), SYNTHETIC)]
    outcome = run(cases, lambda _: [right()])
    assert outcome.sources == (LABELLED, SYNTHETIC)
    assert set(outcome.per_case(LABELLED, "right", dice_of("WT"))) == {"P1"}
    assert set(outcome.per_case(SYNTHETIC, "right", dice_of("WT"))) == {"S1"}


def test_a_setting_gives_the_model_the_channels_it_names_alone() -> None:
    study = labelled()
    study.study.channels["t2f"][:] = 0.0  # without it the last channel is t2w, which shows everything
    settings = [
        replace(right(), name=name, channels=channels) for name, channels in (("all", None), ("two", ("t1c", "t2w")))
    ]
    outcome = run([case_of(study)], lambda _: settings)
    assert [answer.regions["WT"].dice for answer in outcome.answers] == [0.0, 1.0]


def test_every_region_of_a_study_is_encoded_once_and_the_next_study_anew() -> None:
    model = Thresholds()
    once = EncodedOnce(model)
    settings = [Setting(str(n), EncodedOnce(once, Thresholds()), protocol) for n, protocol in enumerate((TIGHT, TIGHT))]
    run([case_of(labelled()), case_of(labelled("P2"))], lambda _: settings)
    assert len(model.encoded) == 2
    run([case_of(labelled("P3"))], lambda _: [Setting("none", once, unprompted())])
    assert len(model.encoded) == 4


def test_a_label_map_on_another_grid_or_without_a_tumour_cannot_be_scored() -> None:
    whole = labelled()
    moved = Grid(whole.truth.grid.shape, np.diag([2.0, 2.0, 3.0, 1.0]))
    with pytest.raises(InputError, match="another grid"):
        LabelledStudy(whole.study, LabelMap(whole.truth.labels, moved, whole.truth.schema))
    with pytest.raises(InputError, match="no tumour"):
        LabelledStudy(whole.study, LabelMap(whole.truth.labels * 0, whole.truth.grid, whole.truth.schema))
