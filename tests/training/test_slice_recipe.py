"""MedSAM's recipe: its loss, what it trains and freezes, and networks that learn from labelled slices on disk."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss
from torch import nn

from methods.medsam.tiny_clip import write_tiny_clip
from oncoprompt.cli.validation import validator
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.compact import CompactConfig, CompactNetwork
from oncoprompt.methods.medsam.sam_network import build_sam, sam_config
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.registry import load_slice_model
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import fit
from oncoprompt.training.picture_items import SyntheticPictures
from oncoprompt.training.recipe import Recipe, build
from oncoprompt.training.sam_items import sam_logits, train_parts
from oncoprompt.training.schedule import learning_rate
from oncoprompt.training.slice_loss import mask_loss
from training.slice_data import write_pictures
from training.tiny_sam import SMALL, config_for, write_tiny_sam
from training.toy import losses

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Four labelled pictures."""
    folder = tmp_path_factory.mktemp("data") / "pictures"
    write_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """A tiny SAM that knows nothing."""
    return write_tiny_sam(tmp_path_factory.mktemp("weights") / "sam_tiny.pth")


def changed_parts(recipe: Recipe, config: TrainingConfig, out: Path) -> set[str]:
    """Names of the parameters that a run has changed."""
    before = {name: value.clone() for name, value in recipe.model.state_dict().items()}
    fit(config, recipe.model, recipe.items, recipe.loss, out)
    return {name for name, value in recipe.model.state_dict().items() if not torch.equal(value, before[name])}


def test_the_loss_is_monais_dice_with_a_squared_denominator_and_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 9, 7, generator=generator)
    masks = (torch.rand(3, 1, 9, 7, generator=generator) > 0.6).float()
    dice = DiceLoss(sigmoid=True, squared_pred=True, reduction="mean", smooth_nr=1e-5, smooth_dr=1e-5)(logits, masks)
    found = mask_loss(logits, masks)
    assert float(found.total) == pytest.approx(float(dice + nn.BCEWithLogitsLoss()(logits, masks)), abs=1e-6)
    assert float(found.total) == pytest.approx(sum(found.parts.values()), abs=1e-6)


def test_vit_b_trains_the_parts_that_the_paper_counts():
    with torch.device("meta"):
        network = build_sam(sam_config())
    train_parts(network, "box")
    encoder, decoder = (
        sum(p.numel() for p in part.parameters()) for part in (network.vision_encoder, network.mask_decoder)
    )
    assert (encoder, decoder) == (89_670_912, 4_058_340)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    unreached = [network.mask_decoder.iou_prediction_head, *network.mask_decoder.output_hypernetworks_mlps[1:]]
    assert trained == encoder + decoder - sum(p.numel() for part in unreached for p in part.parameters())


def test_boxes_train_image_encoder_and_mask_decoder_and_leave_the_prompt_encoder(pictures, weights, tmp_path):
    config = config_for(pictures, weights)
    changed = changed_parts(build(config), config, tmp_path)
    assert {name.split(".")[0] for name in changed} == {"vision_encoder", "mask_decoder"}
    assert not any("iou_prediction_head" in name or "mlps.1" in name for name in changed)
    assert any("output_hypernetworks_mlps.0" in name for name in changed)


def test_points_train_the_mask_decoder_alone(pictures, weights, tmp_path):
    config = config_for(pictures, weights, options={"prompt": "point"})
    changed = changed_parts(build(config), config, tmp_path)
    assert {name.split(".")[0] for name in changed} == {"mask_decoder"}


def test_words_train_decoder_and_linear_layer_and_are_answered_from_what_is_exported(pictures, weights, tmp_path):
    clip = write_tiny_clip(tmp_path / "run" / "clip-vit-base-patch16")
    words = {"1": ["bright disc"], "2": ["dark disc", "dim disc"]}
    config = config_for(
        pictures, weights, options={"prompt": "words", "words": words}, model={"options": {"text": str(clip)}}
    )
    changed = changed_parts(build(config), config, tmp_path / "run")
    assert {".".join(name.split(".")[:2]) for name in changed} == {"sam.mask_decoder", "text.project"}
    model = load_slice_model(str(tmp_path / "run" / "medsam-vit-b.safetensors"))
    image = np.random.default_rng(0).random((48, 40)).astype(np.float32)
    bright, dark = model.decode(model.encode(image), [SlicePrompt(words="bright disc"), SlicePrompt(words="dim")])
    assert bright.shape == (48, 40)
    assert not np.array_equal(bright, dark)


