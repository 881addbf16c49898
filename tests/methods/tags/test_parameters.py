"""Sizes of the published TAGS, part by part and as a whole."""

import pytest
import torch
from torch import nn

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.decoder import TagsDecoder
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.methods.tags.prompt_encoder import PromptEncoder

PUBLISHED = TagsConfig.faithful()
WITHOUT_ALIGNMENT = TagsConfig(alignment=False)


def trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def network(config: TagsConfig) -> TagsNetwork:
    with torch.device("meta"):
        return TagsNetwork(config)


def test_the_prompt_encoder_has_3_164_160_of_which_263_424_are_idle() -> None:
    with torch.device("meta"):
        module = PromptEncoder(PUBLISHED)
    assert trained(module) == 3_164_160
    assert sum(p.numel() for n, p in module.named_parameters() if "idle_attention" in n) == 263_424


def test_the_decoder_has_7_088_256() -> None:
    with torch.device("meta"):
        assert trained(TagsDecoder(PUBLISHED)) == 7_088_256


@pytest.mark.parametrize(("config", "count"), [(PUBLISHED, 27_821_696), (WITHOUT_ALIGNMENT, 25_462_400)])
def test_the_trained_parameters_of_the_whole_network_are_the_published_number(config: TagsConfig, count: int) -> None:
    assert trained(network(config)) == count


def test_the_plus_form_adds_embeddings_a_text_token_gates_and_a_map_and_drops_what_is_idle() -> None:
    clicks_and_corners, word, text_map, gates = 4 * 256, 768 * 256 + 256, 128 * 27, 4
    # Its spatial adapters end in the same linear layer, without a ReLU.
    expected = 27_821_696 - 263_424 + clicks_and_corners + word + text_map + gates
    assert trained(network(TagsConfig.plus())) == expected
