"""The whole network: sizes, one encoding for many prompts, learning, words in the plus form."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.network import TagsNetwork, text_similarity
from oncoprompt.methods.tags.tensors import NEGATIVE, POSITIVE, TagsPrompt

SIDE = 16
FORMS = {"faithful": TagsConfig.faithful().small(), "plus": TagsConfig.plus().small()}
every_form = pytest.mark.parametrize("form", FORMS)


def network(form: str) -> TagsNetwork:
    torch.manual_seed(0)
    return TagsNetwork(FORMS[form]).eval()


def volume(shape: tuple[int, int, int] = (SIDE,) * 3, seed: int = 1) -> Tensor:
    return torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(seed))


def clicked(*points: tuple[float, float, float], label: int = POSITIVE) -> TagsPrompt:
    return TagsPrompt(torch.tensor([points]).view(1, -1, 3), torch.full((1, len(points)), label))


def text(seed: int = 3) -> Tensor:
    return functional.normalize(torch.randn(1, 2, 24, generator=torch.Generator().manual_seed(seed)), dim=-1)


@every_form
@pytest.mark.parametrize("shape", [(16, 16, 16), (12, 20, 16), (36, 8, 20)])
def test_logits_of_two_classes_come_back_at_the_size_of_any_crop(form: str, shape: tuple[int, int, int]) -> None:
    model = network(form)
    with torch.no_grad():
        logits = model.decode(model.encode(volume(shape)), clicked((3, 4, 5)))
    assert logits.shape == (1, 2, *shape)
    assert logits.isfinite().all()


def test_a_crop_that_is_no_multiple_of_four_is_refused() -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        network("plus").encode(volume((16, 18, 16)))


@every_form
def test_one_encoding_serves_every_prompt_and_no_prompt(form: str) -> None:
    model = network(form)
    with torch.no_grad():
        features = model.encode(volume())
        crop = model.prepare(features)
        copy = crop.fixed.clone()
        none = model.answer(crop, clicked())
        here = model.answer(crop, clicked((3, 4, 5)))
        assert not torch.allclose(none, here)
        assert torch.equal(model.answer(crop, clicked()), none)
        assert torch.equal(model.decode(features, clicked((3, 4, 5))), here)
    assert torch.equal(crop.fixed, copy)


@every_form
def test_image_and_anatomy_change_the_answer(form: str) -> None:
    model, x = network(form), volume()
    bare = x.clone()
    bare[:, 2] = 0
    with torch.no_grad():
        answers = [model.decode(model.encode(v), clicked((3, 4, 5))) for v in (x, bare, volume(seed=2))]
    assert not torch.allclose(answers[0], answers[1])
    assert not torch.allclose(answers[0], answers[2])


def test_a_similarity_of_one_token_is_the_probability_that_the_alignment_loss_trains() -> None:
    tokens, vectors = torch.randn(2, 24, 2, 3, 4), torch.cat([text(3), text(4)])
    cosines = torch.einsum("bcdhw,bkc->bkdhw", functional.normalize(tokens, dim=1), vectors)
    expected = 2 * torch.softmax(100 * cosines, dim=1)[:, 1:] - 1
    torch.testing.assert_close(text_similarity(tokens, vectors), expected, atol=1e-4, rtol=1e-4)
    assert not text_similarity(tokens, torch.zeros(2, 2, 24)).any()


def test_words_change_the_answer_of_the_plus_form_alone() -> None:
    for form, heard in (("faithful", False), ("plus", True)):
        model = network(form)
        with torch.no_grad():
            features = model.encode(volume())
            answers = [model.decode(features, replace(clicked(), text=t)) for t in (None, text(3), text(4))]
        assert torch.allclose(answers[0], answers[1]) != heard
        assert torch.allclose(answers[1], answers[2]) != heard


def test_a_trained_map_takes_the_words_to_the_voxels_that_are_like_them() -> None:
    model = network("plus")
    assert model.decoder.fuse_text is not None
    nn.init.normal_(model.decoder.fuse_text.weight)
    # The text token alone goes everywhere; with it silenced only the map is left.
    assert model.prompt_encoder.word is not None
    nn.init.zeros_(model.prompt_encoder.word.weight)
    with torch.no_grad():
        features = model.encode(volume())
        one, other = (model.decode(features, replace(clicked(), text=t)) for t in (text(3), text(4)))
    assert not torch.allclose(one, other)


def test_half_precision_answers_nearly_as_single_precision() -> None:
    model = network("plus")
    prompt = replace(clicked((3, 4, 5)), text=text(), box=torch.tensor([[[2.0, 9], [3, 8], [4, 12]]]))
    with torch.no_grad():
        single = model.decode(model.encode(volume()), prompt).softmax(1)
        with torch.autocast("cpu", torch.bfloat16):
            half = model.decode(model.encode(volume()), prompt).float().softmax(1)
    assert (single - half).abs().mean() < 0.05


@every_form
def test_a_few_steps_on_one_crop_lower_the_loss_and_leave_sam_as_it_was(form: str) -> None:
    model = network(form).train()
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    tumour = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.long)
    tumour[:, 4:12, 4:12, 4:12] = 1
    x = 0.3 * volume() + tumour[:, None]
    prompt = TagsPrompt(torch.tensor([[[7.0, 7, 7], [1.0, 1, 14]]]), torch.tensor([[POSITIVE, NEGATIVE]]))
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(15):
        loss = functional.cross_entropy(model.decode(model.encode(x), prompt), tumour)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert frozen
    assert all(torch.equal(p, frozen[n]) for n, p in model.named_parameters() if n in frozen)
