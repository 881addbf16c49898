"""`oncoprompt train` on a data set of labelled cases: the committed configurations of the paper, at a tiny size."""

import tomllib
from pathlib import Path

import pytest
import torch

from oncoprompt.cli import main
from oncoprompt.cli.validation import validator
from oncoprompt.cohort import read_cohort, split_cohort
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import build
from training.cases import write_ball

CONFIGS = Path(__file__).parents[2] / "configs"


def call(*arguments: str | Path) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize(
    ("name", "case"),
    [("msm-seg-brats-met", "BraTS-MET-{:05d}-000"), ("msm-seg-brats-gli-post", "BraTS-GLI-{:05d}-100")],
)
def test_a_configuration_of_the_paper_trains_on_its_data_set_and_validates(tmp_path, monkeypatch, name, case):
    monkeypatch.chdir(tmp_path)
    settings = tomllib.loads((CONFIGS / f"{name}.toml").read_text())
    data = settings["data"]
    for number in range(2):
        write_ball(Path(data["cohort"]), case.format(number), schema=None, seed=number)
    split = split_cohort(read_cohort(Path(data["cohort"]), schema=data["schema"]), {"train": 0.5, "validation": 0.5})
    split.write(Path(data["split"]))
    # as committed, but for the sizes
    settings["model"] = {"name": "msm-seg-compact", "options": {"backbone": {"widths": [8, 8, 16, 16]}}}
    data |= {"workers": 0, "options": {"least_voxels": 32, "least_voxels_unboxed": 32, "most_voxels": 32}}
    settings["optimisation"] |= {"steps": 1, "accumulate": 1}
    settings["run"] |= {"accelerator": "cpu"}
    config = TrainingConfig.from_mapping(settings)
    recipe = build(config)
    before = next(recipe.model.parameters()).clone()
    done = fit(config, recipe.model, recipe.items, recipe.loss, Path("out"), validate=validator(config))
    assert done.step == 1
    assert not torch.equal(before, next(recipe.model.parameters()))
    head, row = Path("out/validation.csv").read_text(encoding="utf-8").splitlines()
    assert head == "step,minutes,WT,TC,ET,mean"
    assert all(0.0 <= float(value) <= 1.0 for value in row.split(",")[2:])
    assert Path("out/best/msm-seg-compact.safetensors").is_file()


def test_the_verb_tells_the_best_score_and_where_its_weights_are(tmp_path, capsys):
    cohort = tmp_path / "cohort"
    write_ball(cohort, "BraTS-MET-00007-000", schema=None)
    (tmp_path / "run.toml").write_text(
        "[model.options.backbone]\nwidths = [8, 8, 16, 16]\n"
        f"[data]\nworkers = 0\ncohort = '{cohort}'\nschema = 'brats2023'\n"
        "options = {least_voxels = 32, least_voxels_unboxed = 32, most_voxels = 32}\n"
        "[optimisation]\nsteps = 1\n[run]\naccelerator = 'cpu'\nthreads = 1\n"
        f"[validation]\nevery_steps = 1\ncohort = '{cohort}'\nschema = 'brats2023'\n"
    )
    assert call("train", "-c", tmp_path / "run.toml", "-o", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "1 steps, 1 items" in told
    assert f"after step 1: {tmp_path / 'out' / 'best'}" in told
    assert len((tmp_path / "out" / "validation.csv").read_text().splitlines()) == 2


def test_without_a_data_set_validation_is_on_synthetic_studies_that_training_does_not_see():
    config = TrainingConfig.from_mapping({"validation": {"every_steps": 1, "count": 2, "seed": 500}})
    assert [case.name for case in validator(config).cases] == ["synthetic-500", "synthetic-501"]
    assert validator(TrainingConfig()) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[data]\ncohort = 'missing'\n", "missing"),
        ("[validation]\nevery_steps = 1\ncohort = 'missing'\n", "missing"),
        (
            "[data]\ncohort = 'a'\nsplit = 's.json'\n[validation]\nevery_steps = 1\npart = 'train'\n",
            "validation.part and data.part are both 'train'",
        ),
    ],
)
def test_a_data_set_that_cannot_be_used_is_refused_before_anything_is_made(tmp_path, capsys, text, told):
    (tmp_path / "run.toml").write_text(text)
    assert call("train", "-c", tmp_path / "run.toml", "-o", tmp_path / "out") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