def test_lateral_words_and_flips_are_refused_before_anything_is_read(weights):
    options = {"prompt": "words", "flips": True, "words": {"1": ["left lung"]}}
    with pytest.raises(InputError, match="left lung"):
        build(config_for(Path("nowhere"), weights, options=options))


def test_the_prompt_of_an_item_lies_on_the_target_in_the_square_image(pictures, weights):
    for prompt in ("box", "point"):
        recipe = build(config_for(pictures, weights, options={"prompt": prompt, "outwards_px": 0}))
        for index in range(6):
            item = recipe.items.item(index)
            assert item.pixels.shape == (3, 64, 64)
            assert (float(item.pixels.min()), float(item.pixels.max())) == (0.0, 1.0)
            rows, columns = (torch.nonzero(item.mask[0].any(dim=axis)).flatten() for axis in (1, 0))
            if prompt == "box":
                tight = torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                assert float((item.box - tight).abs().max()) <= 1.0
            else:
                x, y = item.point.round().int().tolist()
                assert item.mask[0, y, x] == 1


def test_a_network_learns_to_fill_boxes_and_its_export_answers(pictures, weights, tmp_path):
    config = config_for(pictures, weights, optimisation={"steps": 60, "accumulate": 2, "learning_rate": 3e-3})
    recipe = build(config)
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path)
    values = [float(loss) for _, loss, _ in losses(tmp_path)]
    assert np.mean(values[-10:]) < 0.75 * np.mean(values[:3])
    for index in range(100, 106):
        item = recipe.items.item(index)
        with torch.inference_mode():
            logits = sam_logits(recipe.model.eval(), item)[0]
        assert float(logits[item.mask > 0].mean()) > float(logits[item.mask == 0].mean()) + 0.5
    model = load_slice_model(str(tmp_path / "medsam-vit-b.safetensors"))
    picture = np.random.default_rng(0).random((30, 50)).astype(np.float32)
    logits = model.decode(model.encode(picture), [SlicePrompt(box=(5, 5, 25, 20)), SlicePrompt(box=(30, 10, 45, 25))])
    assert logits.shape == (2, 30, 50)


def test_a_run_goes_on_as_if_it_had_never_stopped(pictures, weights, tmp_path):
    longer = config_for(pictures, weights, optimisation={"steps": 4, "final_learning_rate_fraction": 1.0})
    shorter = config_for(pictures, weights, optimisation={"steps": 2, "final_learning_rate_fraction": 1.0})
    for config, out, resume in ((longer, "a", None), (shorter, "b", None), (longer, "b", tmp_path / "b" / "state.pt")):
        recipe = build(config)
        fit(config, recipe.model, recipe.items, recipe.loss, tmp_path / out, resume)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")


def test_compact_learns_from_pictures_on_disk(pictures, tmp_path):
    sizes = {"options": {"widths": [8, 16, 16], "frame": 32}}
    config = config_for(
        pictures, None, "medsam-compact", model=sizes, optimisation={"steps": 25, "learning_rate": 5e-3}
    )
    recipe = build(config)
    batch = recipe.items.item(0)
    assert batch.images.shape == (8, 3, 32, 32)
    # the target fills its box, which fills the middle of the frame
    assert float(batch.targets[:, 0, 12:20, 12:20].mean()) > 0.9
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path)
    values = [float(loss) for _, loss, _ in losses(tmp_path)]
    assert np.mean(values[-3:]) < 0.5 * values[0]
    model = load_slice_model(str(tmp_path / "medsam-compact.safetensors"))
    assert model.decode(model.encode(np.eye(20, dtype=np.float32)), [SlicePrompt(box=(2, 2, 9, 9))]).shape == (
        1,
        20,
        20,
    )


def test_compact_is_shown_a_click_where_points_are_asked_for(pictures):
    sizes = {"options": {"widths": [8, 16, 16], "frame": 32}}
    clicked, boxed = (
        build(config_for(pictures, None, "medsam-compact", model=sizes, options={"prompt": prompt})).items.item(0)
        for prompt in ("point", "box")
    )
    assert bool((clicked.prompts[:, 1].amax((1, 2)) > 0.9).all())
    assert float(boxed.prompts[:, 1].max()) == 0.0
    at = clicked.prompts[:, 1].flatten(1).argmax(1)
    assert float(clicked.targets[:, 0].flatten(1).gather(1, at[:, None]).mean()) > 0.8


def test_compact_without_a_data_set_learns_from_synthetic_pictures():
    config = TrainingConfig.from_mapping({"model": {"name": "medsam-compact"}, "data": {"options": {"pictures": 2}}})
    recipe = build(config)
    assert isinstance(recipe.items, SyntheticPictures)
    assert recipe.items.config.pictures == 2
    assert isinstance(recipe.model, CompactNetwork)


