"""Experiments that train: arms that lack what they say, are not trained twice, and patients on one side alone."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies import case_of, labelled
from oncoprompt.errors import InputError
from oncoprompt.experiments.ablation import ARMS, ablation, chosen
from oncoprompt.experiments.arms import ArmTraining
from oncoprompt.experiments.cases import LABELLED, SYNTHETIC, Case
from oncoprompt.experiments.few_shot import divided, few_shot, numbers
from oncoprompt.methods.registry import build_network
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.few_case_items import Shares
from oncoprompt.training.finetune import FinetuneConfig
from oncoprompt.training.items import ItemConfig
from oncoprompt.training.recipe import build

SMALL = {"least_voxels": 24, "least_voxels_unboxed": 24, "most_voxels": 24}


def test_every_arm_but_the_whole_network_lacks_parameters_and_no_two_are_alike() -> None:
    networks = {arm: build_network("msm-seg-compact", options, "test") for arm, options in ARMS.items()}
    shapes = {arm: {name: v.shape for name, v in network.state_dict().items()} for arm, network in networks.items()}
    sizes = {arm: sum(int(np.prod(shape)) for shape in shape_of.values()) for arm, shape_of in shapes.items()}
    assert all(sizes[arm] < sizes["full"] for arm in ARMS if arm != "full")
    assert len({tuple(sorted(shape_of.items())) for shape_of in shapes.values()}) == len(ARMS)
    assert not any("branch" in name for name in shapes["no memory"])
    assert not any("msma.channel_branch" in name for name in shapes["slice bank only"])
    assert not any("msma.slice_branch" in name for name in shapes["channel bank only"])
    assert any("msma.slice_branch" in name for name in shapes["slice bank only"])


def test_arms_are_chosen_by_name_and_unknown_ones_are_told() -> None:
    assert chosen(None) == list(ARMS)
    assert chosen("no memory, full,full") == ["no memory", "full"]
    for wrong in ("no brain", ""):
        with pytest.raises(InputError, match="Known: full, no memory"):
            chosen(wrong)


@pytest.mark.slow
def test_an_arm_is_trained_on_the_pool_and_not_again(tmp_path) -> None:
    training = ArmTraining(tmp_path, minutes=0.02, items=2, item_options=SMALL)
    result = ablation(training, [0], ["full", "no memory"], [case_of(labelled())], lambda: None)
    assert set(result.settings) == {
        f"{arm}, {asked}" for arm in ("full", "no memory") for asked in ("box ±10%", "none")
    }
    state = next(tmp_path.rglob("no-memory-seed-0")) / "log.csv"
    before = state.read_text()
    again = training.train("no memory", ARMS["no memory"], 0)
    assert state.read_text() == before
    assert again.weights_sha256 == result.figures["arms"]["no memory"]["seed 0"]
    assert len(list(tmp_path.rglob("item-*"))) == 2


@pytest.mark.parametrize("text", ["", "0", "1,two", "-1", "1.5"])
def test_counts_are_positive_whole_numbers(text: str) -> None:
    with pytest.raises(InputError, match="positive whole numbers"):
        numbers(text)
    assert numbers("4, 1,2,2") == [1, 2, 4]


@dataclass(frozen=True)
class _Named:
    """What a case is in training, as far as division goes: whose it is."""

    patient: str

    def in_head_box(self) -> str:
        """The patient."""
        return self.patient


@settings(max_examples=50)
@given(st.lists(st.sampled_from("abcdef"), min_size=3, max_size=8), st.integers(0, 3), st.integers(0, 99))
def test_no_patient_is_trained_on_and_scored(patients: list[str], count: int, seed: int) -> None:
    cases = [Case(f"{p}-{n}", p, LABELLED, lambda p=p: _Named(p)) for n, p in enumerate(patients)]  # type: ignore[misc]
    cases.append(case_of(labelled("S1"), SYNTHETIC))
    try:
        trained_on, held_out, _ = divided(cases, count + 1, seed)
    except InputError:
        return
    assert len(trained_on) == count + 1
    assert not {case.patient for case in held_out} & set(trained_on)  # type: ignore[arg-type]
    assert "S1" in {case.patient for case in held_out}
    assert len({case.source for case in held_out}) == 2


def test_too_few_cases_are_told_with_what_could_not_be_read() -> None:
    def torn():
        raise InputError("it is torn")

    cases = [case_of(labelled()), Case("torn", "torn", LABELLED, torn)]
    with pytest.raises(InputError, match=r"found 2, of which 1 cannot be read.*'torn' is left out: it is torn"):
        divided(cases, 2, 0)


@pytest.mark.slow
def test_a_model_is_scored_before_and_after_on_patients_it_has_not_seen(tmp_path) -> None:
    config = TrainingConfig.from_mapping({"model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}}})
    (tmp_path / "start").mkdir()
    weights = export_weights(tmp_path / "start", build(config).model.state_dict(), Progress(), config.to_mapping())
    usual = FinetuneConfig(
        str(weights),
        steps=1,
        shares=Shares(1.0, 0.0, 0.0, 0.0),
        items=ItemConfig(**SMALL),
        workers=0,
        accelerator="cpu",
    )
    cases = [case_of(labelled(name)) for name in ("P1", "P2", "P3")]
    result = few_shot([1, 2], usual, tmp_path / "out", cases, lambda: None)
    assert result.settings == ("before", "1 case", "2 cases")
    assert len(result.outcome.cases(LABELLED)) == 1
    assert len(set(result.figures["weights"].values())) == 3
    manifest = json.loads((tmp_path / "out" / "2-cases" / "msm-seg-compact.json").read_text())
    assert manifest["fine_tuning"]["real_cases"] == 2
    assert few_shot([1, 2], usual, tmp_path / "out", cases, lambda: None).figures == result.figures
