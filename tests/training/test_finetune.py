"""Fine-tuning on few cases: weights that load and segment, an honest manifest, exact resume, clear refusals."""

import json
import signal

import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.cli import main
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.inference import Session
from oncoprompt.methods.registry import load_network
from oncoprompt.prompts import Box
from oncoprompt.training import finetune as module
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.few_case_items import Shares, few_case_items
from oncoprompt.training.finetune import FinetuneConfig, finetune
from oncoprompt.training.items import ItemConfig, TrainingItem
from oncoprompt.training.mixed_items import MixedItems
from oncoprompt.training.recipe import build
from training.cases import ball_case, write_ball

OPTIONS = {"backbone": {"widths": [8, 8, 16, 16]}}
ITEMS = ItemConfig(least_voxels=24, least_voxels_unboxed=24, most_voxels=32)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Weights of a narrow network, as `oncoprompt train` exports them."""
    config = TrainingConfig.from_mapping({"model": {"options": OPTIONS}})
    folder = tmp_path_factory.mktemp("small")
    return str(export_weights(folder, build(config).model.state_dict(), Progress(), config.to_mapping()))


def settings(model: str, **changes: object) -> FinetuneConfig:
    """Three steps on real and mixed heads."""
    usual = {"steps": 3, "shares": Shares(0.5, 0.5, 0, 0), "items": ITEMS, "workers": 0, "warmup_steps": 0}
    few = {"field_minutes": 0.0, "field_iterations": 2, "accelerator": "cpu"}
    return FinetuneConfig(model=model, **(usual | few | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tuned(small, tmp_path_factory):
    cases = [ball_case("secret-a"), ball_case("secret-b", seed=1)]
    return finetune(cases, tmp_path_factory.mktemp("out") / "tuned", settings(small))


def test_the_result_lies_half_way_between_the_weights_before_and_the_tuned_ones(small, tuned):
    before, after = load_file(small), load_file(tuned.weights)
    state = torch.load(tuned.weights.parent / "run" / "state.pt", weights_only=True)["average"]
    moved = 0.0
    for name, value in before.items():
        if value.is_floating_point():
            middle = (value.float() + state[name].float()) / 2
            assert torch.allclose(after[name].float(), middle, atol=2e-3, rtol=2e-3)
            moved = max(moved, float((state[name] - value.float()).abs().max()))
    assert moved > 1e-5
    assert (tuned.complete, tuned.progress.step) == (True, 3)


def test_the_manifest_says_how_many_cases_and_which_shares_but_not_who(small, tuned):
    text = tuned.weights.with_suffix(".json").read_text()
    manifest = json.loads(text)
    assert manifest["fine_tuning"]["real_cases"] == 2
    assert manifest["fine_tuning"]["shares"] == {"real": 0.5, "ism": 0.5}
    assert manifest["fine_tuning"]["from_sha256"] == load_network(small).sha256
    assert len(set(manifest["fine_tuning"]["cases_sha256"])) == 2
    assert "secret" not in text


def test_the_result_segments_when_its_path_is_given_as_the_model(tuned):
    study = ball_case(spacing_mm=1.0).study()
    box = Box.from_voxels([[90, 130], [76, 116], [70, 110]], study.grid)
    result = Session(study, model=str(tuned.weights)).segment(box)
    assert result.probability("WT").shape == study.grid.shape
    assert result.provenance.weights_sha256 == load_network(str(tuned.weights)).sha256


def test_a_single_case_is_enough_and_its_head_is_not_mixed(small, tmp_path):
    result = finetune([ball_case()], tmp_path / "one", settings(small, steps=1, shares=Shares(0.8, 0.2, 0, 0)))
    assert json.loads(result.weights.with_suffix(".json").read_text())["fine_tuning"]["shares"] == {"real": 0.8}
    assert not (tmp_path / "one" / "run" / "fields").exists()


class _Stops:
    """Items that ask the run to stop, as Ctrl-C does, when the second is made."""

    def __init__(self, items: MixedItems) -> None:
        self.items, self.shares = items, items.shares

    def item(self, index: int) -> TrainingItem:
        if index == 1:
            signal.raise_signal(signal.SIGINT)
        return self.items.item(index)


def test_a_run_that_was_stopped_and_resumed_ends_with_the_weights_of_one_that_never_was(
    small, tmp_path, tuned, monkeypatch
):
    cases = [ball_case("secret-a"), ball_case("secret-b", seed=1)]
    with monkeypatch.context() as patch:
        patch.setattr(module, "few_case_items", lambda *given: _Stops(few_case_items(*given)))
        stopped = finetune(cases, tmp_path / "run", settings(small))
    assert (stopped.complete, stopped.progress.step) == (False, 2)
    resumed = finetune(cases, tmp_path / "run", settings(small), resume=True)
    assert (resumed.complete, resumed.progress.step) == (True, 3)
    first, second = load_file(tuned.weights), load_file(resumed.weights)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_stopped_while_heads_were_fitted_is_begun_again_and_one_that_has_begun_is_not(small, tmp_path, tuned):
    (tmp_path / "out" / "run" / "fields").mkdir(parents=True)
    assert module.check(tmp_path / "out", settings(small)).name == "msm-seg-compact"
    with pytest.raises(InputError, match="not an empty folder"):
        module.check(tuned.weights.parent, settings(small))


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        ("unet", InputError, "There is no model 'unet'"),
        ("missing.safetensors", WeightsError, "There are no weights 'missing.safetensors'"),
    ],
)
def test_models_that_are_not_there_are_named(tmp_path, model, error, said):
    with pytest.raises(error, match=said):
        finetune([ball_case(spacing_mm=4.0)], tmp_path / "out", settings(model))


def test_a_network_that_fine_tuning_is_not_built_for_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MODEL", "another")
    with pytest.raises(InputError, match="built for another alone"):
        finetune([ball_case(spacing_mm=4.0)], tmp_path / "out", settings(small))


def test_cases_without_any_tumour_teach_nothing(small, tmp_path):
    nowhere = (200, 200, 0, 0, 0, 0)
    with pytest.raises(InputError, match="nothing to learn"):
        finetune([ball_case(parts={1: nowhere, 2: nowhere, 3: nowhere})], tmp_path / "out", settings(small))


def call(*arguments: object) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


def test_a_folder_that_is_not_empty_is_left_alone(small, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    write_ball(tmp_path / "data", "P1")
    assert call("finetune", "--model", small, "--data", tmp_path / "data", "-o", tmp_path / "out") == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert call("finetune", "--model", small, "--data", tmp_path, "-o", tmp_path / "new", "--resume") == 2
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "asked", "said"),
    [(None, None, "--schema"), (None, "brats2021", "brats2021"), (None, "brats1999", "no label schema 'brats1999'")],
)
def test_label_maps_without_their_schema_are_not_guessed(small, tmp_path, capsys, written, asked, said):
    write_ball(tmp_path / "data", "P1", schema=written)
    schema = ["--schema", asked] if asked else []
    assert call("finetune", "--model", small, "--data", tmp_path / "data", "-o", tmp_path / "out", *schema) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_labelled_cases_is_told_so(small, tmp_path, capsys):
    write_ball(tmp_path / "data", "P1")
    (tmp_path / "data" / "P1" / "P1-seg.nii.gz").unlink()
    assert call("finetune", "--model", small, "--data", tmp_path / "data", "-o", tmp_path / "out") == 2
    assert "is labelled" in capsys.readouterr().err


@pytest.mark.slow
def test_the_verb_needs_no_configuration(small, tmp_path, capsys):
    write_ball(tmp_path / "data", "P1")
    assert call("finetune", "--model", small, "--data", tmp_path / "data", "-o", tmp_path / "out", "--steps", 1) == 0
    said = capsys.readouterr().out
    assert "TRAINED on" in said
    assert "moved by up to 10 %" in said
    assert (tmp_path / "out" / "msm-seg-compact.safetensors").is_file()
