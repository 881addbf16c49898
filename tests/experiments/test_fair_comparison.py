"""The comparison: every model told the same as far as it reads it, a page and a figure; a baseline that reads masks."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from experiments.studies import SHAPE, Thresholds, case_of, labelled
from experiments.test_guidance import guided
from oncoprompt.errors import InputError
from oncoprompt.experiments.anatomy_baseline import (
    OPTIONS,
    BaselineTraining,
    WordlessNetwork,
    baseline_network,
    baseline_step,
    read_baseline,
)
from oncoprompt.experiments.cases import LABELLED
from oncoprompt.experiments.contenders import Contender
from oncoprompt.experiments.fair_comparison import fair_comparison
from oncoprompt.experiments.fair_comparison_page import comparison_table, write_fair_comparison
from oncoprompt.experiments.guidance import ANATOMY, BOX, CLICKS, GUIDANCE, WORD
from oncoprompt.experiments.guided_cases import GuidedStudy
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.registry import build_network
from oncoprompt.methods.tags.compact import CompactPrompt
from oncoprompt.methods.tags.compact_method import CompactTagsMethod
from oncoprompt.prompts import Anatomy, Box, Text
from oncoprompt.study import LabelMap, Study, schemas
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.tags_items import TagsItem

SIZE = (32, 16, 16)
EVERYTHING = frozenset({CLICKS, WORD, ANATOMY, BOX})
CASES = [case_of(guided())]
SMALL = {**OPTIONS, "core": {"filters": [8, 16, 16, 16]}}


class Listening(Thresholds):
    """Right about the tumour, but finds nothing at a wrong word, and nothing outside the mask."""

    name = "listening"

    def decode(self, encoding: Encoding, prompts, study: Study, previous=None) -> RegionProbabilities:
        """Remembers what it was told."""
        found = super().decode(encoding, prompts, study, previous)
        self.told: list[Prompt] = [*getattr(self, "told", []), *prompts]
        words = [prompt.words for prompt in prompts if isinstance(prompt, Text)]
        values = found.values * (words in ([], ["glioma"]))
        for prompt in prompts:
            if isinstance(prompt, Anatomy):
                values = values * prompt.mask
        return RegionProbabilities(values, found.offset)


def contender(name: str, reads: frozenset[str], ct: bool = True, model: Thresholds | None = None) -> Contender:
    return Contender(name, model or Listening(), reads, ct, "is made for a test.")


@pytest.fixture(scope="module")
def found():
    contenders = [
        contender("all", EVERYTHING),
        contender("wordless", EVERYTHING - {WORD}),
        contender("boxes", {CLICKS, BOX}),
    ]
    return fair_comparison(contenders, CASES, lambda: None, draws=1)


def test_no_model_is_told_what_it_does_not_read() -> None:
    models = {WORD: Listening(), ANATOMY: Listening()}
    for part, model in models.items():
        fair_comparison([contender("one", EVERYTHING - {part}, model=model)], CASES, lambda: None, draws=1)
    assert not any(isinstance(prompt, Text) for prompt in models[WORD].told)
    assert any(isinstance(prompt, Anatomy) for prompt in models[WORD].told)
    assert not any(isinstance(prompt, Anatomy) for prompt in models[ANATOMY].told)


def test_what_a_model_cannot_tell_apart_is_asked_once(found) -> None:
    settings = {answer.setting for answer in found.outcome.answers}
    everything, wordless, boxes = found.contenders
    assert {name for name, asked in everything.asked_as.items() if asked == name} == {g.name for g in GUIDANCE}
    assert wordless.asked_as["wrong word"] == GUIDANCE[0].name
    assert boxes.asked_as["no mask"] == boxes.asked_as["3 clicks alone"] == GUIDANCE[0].name
    assert "wordless: wrong word" not in settings
    assert found.dice(LABELLED, wordless, "wrong word") == found.dice(LABELLED, wordless, GUIDANCE[0].name)
    assert len(settings) == sum(len(set(c.asked_as.values())) for c in found.contenders)


def test_losses_are_those_of_what_was_wrong(found) -> None:
    lost = found.lost(LABELLED, found.contenders[0])
    assert lost["wrong word"] == 1.0
    assert lost["no word"] == 0.0
    assert 0.0 < lost["mask off by 30 mm"] <= 1.0
    assert found.lost(LABELLED, found.contenders[1])["wrong word"] == 0.0


def test_models_that_do_not_read_ct_are_not_asked_about_it() -> None:
    made = labelled("C1", channels=("ct",), enhancing=False)
    truth = LabelMap((made.truth.labels > 0).astype(np.uint8), made.truth.grid, schemas.get("tumour"))
    study = GuidedStudy(made.study, truth, np.ones(SHAPE, bool), "liver tumour")
    both = [contender("ct", EVERYTHING, model=Thresholds()), contender("mri", frozenset({CLICKS, BOX}), ct=False)]
    found = fair_comparison(both, [case_of(study)], lambda: None, draws=1)
    assert {answer.setting.split(":")[0] for answer in found.outcome.answers} == {"ct"}
    assert "mri" not in comparison_table(found, LABELLED)


def test_cases_without_a_word_and_a_mask_are_told(found) -> None:
    with pytest.raises(InputError, match="guided_cases_of"):
        fair_comparison(found.contenders, [case_of(labelled())], lambda: None)


def test_page_numbers_and_figure_are_written_and_agree(found, tmp_path) -> None:
    page, numbers, figure = write_fair_comparison(found, tmp_path / "new", "fair", "oncoprompt experiment fair")
    content = json.loads(numbers.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))
    text = page.read_text(encoding="utf-8")
    assert content["cases"] == {LABELLED: 1}
    assert content["models"]["wordless"]["reads"] == sorted(EVERYTHING - {WORD})
    assert content["asked_as"]["boxes"]["no mask"] == GUIDANCE[0].name
    assert content["lost"][LABELLED]["all"]["wrong word"] == 1.0
    assert content["guidance"]["clicks off by 5 mm"]["off_mm"] == 5.0
    dice = content["means"][LABELLED]["all"][GUIDANCE[0].name]["dice"]
    row = next(line for line in text.splitlines() if line.startswith(f"| {GUIDANCE[0].name}"))
    assert row.split("|")[2].strip().startswith(f"{dice:.3f}")
    assert next(line for line in text.splitlines() if line.startswith("| wrong word")).count("= ") == 2
    assert all(guidance.name in text for guidance in GUIDANCE)
    assert imread(figure).shape[0] > 400


def test_the_baseline_reads_clicks_box_and_anatomy_and_no_words() -> None:
    torch.manual_seed(0)
    network = WordlessNetwork(baseline_network()).eval()

    def answer(box: float = 0.0, clicks: float = 0.0, anatomy: float = 0.0, concept: int = 1) -> torch.Tensor:
        maps = PromptMaps(torch.full((1, 1, *SIZE), box), torch.full((1, 2, *SIZE), clicks))
        prompt = CompactPrompt(maps, torch.full((1, 1, *SIZE), anatomy), torch.tensor([concept]))
        with torch.no_grad():
            return network.decode(network.encode(torch.ones(1, 1, *SIZE), ("ct",)), prompt).logits

    nothing = answer()
    for changed in (answer(box=1.0), answer(clicks=1.0), answer(anatomy=1.0)):
        assert not torch.equal(changed, nothing)
    assert torch.equal(answer(concept=3), nothing)


def test_regions_that_are_not_known_do_not_train_the_baseline() -> None:
    torch.manual_seed(0)
    network = baseline_network().train()
    regions = torch.zeros(3, *SIZE, dtype=torch.uint8)
    regions[0, 4:12, 4:12, 4:12] = 1
    maps = (torch.zeros(channels, *SIZE) for channels in (1, 2, 1))
    item = TagsItem(
        torch.randn(1, *SIZE),
        ("ct",),
        regions,
        *maps,
        concept=1,
        known=1,
        corrected=False,
        other_concept=-1,
        other_regions=torch.zeros(3, 0, 0, 0),
        kinds=regions[0],
        words=(0, 5, 6, 7),
    )
    other = replace(item, regions=regions.clone().index_fill_(0, torch.tensor([1, 2]), 1))
    losses = [baseline_step(network, one).total.item() for one in (item, other, replace(other, known=3))]
    assert losses[0] == losses[1]
    assert losses[2] != losses[0]


def test_weights_of_a_baseline_are_read_as_a_method_and_others_are_refused(tmp_path) -> None:
    for name, options in (("right", SMALL), ("wrong", {"core": SMALL["core"]})):
        content = {"model": {"name": "dynunet", "options": options}}
        config = TrainingConfig.from_mapping(content)
        (tmp_path / name).mkdir()
        torch.manual_seed(0)
        network = build_network("dynunet", options, "test")
        export_weights(tmp_path / name, network.state_dict(), Progress(), config.to_mapping())
    method = read_baseline(tmp_path / "right" / "dynunet.safetensors")
    assert isinstance(method, CompactTagsMethod)
    study = guided()
    answer = next(
        GUIDANCE[0].only(EVERYTHING - {WORD}).protocol(study, 1).answers(method, study.study, study.regions["WT"])
    )
    assert answer.mask("WT").shape == SHAPE
    assert not any(isinstance(prompt, Box | Text) for prompt in answer.provenance.prompts)
    with pytest.raises(InputError, match="reads an anatomy mask"):
        read_baseline(tmp_path / "wrong" / "dynunet.safetensors")


@pytest.mark.slow
def test_the_baseline_is_trained_and_not_again(tmp_path) -> None:
    training = BaselineTraining(tmp_path, minutes=0.02, workers=0)
    first = training.train()
    log = next(tmp_path.rglob("log.csv")).read_text()
    assert len(log.splitlines()) >= 2
    assert training.train().weights_sha256 == first.weights_sha256
    assert next(tmp_path.rglob("log.csv")).read_text() == log
