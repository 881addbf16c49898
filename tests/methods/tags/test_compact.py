"""TAGS compact: words, clicks, box and anatomy change its answer, and an untrained adapter changes nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from oncoprompt.methods.msm_seg.companion import Companion
from oncoprompt.methods.msm_seg.tensors import PromptMaps
from oncoprompt.methods.tags.compact import CompactPrompt, CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.vocabulary import ANY_TUMOUR, CONCEPTS, HEALTHY
from oncoprompt.methods.tags.word_adapter import WordAdapter, similarity

WIDTHS = (8, 8, 16, 16)
SIZE = (16, 24, 16)
GLIOMA, MENINGIOMA = CONCEPTS.index("glioma"), CONCEPTS.index("meningioma")
Size = tuple[int, int, int]


def images(size: Size = SIZE, channels: int = 4) -> Tensor:
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(3))


def prompt(size: Size = SIZE, concept: int = ANY_TUMOUR, drawn: int | None = None) -> CompactPrompt:
    """One map of four is drawn: the box, positive clicks, negative clicks, or anatomy."""
    maps = torch.zeros(1, 4, *size)
    if drawn is not None:
        maps[:, drawn, 4:12, 4:12, 4:12] = 1.0
    return CompactPrompt(PromptMaps(maps[:, :1], maps[:, 1:3]), maps[:, 3:], torch.tensor([concept]))


def awake() -> CompactTags:
    """A network whose prompts and adapters have some weight, which training starts without."""
    torch.manual_seed(0)
    network = CompactTags(CompactTagsConfig(WIDTHS, words=8)).eval()
    nn.init.normal_(network.prompt_stem, std=0.2)
    for adapter in network.adapters:
        nn.init.normal_(adapter.get_parameter("blend.weight"), std=0.5)
    return network


def answer(network: CompactTags, asked: CompactPrompt) -> Tensor:
    with torch.no_grad():
        return network(images(), ("t1n", "t1c", "t2w", "t2f"), asked).logits


@pytest.mark.parametrize("drawn", range(4))
def test_every_prompt_map_changes_the_answer(drawn: int) -> None:
    network = awake()
    assert not torch.allclose(answer(network, prompt(drawn=drawn)), answer(network, prompt()), atol=1e-3)


def test_words_change_the_answer_once_adapters_are_trained_and_not_before() -> None:
    network = awake()
    assert not torch.allclose(
        answer(network, prompt(concept=GLIOMA)), answer(network, prompt(concept=MENINGIOMA)), atol=1e-3
    )
    untrained = CompactTags(CompactTagsConfig(WIDTHS, words=8)).eval()
    assert torch.equal(answer(untrained, prompt(concept=GLIOMA)), answer(untrained, prompt(concept=MENINGIOMA)))


@settings(max_examples=10)
@given(st.tuples(*[st.integers(1, 4).map(lambda n: 8 * n)] * 3))
def test_every_multiple_of_eight_is_a_size_and_regions_are_nested(size: Size) -> None:
    network = awake()
    with torch.no_grad():
        out = network(images(size), ("t1n", "t1c", "t2w", "t2f"), prompt(size, GLIOMA, 0))
    assert out.logits.shape == (1, 3, *size)
    assert (out.logits[:, 2] <= out.logits[:, 1]).all()
    assert (out.logits[:, 1] <= out.logits[:, 0]).all()
    assert [c.shape[2] for c in out.cosines] == [-(-size[0] // n) for n in (16, 8, 4, 2)]


def test_similarity_is_the_scaled_difference_of_cosines_to_the_word_and_to_healthy() -> None:
    torch.manual_seed(1)
    adapter, asked = WordAdapter(6, 5), torch.tensor([GLIOMA, MENINGIOMA])
    x, units = torch.randn(2, 6, 2, 2, 2), nn.functional.normalize(torch.randn(len(CONCEPTS), 5), dim=1)
    with torch.no_grad():
        _, cosines = adapter(x, units, asked)
        found = similarity(cosines, asked)
        tokens = nn.functional.leaky_relu(adapter.align(x)).flatten(2).transpose(1, 2)
        wanted = [
            10 * nn.functional.cosine_similarity(t, units[row][None])
            - 10 * nn.functional.cosine_similarity(t, units[HEALTHY][None])
            for t, row in zip(tokens, asked.tolist(), strict=True)
        ]
    torch.testing.assert_close(found.flatten(1), torch.stack(wanted), atol=1e-4, rtol=1e-4)


def test_it_starts_as_the_companion_it_takes_its_trunk_from() -> None:
    torch.manual_seed(2)
    companion = Companion(WIDTHS).eval()
    nn.init.normal_(companion.prompt_stem, std=0.2)
    network = CompactTags(CompactTagsConfig(WIDTHS)).eval()
    network.start_from({f"companion.{name}": value for name, value in companion.state_dict().items()})
    asked = prompt(drawn=0)
    with torch.no_grad():
        theirs = companion.decode(companion.encode(images(), ("t1n", "t1c", "t2w", "t2f")), asked.maps)
    torch.testing.assert_close(answer(network, asked), theirs)
