"""TAGS compact reads studies of any grid, CT or MRI, and answers on their voxels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.tags import compact_method
from oncoprompt.methods.tags.compact import CompactPrompt, CompactTags, CompactTagsConfig, CompactTagsOutput
from oncoprompt.methods.tags.compact_method import CompactTagsMethod, asked_concept
from oncoprompt.methods.tags.vocabulary import ANY_TUMOUR
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study

SHAPE = (36, 30, 24)


def grid(spacing_mm: float = 2.0) -> Grid:
    affine = np.diag([spacing_mm, -spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [-20.0, 30.0, 5.0]
    return Grid(SHAPE, affine)


def study(*channels: str, spacing_mm: float = 2.0) -> Study:
    rng = np.random.default_rng(4)
    arrays = {name: rng.normal(40, 30, SHAPE).astype(np.float32) for name in channels}
    return Study(arrays, grid(spacing_mm), name="case")


def method() -> CompactTagsMethod:
    torch.manual_seed(0)
    network = CompactTags(CompactTagsConfig((8, 8, 16, 16), words=8))
    nn.init.normal_(network.prompt_stem, std=0.3)
    for adapter in network.adapters:
        nn.init.normal_(adapter.get_parameter("blend.weight"), std=0.5)
    nn.init.zeros_(network.head.get_parameter("bias"))
    return CompactTagsMethod(network, "tags-compact", "0" * 64, torch.device("cpu"))


def values(model: CompactTagsMethod, asked: Study, *prompts: Box | Click | Text | Anatomy) -> np.ndarray:
    found = model.decode(model.encode(asked, None), prompts, asked)
    out = np.zeros((3, *asked.grid.shape), dtype=np.float32)
    i, j, k = (slice(low, low + n) for low, n in zip(found.offset, found.values.shape[1:], strict=True))
    out[:, i, j, k] = found.values
    return out


def anatomy(spacing_mm: float = 2.0) -> Anatomy:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:25, 8:20, 6:16] = True
    return Anatomy(mask, grid(spacing_mm))


def test_every_prompt_changes_the_answer_of_a_ct_and_of_an_mri() -> None:
    model = method()
    for asked in (study("ct"), study("t1c", "t2f")):
        plain = values(model, asked)
        for prompt in (
            Text("meningioma"),
            Click.at_voxel([18, 15, 12], asked.grid),
            Click.at_voxel([18, 15, 12], asked.grid, positive=False),
            Box.from_voxels([[8, 20], [8, 20], [6, 15]], asked.grid),
            anatomy(),
        ):
            assert np.abs(values(model, asked, prompt) - plain).max() > 1e-4, prompt


def test_a_ct_has_no_core_and_an_mri_may_have_one() -> None:
    model = method()
    assert values(model, study("ct"))[1:].max() < 1e-4
    assert values(model, study("t1c"))[1:].max() > 1e-2


def test_healthy_outlines_nothing() -> None:
    assert values(method(), study("t1c"), Text("healthy")).max() < 1e-4


class Pointwise(nn.Module):
    """A network that sees one voxel at a time, so that windows cannot matter to it."""

    def encode(self, images: Tensor, roles: Sequence[str]) -> Tensor:
        return images.sum(1, keepdim=True)

    def decode(self, features: Tensor, prompt: CompactPrompt) -> CompactTagsOutput:
        whole = features + 3 * prompt.maps.stacked().sum(1, keepdim=True) - prompt.anatomy
        return CompactTagsOutput(torch.cat([whole, whole - 1, whole - 2], dim=1), ())


def test_a_long_scan_answers_in_windows_as_it_does_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, asked = CompactTagsMethod(Pointwise(), "pointwise", "0" * 64, torch.device("cpu")), study("ct", spacing_mm=6)
    prompts = (Click.at_voxel([18, 15, 12], asked.grid), anatomy(6.0))
    whole = values(model, asked, *prompts)
    monkeypatch.setattr(compact_method, "MOST_VOXELS", 40)
    np.testing.assert_allclose(values(model, asked, *prompts), whole, atol=1e-4)


def test_an_anatomy_mask_of_another_grid_is_brought_to_the_study() -> None:
    model, asked, mask = method(), study("t1c"), anatomy()
    flipped = mask.grid.affine.copy()
    flipped[:3, 3] += flipped[:3, 0] * (SHAPE[0] - 1)
    flipped[:3, 0] *= -1
    turned = Anatomy(np.ascontiguousarray(mask.mask[::-1]), replace(mask.grid, affine=flipped))
    np.testing.assert_allclose(values(model, asked, turned), values(model, asked, mask), atol=1e-4)


def test_ct_beside_other_channels_is_refused() -> None:
    with pytest.raises(InputError, match="mixes CT with other channels"):
        method().encode(study("ct", "t1c"), None)


def test_two_meanings_are_refused_and_one_said_twice_is_not() -> None:
    assert asked_concept([Text("glioma"), Text("glioblastoma")]) == asked_concept([Text("glioma")])
    assert asked_concept([]) == ANY_TUMOUR
    with pytest.raises(InputError, match="One thing is asked for at a time"):
        asked_concept([Text("glioma"), Text("meningioma")])


def test_a_ct_is_searched_for_what_is_surer_than_an_mri() -> None:
    model = method()
    assert model.encode(study("ct"), None).seen == compact_method.SEEN_CT > compact_method.SEEN
    assert model.encode(study("t1c", "t2f"), None).seen == compact_method.SEEN


def test_ct_is_looked_at_by_its_own_network_and_mri_by_the_other() -> None:
    mri, of_ct = method()._network, Pointwise()
    model = CompactTagsMethod(mri, "tags-compact", "0" * 64, torch.device("cpu"), ct_network=of_ct)
    alone = CompactTagsMethod(of_ct, "pointwise", "0" * 64, torch.device("cpu"))
    for asked, other in ((study("ct"), alone), (study("t1c", "t2f"), method())):
        np.testing.assert_array_equal(values(model, asked), values(other, asked))


def test_a_mask_bounds_the_answer_about_a_ct_that_nobody_points_into_and_changes_nothing_within() -> None:
    model, asked, mask = method(), study("ct", spacing_mm=3.0), anatomy(3.0)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[12:23, 10:18, 8:14] = True
    outside = ~mask.mask
    # one voxel of the looked-at grid lies between the two
    outside[9:26, 7:21, 5:17] = False
    free, bound = (values(model, asked, *prompts) for prompts in ((), (mask,)))
    assert free[0, outside].max() > 1e-2
    assert bound[0, outside].max() < 1e-4
    np.testing.assert_allclose(bound[0, inside], free[0, inside], atol=1e-3)
    click = Click.at_voxel([2, 2, 2], asked.grid)
    assert values(model, asked, mask, click)[0, outside].max() > 1e-2
