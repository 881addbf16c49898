"""`oncoprompt experiment` from a shell: files, exit codes, sentences."""

import json

import pytest

from methods.tags.tiny_compact import OPTIONS, tiny_compact
from oncoprompt.cli import main
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.recipe import build
from training.cases import write_ball

VERBS = (
    "prompts",
    "missing-channels",
    "channel-order",
    "memory",
    "ablation",
    "few-shot",
    "interaction",
    "fair-comparison",
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """Weights of a narrow network that was never trained."""
    config = TrainingConfig.from_mapping({"model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}}})
    folder = tmp_path_factory.mktemp("weights")
    return str(export_weights(folder, build(config).model.state_dict(), Progress(), config.to_mapping()))


def call(*arguments: object) -> int:
    """Exit code of the command line."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.mark.parametrize("verb", VERBS)
def test_every_experiment_has_help_with_an_example(verb: str, capsys) -> None:
    assert call("experiment", verb, "--help") == 0
    assert f"oncoprompt experiment {verb}" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_channel_order_writes_page_numbers_and_figure_and_goes_on_after_a_bad_case(tmp_path, weights, capsys) -> None:
    for name in ("P1", "P2"):
        write_ball(tmp_path / "data", name)
    (tmp_path / "data" / "P2" / "P2-t1c.nii.gz").write_bytes(b"torn")
    out = tmp_path / "out"
    given = ("--data", tmp_path / "data", "--model", weights, "--output", out)
    assert call("experiment", "channel-order", *given) == 0
    said = capsys.readouterr()
    assert "Case 'P2' is left out" in said.err
    assert "Largest difference in Dice between two orders" in said.out
    assert {path.name for path in out.iterdir()} == {f"channel-order.{ending}" for ending in ("md", "json", "png")}
    content = json.loads((out / "channel-order.json").read_text())
    assert set(content["command"].split()) == {"oncoprompt", "experiment", "channel-order", *map(str, given)}
    assert content["cases"] == {"labelled cases": 1}
    assert len(content["answers"]) == 2


@pytest.mark.slow
def test_the_comparison_asks_a_model_of_words_and_its_reference_and_writes_what_they_say(
    tmp_path, weights, capsys
) -> None:
    write_ball(tmp_path / "data", "P1")
    config = TrainingConfig.from_mapping({"model": {"name": "tags-compact", "options": OPTIONS}})
    (tmp_path / "tiny").mkdir()
    tiny = export_weights(tmp_path / "tiny", tiny_compact().state_dict(), Progress(), config.to_mapping())
    given = ("--data", tmp_path / "data", "--model", tiny, "--reference", weights, "--train-minutes", 0, "--draws", 1)
    assert call("experiment", "fair-comparison", *given, "-o", tmp_path / "out") == 0
    assert "| wrong word |" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "fair-comparison.json").read_text())
    assert list(content["models"]) == ["tags-compact", "msm-seg-compact"]
    assert content["cases"] == {"labelled cases": 1}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"fair-comparison.{ending}" for ending in ("md", "json", "png")
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prompts",), "--data FOLDER, --synthetic N"),
        (("prompts", "--data", "nowhere"), "nowhere"),
        (("prompts", "--synthetic", 1, "--model", "unet"), "There is no model 'unet'"),
        (("memory", "--synthetic", 1, "--model", "unet"), "There is no model 'unet'"),
        (("ablation", "--synthetic", 1, "--arms", "no brain"), "There is no arm 'no brain'"),
        (("few-shot", "--synthetic", 3, "--counts", "some"), "positive whole numbers"),
        (("fair-comparison",), "--synthetic-ct N"),
        (("fair-comparison", "--synthetic", 1, "--word", "liver tumour"), "Known: glioma, meningioma"),
        (("fair-comparison", "--synthetic", 1, "--model", "unet"), "There is no model 'unet'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence_with_exit_code_2(tmp_path, capsys, arguments, said) -> None:
    assert call("experiment", *arguments, "-o", tmp_path / "out") == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_left_alone(tmp_path, capsys) -> None:
    (tmp_path / "out").write_text("mine")
    assert call("experiment", "prompts", "--synthetic", 1, "-o", tmp_path / "out") == 2
    assert "is a file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_label_maps_without_their_schema_are_not_guessed(tmp_path, weights, capsys) -> None:
    write_ball(tmp_path / "data", "P1", schema=None)
    asked = ("--data", tmp_path / "data", "--model", weights, "-o", tmp_path / "out")
    assert call("experiment", "prompts", *asked) == 2
    assert "schema" in capsys.readouterr().err
