"""Words for organs and tumours: the sentences, the vectors that CLIP gives to them, and their cache."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize
from transformers import CLIPTextModelWithProjection

from methods.tags.tiny_text_tower import write_text_tower
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags import text_cache
from oncoprompt.methods.tags.clip_text import clip_text_config, ensemble, read_text_tower, text_matrix
from oncoprompt.methods.tags.phrases import (
    HEALTHY_STATES,
    KINDS,
    KNOWN_WORDS,
    ORGANS,
    TEMPLATES,
    TUMOUR_STATES,
    meaning_of,
    sentences,
)
from oncoprompt.methods.tags.text_cache import CACHE_FILE, TextCache, remember, text_vectors


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """A tower of toy size."""
    return read_text_tower(write_text_tower(tmp_path_factory.mktemp("clip") / "clip-vit-large-patch14"))


@pytest.fixture
def user(tmp_path, monkeypatch):
    """An empty folder of a user."""
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "weights"


def test_there_are_as_many_sentences_as_in_the_released_code():
    assert (len(HEALTHY_STATES), len(TUMOUR_STATES), len(set(TEMPLATES))) == (8, 6, 34)
    for organ in ORGANS:
        healthy, ill = sentences(organ)
        assert (len(set(healthy)), len(set(ill))) == (272, 204)
        assert not set(healthy) & set(ill)
        assert all(organ in sentence for sentence in (*healthy, *ill))


def test_the_published_form_calls_an_organ_by_its_data_set():
    for organ, key in (("kidney", "kits"), ("liver", "lits"), ("pancreas", "pancreas")):
        told = [sentence for side in sentences(organ, dataset_key=True) for sentence in side]
        assert all(key in sentence for sentence in told)
        assert organ == key or not any(organ in sentence for sentence in told)


def test_a_kind_of_brain_tumour_shares_the_healthy_brain_and_names_itself():
    for kind in KINDS:
        healthy, ill = sentences(kind)
        assert healthy == sentences("brain")[0]
        assert all(kind in sentence for sentence in ill)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("kidney", "kidney"),
        ("Renal mass", "kidney"),
        ("tumor in the left kidney", "kidney"),
        ("hepatocellular carcinoma", "liver"),
        ("liver metastases", "liver"),
        ("pancreatic cancer", "pancreas"),
        ("GBM", "glioma"),
        ("a meningioma", "meningioma"),
        ("metastases", "brain metastasis"),
        ("brain tumour", "brain"),
    ],
)
def test_what_people_say_is_understood(said, meant):
    assert meaning_of(said) == meant


@pytest.mark.parametrize(
    ("said", "told"),
    [("tumour", "names no organ"), ("spleen", "names no organ"), ("healthy liver", "asks for what is")],
)
def test_words_without_an_organ_or_without_a_tumour_are_refused(said, told):
    with pytest.raises(InputError, match=told):
        meaning_of(said)


def test_the_tower_is_clips_vit_l_14():
    with torch.device("meta"):
        network = CLIPTextModelWithProjection(clip_text_config())
    assert sum(parameter.numel() for parameter in network.parameters()) == 123_650_304


def test_a_matrix_has_a_unit_column_for_the_healthy_organ_and_one_for_its_tumour(tower):
    matrix = text_matrix("liver", tower.tower, tower.tokenizer)
    assert matrix.shape == (24, 2)
    assert torch.allclose(matrix.norm(dim=0), torch.ones(2), atol=1e-6)
    others = [tower.matrix(words) for words in KNOWN_WORDS if words != "liver"]
    assert all(float((matrix - other).abs().max()) > 1e-4 for other in others)
    assert float((matrix[:, 0] - matrix[:, 1]).abs().max()) > 1e-4


def test_a_column_is_the_unit_mean_of_unit_vectors(tower):
    told = [f"a scan of {word}" for word in ("liver", "kidney", "brain")] * 30
    with torch.no_grad():
        one_by_one = torch.cat(
            [tower.tower(tower.tokenizer([t], return_tensors="pt").input_ids).text_embeds for t in told[:3]]
        )
    wanted = normalize(normalize(one_by_one, dim=1).mean(0), dim=0)
    assert torch.allclose(ensemble(told, tower.tower, tower.tokenizer), wanted, atol=1e-5)


def test_a_folder_without_a_tower_says_how_to_get_one(tmp_path):
    with pytest.raises(WeightsError, match=r"no folder .*hf download openai/clip-vit-large-patch14"):
        read_text_tower(tmp_path / "gone")
    with pytest.raises(WeightsError, match="holds no CLIP text tower"):
        read_text_tower(tmp_path)
    folder = write_text_tower(tmp_path / "clip")
    (folder / "vocab.json").unlink()
    with pytest.raises(WeightsError, match=r"tokeniser is missing.*clip-vit-large-patch14"):
        read_text_tower(folder)


def test_a_tower_that_lacks_weights_is_refused_and_never_filled_at_random(tmp_path):
    from methods.medsam.tiny_clip import write_tiny_clip

    with pytest.raises(WeightsError, match=r"lacks 1 weights, such as text_projection\.weight"):
        read_text_tower(write_tiny_clip(tmp_path / "without-projection"))


def test_known_words_need_no_clip_once_they_are_remembered(user):
    folder = write_text_tower(user / "clip-vit-large-patch14")
    first = text_vectors("renal mass", 24)
    assert first.shape == (2, 24)
    with pytest.raises(InputError, match="vectors of 24 numbers, these weights need 768"):
        text_vectors("liver tumour")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert torch.equal(text_vectors("kidney tumour", 24), first)
    assert {key.split("/")[1] for key in load_file(user / CACHE_FILE)} == set(KNOWN_WORDS)


def test_remembering_again_changes_nothing_and_another_tower_is_kept_apart(user):
    cache = text_cache.user_cache()
    tower = read_text_tower(write_text_tower(user / "a", seed=1))
    matrices = remember(tower, cache)
    content = cache.path.read_bytes()
    assert all(torch.equal(again, matrices[words]) for words, again in remember(tower, cache).items())
    assert cache.path.read_bytes() == content
    first, second = tower.identity, read_text_tower(write_text_tower(user / "b", seed=2)).identity
    assert first != second
    assert cache.get("liver", 24, second) is None
    cache.put(second, {"liver": torch.ones(24, 2)})
    assert not torch.equal(cache.get("liver", 24, first), cache.get("liver", 24, second))
    with pytest.raises(WeightsError, match="of 2 text towers"):
        cache.get("liver", 24)
    assert [entry.name for entry in user.iterdir() if entry.is_file()] == [CACHE_FILE]


def test_without_cache_and_clip_words_say_what_they_need(user):
    with pytest.raises(InputError, match=r"tags-text\.safetensors.*hf download openai/clip-vit-large-patch14"):
        text_vectors("liver tumour")


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_cache_is_told_in_a_sentence(user, damage):
    cache = TextCache(user / CACHE_FILE)
    cache.put("tower", {"liver": torch.ones(24, 2)})
    content = cache.path.read_bytes()
    cache.path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"not tensors at all")
    with pytest.raises(WeightsError, match=r"'.*tags-text\.safetensors' are damaged\. Delete the file"):
        text_vectors("liver", 24)
    with pytest.raises(WeightsError, match="damaged"):
        cache.put("tower", {"liver": torch.ones(24, 2)})
