"""Full-size TAGS at toy size, published and plus, trained on data sets laid out as theirs."""

import shutil
import tomllib
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss

from methods.tags.tiny_text_tower import write_text_tower
from methods.tags.tiny_whole_clip import write_whole_clip
from oncoprompt.cli.validation import validator
from oncoprompt.cohort import read_cohort, split_cohort
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.models import load_tags
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.methods.tags.tensors import NEGATIVE, POSITIVE
from oncoprompt.prompts import Click, Text
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import build
from oncoprompt.training.tags_loss import VolumeLoss, segmentation_loss
from oncoprompt.training.tags_validation import tags_validator
from oncoprompt.training.tags_volume_items import VolumeItem, VolumeItemConfig
from training.organ_data import write_kits, write_lits, write_pancreas, write_sam
from training.toy import losses

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = {name: value for name, value in asdict(TagsConfig().small()).items() if value != getattr(TagsConfig(), name)}
PUBLISHED, PLUS = "tags-vit-b", "tags-vit-b-plus"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Three data sets, a SAM and a text tower, all small, and the text tower's cache."""
    root = tmp_path_factory.mktemp("tags")
    write_kits(root / "kits")
    write_lits(root / "lits", 3)
    write_pancreas(root / "pancreas")
    write_sam(root / "sam.pth")
    write_text_tower(root / "clip-vit-large-patch14")
    return root


@pytest.fixture(autouse=True)
def _user(data, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(data))
    monkeypatch.setenv("HOME", str(data))


def config(
    root: Path, name: str, options: dict | None = None, cohort: str | None = "kits", **sections
) -> TrainingConfig:
    """Two steps on crops of 32 voxels of the kidneys."""
    named = {"cohort": str(root / cohort), "options": {"words": "kidney"}} if cohort else {"options": {}}
    model = {"name": name, "weights": str(root / "sam.pth"), "options": SMALL}
    optimisation = {"steps": 2, "warmup_steps": 0, "ema_decay": 0.0, "learning_rate": 1e-3}
    return TrainingConfig.from_mapping(
        {
            "model": model | sections.pop("model", {}),
            "data": {
                "workers": 0,
                **named,
                "options": {"side": 32, **named["options"], **(options or {})},
                **sections.pop("data", {}),
            },
            "optimisation": optimisation | sections.pop("optimisation", {}),
            "run": {"accelerator": "cpu", "threads": 1},
            **sections,
        }
    )


def three(data: Path) -> tuple[dict[str, str], ...]:
    """The three data sets as `data.options.cohorts`; of the pancreas there are no masks beside the scans."""
    pairs = (("kidney", "kits"), ("liver", "lits"), ("pancreas", "pancreas"))
    return tuple({"words": words, "cohort": str(data / name)} for words, name in pairs)


