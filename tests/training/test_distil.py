"""Distillation: a student learns its teacher's embeddings, is exported whole, answers prompts and is trained on."""

import numpy as np
import pytest
import torch

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.sam_network import SamPrompts, decode_masks, encode_pixels
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.medsam.student import StudentConfig, student_of
from oncoprompt.methods.registry import load_slice_model
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.distil import EmbeddingLoss
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import build
from training.slice_data import write_pictures
from training.tiny_sam import SMALL, config_for, tiny_sam, write_tiny_sam
from training.toy import losses


@pytest.fixture
def config(tmp_path) -> TrainingConfig:
    """The first stage, at a tiny size."""
    write_pictures(tmp_path / "pictures", count=3)
    return config_for(
        tmp_path / "pictures",
        None,
        "medsam-small",
        model={"options": SMALL},
        distillation={"teacher": str(write_tiny_sam(tmp_path / "teacher.pth"))},
        optimisation={"steps": 30, "learning_rate": 3e-3},
    )


def test_a_student_starts_with_the_teachers_prompt_encoder_and_decoder():
    teacher = tiny_sam()
    student = student_of(teacher, StudentConfig(**SMALL))
    embedding = torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    box = torch.tensor([[0.1, 0.2, 0.7, 0.9]])
    with torch.inference_mode():
        # the same box in the pixels of either
        taught = decode_masks(teacher, embedding, SamPrompts(boxes=(box * 64)))
        same = decode_masks(student, embedding, SamPrompts(boxes=(box * 32)))
        # SAM's corners are half a pixel further, which is more of a smaller image
        shifted = decode_masks(student, embedding, SamPrompts(boxes=(box * 32 - 0.25)))
    torch.testing.assert_close(shifted, taught, atol=1e-5, rtol=0)
    assert not torch.equal(same, taught)


def test_the_default_student_is_less_than_a_sixteenth_of_vit_b_and_gives_medsams_embedding():
    from oncoprompt.methods.medsam.sam_network import build_sam, sam_config

    with torch.device("meta"):
        teacher = build_sam(sam_config())
        student = student_of(teacher, StudentConfig())
        embedding = encode_pixels(student, torch.zeros(1, 3, 256, 256))
    assert embedding.shape == (1, 256, 64, 64)
    count = sum(p.numel() for p in student.vision_encoder.parameters())
    assert count < sum(p.numel() for p in teacher.vision_encoder.parameters()) / 16


def test_the_loss_is_the_mean_squared_error_of_the_embeddings_and_spares_the_teacher(config):
    recipe = build(config)
    assert isinstance(recipe.loss, EmbeddingLoss)
    item = recipe.items.item(0)
    assert item.teacher.shape == (3, 64, 64)
    assert item.student.shape == (3, 32, 32)
    loss = recipe.loss(recipe.model, item)
    with torch.no_grad():
        expected = encode_pixels(recipe.loss.teacher, item.teacher[None])
        found = encode_pixels(recipe.model, item.student[None])
    assert float(loss.total.detach()) == pytest.approx(float((expected - found).square().mean()))
    loss.total.backward()
    assert all(p.grad is None for p in recipe.loss.teacher.parameters())
    taught = {name.split(".")[0] for name, p in recipe.model.named_parameters() if p.grad is not None}
    assert taught == {"vision_encoder"}


def test_a_student_learns_answers_and_is_trained_on(config, tmp_path):
    recipe = build(config)
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path / "distilled")
    values = [float(loss) for _, loss, _ in losses(tmp_path / "distilled")]
    assert np.mean(values[-5:]) < 0.7 * np.mean(values[:3])
    exported = tmp_path / "distilled" / "medsam-small.safetensors"
    model = load_slice_model(str(exported))
    picture = np.random.default_rng(0).random((30, 50)).astype(np.float32)
    logits = model.decode(model.encode(picture), [SlicePrompt(box=(5, 5, 25, 20)), SlicePrompt(box=(30, 10, 45, 25))])
    assert logits.shape == (2, 30, 50)
    assert not np.array_equal(logits[0], logits[1])
    second = config_for(tmp_path / "pictures", exported, "medsam-small")
    recipe = build(second)
    before = {name: value.clone() for name, value in recipe.model.state_dict().items()}
    assert torch.equal(
        before["vision_encoder.pos_embed"],
        load_slice_model(str(exported)).network.state_dict()["vision_encoder.pos_embed"],
    )
    fit(second, recipe.model, recipe.items, recipe.loss, tmp_path / "tuned")
    changed = {
        name.split(".")[0] for name, value in recipe.model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {"vision_encoder", "mask_decoder"}


def test_the_teacher_is_not_part_of_what_is_exported_or_kept(config, tmp_path):
    settings = config.to_mapping()
    settings["optimisation"]["steps"] = 1
    config = TrainingConfig.from_mapping(settings)
    recipe = build(config)
    fit(config, recipe.model, recipe.items, recipe.loss, tmp_path / "run")
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert set(state["model"]) == set(recipe.model.state_dict())
    assert state["loss"] == {}


def test_an_embedding_of_another_size_is_refused():
    with pytest.raises(InputError, match="embedding is 8 pixels wide, the teacher's 4"):
        student_of(tiny_sam(), StudentConfig(**{**SMALL, "patch_size": 4}))


@pytest.mark.parametrize("change", [{"heads": 5}, {"patch_size": 7}, {"depth": 0}])
def test_sizes_that_do_not_fit_are_refused(change):
    with pytest.raises(InputError, match="A student needs"):
        StudentConfig(**{**SMALL, **change})


def test_a_teacher_that_is_no_sam_is_told(config, tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    settings = config.to_mapping()
    settings["distillation"]["teacher"] = str(tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth"):
        build(TrainingConfig.from_mapping(settings))