@pytest.mark.parametrize("name", ["medsam-vit-b", "medsam-compact"])
def test_a_run_validates_on_other_pictures_and_keeps_the_best_weights(pictures, weights, tmp_path, name):
    compact = name == "medsam-compact"
    config = config_for(
        pictures,
        None if compact else weights,
        name,
        model={"options": {"widths": [8, 16], "frame": 32}} if compact else {},
        validation={"every_steps": 1, "cohort": str(pictures), "count": 3, "jitter": 0.05},
    )
    recipe = build(config)
    done = fit(config, recipe.model, recipe.items, recipe.loss, tmp_path, validate=validator(config))
    assert done.best_score is not None
    assert 0.0 <= done.best_score <= 1.0
    assert (tmp_path / "best" / f"{name}.safetensors").is_file()
    assert (tmp_path / "validation.csv").read_text().startswith("step,minutes,target,mean")


def test_validation_scores_a_filled_box_between_a_disc_and_nothing(pictures, monkeypatch):
    config = config_for(pictures, None, "medsam-compact", validation={"every_steps": 1, "cohort": str(pictures)})
    score = validator(config)
    network = CompactNetwork(CompactConfig((8, 16), 32))
    monkeypatch.setattr(network, "forward", lambda image, prompts: prompts[:, :1] * 2 - 1)
    assert 0.6 < score(network)["target"] < 0.95
    monkeypatch.setattr(network, "forward", lambda image, prompts: -torch.ones_like(prompts[:, :1]))
    assert score(network)["target"] == 0.0


def test_validation_on_nothing_of_its_own_is_refused(pictures, weights):
    with pytest.raises(InputError, match=r"validated on validation\.cohort"):
        validator(config_for(pictures, weights, validation={"every_steps": 1}))
    words = {"prompt": "words", "words": {"1": ["liver"]}}
    with pytest.raises(InputError, match="with boxes or points"):
        validator(config_for(pictures, weights, options=words, validation={"every_steps": 1, "cohort": str(pictures)}))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("medsam-*.toml")), ids=lambda path: path.stem)
def test_a_committed_configuration_trains(pictures, weights, tmp_path, path):
    settings = tomllib.loads(path.read_text())
    # as committed, but for the sizes and the files
    settings["data"] |= {"workers": 0, "cohort": str(pictures)}
    settings["optimisation"] |= {"steps": 1, "accumulate": 1}
    settings["run"] |= {"accelerator": "cpu", "precision": "32-true"}
    if "distillation" in settings:
        settings["distillation"]["teacher"] = str(weights)
        settings["model"]["options"] = SMALL
    elif settings["model"]["name"] == "medsam-compact":
        settings["model"]["options"] = {"widths": [8, 16], "frame": 32}
    else:
        settings["model"]["weights"] = str(weights)
    config = TrainingConfig.from_mapping(settings)
    recipe = build(config)
    assert fit(config, recipe.model, recipe.items, recipe.loss, tmp_path).step == 1


def test_medsams_configuration_is_150_epochs_of_its_images():
    config = TrainingConfig.read(CONFIGS / "medsam-vit-b.toml")
    assert config.optimisation.steps * config.optimisation.accumulate == pytest.approx(150 * 1_570_263, rel=1e-6)
    assert {
        learning_rate(config.optimisation, step, step / config.optimisation.steps) for step in (0, 1000, 10**6)
    } == {1e-4}


def test_missing_weights_say_which_file_is_wanted(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"starts from sam_vit_b_01ec64\.pth"):
        build(config_for(pictures, None))
    with pytest.raises(WeightsError, match=r"starts from medsam_vit_b\.pth"):
        build(config_for(pictures, None, options={"prompt": "point"}))
    with pytest.raises(InputError, match=r"learns from distillation\.teacher first"):
        build(config_for(pictures, None, "medsam-small"))


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"adaptation": {"kind": "coral", "real": "."}}, "takes neither"),
        ({"distillation": {"teacher": "t.pth"}}, "teaches 'medsam-small'"),
        ({"options": {"promt": "box"}}, "unknown name 'data.options.promt'"),
        ({"options": {"prompt": "scribble"}}, "data.options.prompt"),
        ({"model": {"options": {"width": 3}}}, "unknown name 'model.options.width'"),
        ({"name": "medsam-compact", "options": {"prompt": "words"}}, "does not read words"),
    ],
)
def test_settings_that_do_not_go_together_are_told(pictures, weights, sections, match):
    with pytest.raises(InputError, match=match):
        build(config_for(pictures, None if "name" in sections else weights, **sections))
