"""Words as a prompt: what is copied, what is trained, which flips are refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from methods.medsam.original_sam import original_sam
from methods.medsam.tiny_clip import tiny_clip_config, write_tiny_clip
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.medsam.models import load_by_name
from oncoprompt.methods.medsam.sam_names import to_transformers
from oncoprompt.methods.medsam.sam_network import SamPrompts, decode_masks, load_sam
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.medsam.text_prompt import (
    CLIP_TEXT,
    TextPrompt,
    WordReader,
    check_flips,
    clip_text_config,
    lateral_words,
    read_clip_text,
    read_tokenizer,
    text_sam,
)


@pytest.fixture(scope="module")
def medsam():
    return load_sam({to_transformers(name): value for name, value in original_sam(seed=21).state_dict().items()})


def test_the_text_network_starts_as_a_copy_of_medsam_with_its_positional_matrix(medsam):
    made = text_sam(medsam, TextPrompt(64, tiny_clip_config()))
    for name, value in medsam.state_dict().items():
        copy = made.sam.state_dict()[name]
        assert torch.equal(copy, value), name
        assert copy.data_ptr() != value.data_ptr(), name


def test_only_the_mask_decoder_and_the_linear_layer_are_trained(medsam):
    made = text_sam(medsam, TextPrompt(64, tiny_clip_config())).train()
    trained = {name.split(".")[1] for name, value in made.named_parameters() if value.requires_grad}
    assert trained == {"mask_decoder", "project"}
    assert not made.text.tower.training
    before = {name: value.clone() for name, value in made.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=1e-2)
    embedding = torch.randn(2, 64, 4, 4, generator=torch.Generator().manual_seed(1))
    tokens = made.text(torch.tensor([[1, 2, 3], [4, 5, 6]]))
    decode_masks(made.sam, embedding, SamPrompts(tokens=tokens)).square().mean().backward()
    optimiser.step()
    changed = {name for name, value in made.state_dict().items() if not torch.equal(value, before[name])}
    assert {"text.project.weight", "text.project.bias"} <= changed
    assert all(name.startswith(("text.project.", "sam.mask_decoder.")) for name in changed)


def test_every_token_state_becomes_a_sparse_token_of_its_own():
    text = TextPrompt(64, tiny_clip_config())
    tokens = text(torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5]]))
    assert tokens.shape == (2, 4, 64)
    # CLIP's tower looks back only
    torch.testing.assert_close(tokens[0, :3], tokens[1, :3])
    assert (tokens[0, 3] - tokens[1, 3]).abs().max() > 1e-4


def test_the_default_tower_is_that_of_clip_vit_b_16():
    with torch.device("meta"):
        text = TextPrompt(256, clip_text_config())
    # 63.2 million, as in openai/clip-vit-base-patch16 without its projection
    assert sum(p.numel() for p in text.tower.parameters()) == 63_165_952
    assert text.project.weight.shape == (256, 512)
    assert text.tower.config.max_position_embeddings == 77


def test_the_tower_of_a_folder_is_read_whole(tmp_path):
    folder = write_tiny_clip(tmp_path / CLIP_TEXT, seed=3)
    torch.manual_seed(99)
    first, second = read_clip_text(folder, 64), read_clip_text(folder, 64)
    for name, value in first.tower.state_dict().items():
        assert torch.equal(value, second.tower.state_dict()[name])
    ids = WordReader(first, read_tokenizer(folder)).token_ids(["liver", "a phrase that is longer than the tower"])
    assert ids.shape == (2, 12)
    assert ids[0, 0] == 52
    assert ids[:, -1].tolist() == [53, 53]


def test_a_checkpoint_with_a_text_tower_answers_words(medsam, tmp_path):
    folder = write_tiny_clip(tmp_path / CLIP_TEXT, seed=3)
    made = text_sam(medsam, read_clip_text(folder, 64))
    state = {name: value.clone() for name, value in made.state_dict().items()}
    save_file(state, tmp_path / "medsam-text.safetensors")
    model = load_by_name(str(tmp_path / "medsam-text.safetensors"))
    features = model.encode(np.random.default_rng(0).random((30, 20)).astype(np.float32))
    prompts = [SlicePrompt(words="liver"), SlicePrompt(words="spleen"), SlicePrompt(words="liver", box=(2, 2, 9, 9))]
    liver, spleen, boxed = model.decode(features, prompts)
    with torch.inference_mode():
        tokens = made.text(WordReader(made.text, read_tokenizer(folder)).token_ids(["liver"]))
        low = decode_masks(made.sam.eval(), features.values, SamPrompts(tokens=tokens))
    expected = torch.nn.functional.interpolate(low[:, None], (30, 20), mode="bilinear")[0, 0]
    np.testing.assert_allclose(liver, expected.numpy(), atol=1e-5)
    assert np.abs(liver - spleen).max() > 1e-4
    assert np.abs(liver - boxed).max() > 1e-4
    with pytest.raises(InputError, match="empty"):
        model.decode(features, [SlicePrompt(words="  ")])


def test_a_text_checkpoint_without_a_tokeniser_says_how_to_get_one(medsam, tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    made = text_sam(medsam, TextPrompt(64, tiny_clip_config()))
    save_file({name: value.clone() for name, value in made.state_dict().items()}, tmp_path / "t.safetensors")
    with pytest.raises(WeightsError, match="hf download openai/clip-vit-base-patch16"):
        load_by_name(str(tmp_path / "t.safetensors"))


def test_a_folder_without_a_tower_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="there is no folder"):
        read_clip_text(tmp_path / "none")
    with pytest.raises(WeightsError, match="no CLIP text tower"):
        read_clip_text(tmp_path)


@pytest.mark.parametrize("phrase", ["left kidney", "Kidney, right", "kidney_r", "RightLung", "LT adrenal", "l-kidney"])
def test_phrases_that_tell_sides_are_known(phrase):
    assert lateral_words([phrase, "liver"]) == (phrase,)
    with pytest.raises(InputError, match="flips"):
        check_flips(["liver", phrase], flips=True)
    check_flips(["liver", phrase], flips=False)


@pytest.mark.parametrize("phrase", ["liver", "vertebra L5", "bright lesion", "cleft palate", "upright bladder", "r5"])
def test_other_phrases_may_be_flipped(phrase):
    assert lateral_words([phrase]) == ()
    check_flips([phrase], flips=True)