@pytest.mark.parametrize("name", [PUBLISHED, PLUS])
def test_a_run_trains_what_is_not_sams_and_its_export_is_the_network(data, tmp_path, name):
    settings = config(data, name)
    recipe = build(settings)
    before = {key: value.clone() for key, value in recipe.model.state_dict().items()}
    trained = {key for key, parameter in recipe.model.named_parameters() if parameter.requires_grad}
    assert fit(settings, recipe.model, recipe.items, recipe.loss, tmp_path).step == 2
    changed = {key for key, value in recipe.model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= trained
    for part in (
        "encoder.blocks.0.adapter",
        "encoder.stages.0.alignment",
        "encoder.stages.3.neck",
        "decoder",
        "prompt",
    ):
        assert any(key.startswith(part) for key in changed), part
    assert all(np.isfinite(float(loss)) for _, loss, _ in losses(tmp_path))
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert "segmentation" in header
    assert "alignment" in header
    method = load_tags(name, tmp_path / f"{name}.safetensors", torch.device("cpu"))
    with pytest.raises(InputError, match="are for the kidney"):
        method.check([Text("liver tumour"), Click((0.0, 0.0, 0.0))])
    again = config(data, name, model={"weights": str(tmp_path / f"{name}.safetensors")})
    exported = build(again).model.state_dict()
    assert all(torch.allclose(exported[key], value, atol=2e-3) for key, value in recipe.model.state_dict().items())


def test_the_encoder_starts_from_sam_with_its_blocks_computed_again(data):
    network = build(config(data, PUBLISHED)).model
    assert isinstance(network, TagsNetwork)
    assert network.encoder.checkpointing
    sam = torch.load(data / "sam.pth", weights_only=True)
    assert torch.equal(network.encoder.blocks[1].attn.qkv.weight, sam["image_encoder.blocks.1.attn.qkv.weight"])


def test_published_clicks_are_ten_in_the_tumour_and_twenty_anywhere_all_alike(data):
    items = build(config(data, PUBLISHED)).items
    assert (items.config.double_softmax, items.config.dataset_words, items.config.anatomy) == (True, True, "files")
    seen = 0
    for index in range(8):
        item = items.item(index)
        places = item.clicks.long()
        assert item.labels.eq(POSITIVE).all()
        assert item.volume.shape == (3, 32, 32, 32)
        assert torch.equal(item.volume[0], item.volume[1])
        assert set(item.volume[2].unique().tolist()) <= {0.0, 1.0}
        assert item.box is None
        assert not item.said
        if item.tumour.any():
            seen += 1
            assert len(places) == 30
            assert item.tumour[0][tuple(places[:10].T)].all()
        else:
            assert len(places) == 20
    assert seen >= 4


def test_items_follow_from_seed_and_index_and_every_case_comes_before_any_comes_again(data):
    first, second = (build(config(data, PLUS, {"cohorts": three(data), "anatomy": "labels"}, None)).items for _ in "ab")
    assert torch.equal(first.item(5).volume, second.item(5).volume)
    assert torch.equal(first.item(5).clicks, second.item(5).clicks)
    assert not torch.equal(first.item(5).volume, first.item(12).volume)
    items = with_right_words(first)
    assert Counter(items.item(index).words for index in range(7)) == {"kidney": 2, "liver": 3, "pancreas": 2}


def with_right_words(items):
    """The items without words of another organ."""
    items.config = replace(items.config, wrong_words_share=0.0)
    return items


def test_clicks_of_plus_are_labelled_by_what_they_hit_and_prompts_come_and_go(data):
    items = with_right_words(build(config(data, PLUS)).items)
    counts = {"box": 0, "said": 0, "no anatomy": 0, "negative": 0, "positive": 0}
    for index in range(60):
        item = items.item(index)
        hit = item.tumour[0][tuple(item.clicks.long().T)]
        assert torch.equal(hit.long(), (item.labels == POSITIVE).long())
        assert len(item.clicks) <= 10
        counts["positive"] += int((item.labels == POSITIVE).any())
        counts["negative"] += int((item.labels == NEGATIVE).any())
        counts["box"] += item.box is not None
        counts["said"] += item.said
        counts["no anatomy"] += not item.volume[2].any()
        if item.box is not None:
            low, high = item.box.long().T.tolist()
            voxels = torch.nonzero(item.tumour[0])
            inside = ((voxels >= torch.tensor(low)) & (voxels < torch.tensor(high))).all(dim=1)
            assert inside.float().mean() > 0.5
    assert all(3 <= count < 60 for count in counts.values()), counts


def test_words_of_another_organ_mean_that_there_is_no_tumour(data):
    options = {"cohorts": three(data), "anatomy": "labels", "wrong_words_share": 1.0}
    items = build(config(data, PLUS, options, None)).items
    for index in range(6):
        item = items.item(index)
        assert item.said
        assert not item.tumour.any()
        assert item.box is None
        assert (item.labels == NEGATIVE).all()
        assert torch.equal(item.text, items.texts[item.words])
    # a glioma is a tumour of the brain, so neither word is wrong for the other
    items._organs = {"brain": "brain", "glioma": "brain", "meningioma": "brain", "liver": "liver"}
    assert items._others("glioma") == ["liver", "meningioma"]
    assert items._others("brain") == ["liver"]


class Oracle(torch.nn.Module):
    """A network that answers with a mask, and keeps what it was asked."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer, self.asked = answer, []

    def encode(self, volume):
        from oncoprompt.methods.tags.tensors import TagsFeatures

        return TagsFeatures((), (), volume[:, :1])

    def decode(self, features, prompt):
        self.asked.append(prompt)
        return torch.cat([1.0 - self.answer, self.answer], dim=1) * 20 - 10


def test_corrections_are_put_where_the_answer_is_wrong_and_labelled_by_the_truth():
    tumour = torch.zeros(1, 1, 16, 16, 16, dtype=torch.uint8)
    tumour[..., 4:10, 4:10, 4:10] = 1
    answer = torch.zeros(1, 1, 16, 16, 16)
    answer[..., 7:13, 4:10, 4:10] = 1
    empty = torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)
    item = VolumeItem(torch.zeros(3, 16, 16, 16), tumour[0], *empty, None, None, False, "liver")
    loss, oracle = VolumeLoss(VolumeItemConfig.plus()), Oracle(answer)
    torch.manual_seed(0)
    for _ in range(30):
        loss(oracle, item)
    corrected = [prompt for prompt in oracle.asked if prompt.clicks.shape[1]]
    assert 5 <= len(corrected) <= 25
    labels = set()
    for prompt in corrected:
        assert 1 <= prompt.clicks.shape[1] <= 3
        for (d, h, w), label in zip(prompt.clicks[0].long().tolist(), prompt.labels[0].tolist(), strict=True):
            assert answer[0, 0, d, h, w] != tumour[0, 0, d, h, w]
            assert label == tumour[0, 0, d, h, w]
            labels.add(label)
    assert labels == {POSITIVE, NEGATIVE}
    right = Oracle(tumour.float())
    assert float(loss(right, item).total) < 0.01 < float(loss(oracle, item).total)
    assert not any(prompt.clicks.shape[1] for prompt in right.asked)


def test_the_segmentation_loss_is_monais_dice_and_cross_entropy_without_background():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 6, 7, 8, generator=generator)
    tumour = (torch.rand(2, 1, 6, 7, 8, generator=generator) > 0.7).to(torch.uint8)
    published = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, lambda_dice=0.5, lambda_ce=0.5)
    assert float(segmentation_loss(logits, tumour)) == pytest.approx(float(published(logits, tumour)), abs=1e-6)


def test_a_network_learns_a_tumour_that_is_clicked(data, tmp_path):
    options = {"tumour_clicks": 4, "anywhere_clicks": 0}
    settings = config(data, PUBLISHED, options, optimisation={"steps": 20, "learning_rate": 3e-3})
    recipe = build(settings)
    fit(settings, recipe.model, recipe.items, recipe.loss, tmp_path)
    values = [float(loss) for _, loss, _ in losses(tmp_path)]
    assert np.mean(values[-5:]) < 0.85 * np.mean(values[:3])


def test_a_run_validates_on_another_part_of_the_split(data, tmp_path):
    cohort = read_cohort(data / "lits")
    split_cohort(cohort, {"train": 1 / 3, "validation": 2 / 3}).write(tmp_path / "split.json")
    validation = {"every_steps": 1, "count": 2}
    settings = config(
        data, PUBLISHED, {"words": "liver"}, "lits", data={"split": str(tmp_path / "split.json")}, validation=validation
    )
    recipe = build(settings)
    score = validator(settings)
    done = fit(settings, recipe.model, recipe.items, recipe.loss, tmp_path / "run", validate=score)
    assert done.best_score is not None
    assert (tmp_path / "run" / "best" / "tags-vit-b.safetensors").is_file()
    answers = [Oracle((score.volumes.item(index).tumour[None] > 0).float()) for index in range(2)]
    for index, answer in enumerate(answers):
        item = score.volumes.item(index)
        assert torch.equal(answer.decode(None, None).argmax(1), item.tumour.long())
        assert len(item.clicks) == (10 if item.tumour.any() else 0)
    with pytest.raises(InputError, match="another part of a split"):
        tags_validator(replace(settings, validation=replace(settings.validation, part="train")))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"words": "spleen"}}, "'spleen' is no organ"),
        ({"options": {"side": 30}}, "multiple of 4"),
        ({"options": {"text_share": 2.0}}, r"in \[0, 1\]"),
        ({"options": {"corrections": -1}}, "must not be negative"),
        ({"cohort": None}, "name one data set as data.cohort"),
        ({"options": {"cohorts": ({"words": "liver", "cohort": "x"},)}}, "name one data set as data.cohort"),
        ({"mixing": {"kind": "mixing"}}, "takes neither"),
    ],
)
def test_settings_that_cannot_work_are_refused(data, change, said):
    with pytest.raises(InputError, match=said):
        build(config(data, PLUS, **change))


def test_a_case_that_cannot_be_used_is_named(data):
    items = build(config(data, PLUS, {"words": "pancreas"}, "pancreas")).items
    with pytest.raises(InputError, match=r"Case 'pancreas_00\d' cannot be used: .* no mask of the pancreas"):
        items.item(0)


def test_what_is_missing_is_told_with_how_to_get_it(data, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"starts from SAM's sam_vit_b_01ec64\.pth"):
        build(config(data, PLUS, model={"weights": None}))
    with pytest.raises(WeightsError, match=r"hf download openai/clip-vit-large-patch14"):
        build(config(data, PUBLISHED))
    with pytest.raises(InputError, match=r"hf download openai/clip-vit-large-patch14"):
        build(config(data, PLUS))
    write_text_tower(tmp_path / "other", width=16)
    for name in (PUBLISHED, PLUS):
        with pytest.raises(WeightsError, match=r"vectors of 16 numbers, the network needs 24"):
            build(config(data, name, {"clip": str(tmp_path / "other")}))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("tags-vit-b*.toml")), ids=lambda path: path.stem)
def test_a_committed_configuration_trains(data, tmp_path, path):
    settings = tomllib.loads(path.read_text())
    # as committed, but for the sizes and the files
    assert settings["optimisation"]["learning_rate"] == 1e-4
    settings["model"] |= {"weights": str(data / "sam.pth"), "options": SMALL}
    settings["data"] |= {"workers": 0, "kept_cases": 1}
    settings["optimisation"] |= {"steps": 1, "accumulate": 1}
    settings["run"] |= {"accelerator": "cpu", "precision": "32-true", "devices": 1}
    settings["data"]["options"] |= {"side": 32, "anatomy": "labels"}
    if "cohorts" in settings["data"]["options"]:
        settings["data"]["options"]["cohorts"] = list(three(data))
    else:
        settings["data"] |= {"cohort": str(data / "kits"), "split": None}
    settings.pop("validation", None)
    run = TrainingConfig.from_mapping(settings)
    recipe = build(run)
    assert fit(run, recipe.model, recipe.items, recipe.loss, tmp_path).step == 1


def test_a_network_that_looks_with_clips_image_tower_trains_and_needs_the_tower_again(data, tmp_path, monkeypatch):
    write_whole_clip(tmp_path / "clip-vit-large-patch14")
    (tmp_path / "sam.pth").write_bytes((data / "sam.pth").read_bytes())
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = config(data, PLUS, model={"options": SMALL | {"image_semantics": 2}})
    recipe = build(settings)
    fit(settings, recipe.model, recipe.items, recipe.loss, tmp_path)
    assert recipe.model.get_parameter("encoder.semantics.weight").abs().sum() > 0
    weights = tmp_path / f"{PLUS}.safetensors"
    assert load_tags(PLUS, weights, torch.device("cpu")).name == PLUS
    shutil.rmtree(tmp_path / "clip-vit-large-patch14")
    with pytest.raises(WeightsError, match="CLIP's image tower is missing"):
        load_tags(PLUS, weights, torch.device("cpu"))
