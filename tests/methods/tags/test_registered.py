"""TAGS by name: what is told of it, how its weights are found, and where it is refused."""

import pytest
from safetensors.torch import save_file

from methods.tags.tiny_compact import OPTIONS, tiny_compact
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.registry import list_models, load_model, load_network, load_slice_model, network_config
from oncoprompt.methods.tags.compact import CompactTags
from oncoprompt.methods.tags.names import COMPACT_MODELS, TAGS_MODELS
from oncoprompt.methods.tags.vocabulary import CONCEPTS
from oncoprompt.training.checkpoint import Progress
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.export import export_weights
from oncoprompt.training.recipe import build

CONFIG = TrainingConfig.from_mapping({"model": {"name": "tags-compact", "options": OPTIONS}})


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    return export_weights(tmp_path, tiny_compact().state_dict(), Progress(), CONFIG.to_mapping())


def test_every_model_has_a_card_and_the_compact_one_tells_its_words(weights) -> None:
    cards = {card.name: card for card in list_models() if card.method == "tags"}
    assert tuple(cards) == TAGS_MODELS
    assert cards["tags-compact"].weights == weights
    assert all(cards[name].words == CONCEPTS for name in COMPACT_MODELS)
    assert all(cards[name].words == () for name in TAGS_MODELS if name not in COMPACT_MODELS)


def test_exported_weights_are_loaded_by_name_and_by_path(weights) -> None:
    named, pathed = load_model("tags-compact"), load_model(str(weights))
    assert named.name == pathed.name == "tags-compact"
    assert named.weights_sha256 == pathed.weights_sha256 != ""


def test_damaged_weights_and_those_of_another_network_are_told(weights) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        load_model("tags-compact")
    state = tiny_compact().state_dict()
    del state["words"]
    save_file(state, weights)
    weights.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match="do not fit this network"):
        load_model("tags-compact")


def test_what_changes_or_slices_other_networks_refuses_tags(weights) -> None:
    with pytest.raises(InputError, match="is TAGS"):
        load_network(str(weights))
    with pytest.raises(InputError, match="no network 'tags-compact'"):
        network_config("tags-compact", {}, "test")
    with pytest.raises(InputError, match="whole studies, not slices"):
        load_slice_model("tags-compact")


def test_a_training_configuration_that_names_it_trains_it() -> None:
    assert isinstance(build(CONFIG).model, CompactTags)
