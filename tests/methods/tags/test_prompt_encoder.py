"""The prompt encoder: clicks are found where they are, labels and boxes count in the plus form alone."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.prompt_encoder import PromptEncoder, sample_at
from oncoprompt.methods.tags.tensors import NEGATIVE, PADDING, POSITIVE, TagsPrompt

SHAPE = (16, 24, 32)
TOKENS = (4, 6, 8)
FORMS = {"faithful": TagsConfig.faithful().small(), "plus": TagsConfig.plus().small()}
every_form = pytest.mark.parametrize("form", FORMS)


def encoder(form: str) -> PromptEncoder:
    torch.manual_seed(0)
    return PromptEncoder(FORMS[form]).eval()


def features(batch: int = 1) -> Tensor:
    return torch.randn(batch, 16, *TOKENS, generator=torch.Generator().manual_seed(1))


def clicked(*points: tuple[float, float, float], label: int = POSITIVE) -> TagsPrompt:
    return TagsPrompt(torch.tensor([points]).view(1, -1, 3), torch.full((1, len(points)), label))


def boxed(*bounds: tuple[float, float]) -> TagsPrompt:
    return replace(clicked(), box=torch.tensor([bounds]))


def worded(seed: int = 2) -> TagsPrompt:
    text = torch.randn(1, 2, 24, generator=torch.Generator().manual_seed(seed))
    return replace(clicked(), text=torch.nn.functional.normalize(text, dim=-1))


def answer(form: str, prompt: TagsPrompt, x: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        out: Tensor = encoder(form)(features() if x is None else x, prompt, SHAPE)
    return out


@settings(max_examples=60)
@given(st.data())
def test_a_one_hot_token_is_found_by_the_click_that_names_it_along_every_axis(data: st.DataObject) -> None:
    tokens = data.draw(st.tuples(*[st.integers(1, 9)] * 3), label="tokens")
    cell = [data.draw(st.integers(0, n - 1)) for n in tokens]
    shape = (4 * tokens[0], 4 * tokens[1], 4 * tokens[2])
    one_hot = torch.zeros(1, 1, *tokens)
    one_hot[0, 0, cell[0], cell[1], cell[2]] = 1
    middle = torch.tensor([[[4.0 * c + 1.5 for c in cell]]])
    assert abs(sample_at(one_hot, middle, shape).item() - 1) <= 1e-5
    for axis, n in enumerate(tokens):
        for step in (-1, 1):
            if 0 <= cell[axis] + step < n:
                off = middle.clone()
                off[..., axis] += 4 * step
                assert abs(sample_at(one_hot, off, shape).item()) <= 1e-5
                off[..., axis] -= 3 * step
                assert abs(sample_at(one_hot, off, shape).item() - 0.75) <= 1e-5


def test_sampling_at_each_voxel_gives_back_a_map_as_fine_as_the_crop() -> None:
    x = torch.randn(1, 3, 4, 5, 6)
    points = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in (4, 5, 6)), indexing="ij"), -1)
    assert (sample_at(x, points.view(1, -1, 3), (4, 5, 6)) - x.flatten(2).transpose(1, 2)).abs().max() <= 1e-5


@every_form
def test_a_click_changes_the_features_and_another_place_changes_them_otherwise(form: str) -> None:
    none, here, there = (answer(form, p) for p in (clicked(), clicked((3, 4, 5)), clicked((12, 20, 28))))
    assert none.shape == features().shape
    assert not torch.allclose(none, here)
    assert not torch.allclose(here, there)


@every_form
def test_clicks_that_fill_a_batch_change_nothing(form: str) -> None:
    real = clicked((3, 4, 5))
    filled = TagsPrompt(
        torch.cat([real.clicks, torch.tensor([[[9.0, 9.0, 9.0], [0.0, 0.0, 0.0]]])], 1),
        torch.tensor([[POSITIVE, PADDING, PADDING]]),
    )
    torch.testing.assert_close(answer(form, filled), answer(form, real))
    torch.testing.assert_close(answer(form, clicked((9, 9, 9), label=PADDING)), answer(form, clicked()))


@every_form
def test_the_order_of_clicks_does_not_matter(form: str) -> None:
    one, two = (3.0, 4.0, 5.0), (12.0, 20.0, 28.0)
    torch.testing.assert_close(answer(form, clicked(one, two)), answer(form, clicked(two, one)))


def test_the_published_form_hears_neither_labels_nor_boxes_nor_words() -> None:
    point = (3.0, 4.0, 5.0)
    assert torch.equal(answer("faithful", clicked(point)), answer("faithful", clicked(point, label=NEGATIVE)))
    assert torch.equal(answer("faithful", clicked()), answer("faithful", boxed((2, 9), (3, 8), (4, 20))))
    assert torch.equal(answer("faithful", clicked()), answer("faithful", worded()))


def test_the_plus_form_hears_labels_boxes_and_words() -> None:
    point = (3.0, 4.0, 5.0)
    answers = [
        answer("plus", prompt)
        for prompt in (
            clicked(),
            clicked(point),
            clicked(point, label=NEGATIVE),
            boxed((2, 9), (3, 8), (4, 20)),
            boxed((2, 9), (3, 8), (4, 28)),
            worded(),
            worded(seed=3),
        )
    ]
    for i, a in enumerate(answers):
        assert not any(torch.allclose(a, b) for b in answers[:i])


def test_an_empty_box_and_a_text_of_zeros_are_none() -> None:
    torch.testing.assert_close(answer("plus", boxed((0, 0), (0, 0), (0, 0))), answer("plus", clicked()))
    silent = replace(clicked(), text=torch.zeros(1, 2, 24))
    torch.testing.assert_close(answer("plus", silent), answer("plus", clicked()))


def test_items_of_a_batch_do_not_hear_each_other() -> None:
    prompts = [clicked((3, 4, 5)), clicked((12, 20, 28), label=NEGATIVE)]
    x = features(batch=2)
    both = TagsPrompt(torch.cat([p.clicks for p in prompts]), torch.cat([p.labels for p in prompts]))
    alone = torch.cat([answer("plus", p, x[i : i + 1]) for i, p in enumerate(prompts)])
    torch.testing.assert_close(answer("plus", both, x), alone, atol=1e-5, rtol=1e-5)


def test_the_plus_form_knows_where_a_prompt_is_even_in_an_image_without_content() -> None:
    flat = torch.ones(1, 16, *TOKENS)
    near, far = answer("plus", clicked((1, 1, 1)), flat), answer("plus", clicked((14, 22, 30)), flat)
    assert not torch.allclose(near, far)
    assert near.std(dim=(2, 3, 4)).max() > 1e-4


@every_form
def test_every_parameter_learns_but_those_that_the_released_code_leaves_idle(form: str) -> None:
    network = encoder(form)
    prompt = replace(
        TagsPrompt(torch.tensor([[[3.0, 4.0, 5.0], [9.0, 9.0, 9.0]]]), torch.tensor([[POSITIVE, NEGATIVE]])),
        box=boxed((2, 9), (3, 8), (4, 20)).box,
        text=worded().text,
    )
    (network(features(), prompt, SHAPE) ** 3).sum().backward()
    silent = {n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    # A key's bias shifts all of a query's scores alike, which softmax does not see.
    silent = {n for n in silent if not n.endswith("k_proj.bias")}
    assert all("idle_attention" in name for name in silent)
    assert bool(silent) == (form == "faithful")
