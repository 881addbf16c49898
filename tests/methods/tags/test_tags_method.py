"""TAGS for studies: grids, prompts, crops, anatomy, organs, what is refused, and weights on disk."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save
from torch.nn import functional

from geometry.grids import grid_of, grids
from methods.tags.bright_tags import BrightTags
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session
from oncoprompt.methods.interface import RegionProbabilities
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.crop import CropPolicy
from oncoprompt.methods.tags.method import TagsMethod
from oncoprompt.methods.tags.models import load_tags, trained_organ
from oncoprompt.methods.tags.network import TagsNetwork
from oncoprompt.prompts import Anatomy, Box, Click, Text
from oncoprompt.study import Study

CPU = torch.device("cpu")
POLICY = CropPolicy(side=16)


def ball(grid: Grid, centre_mm: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    world = grid.to_world(np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3))
    return (np.linalg.norm(world - centre_mm, axis=1) <= radius_mm).reshape(grid.shape)


def mri(grid: Grid, tumour: NDArray[np.bool_]) -> Study:
    """A head that fills the scan, 100 +- 10, with a bright tumour."""
    noise = np.random.default_rng(0).normal(100, 5, grid.shape)
    return Study({"t2f": (noise + 150 * tumour).astype(np.float32)}, grid)


def middle(grid: Grid) -> NDArray[np.float64]:
    return grid.to_world((np.asarray(grid.shape) - 1) / 2)


def bright(config: TagsConfig | None = None, **options) -> tuple[TagsMethod, BrightTags]:
    network = BrightTags(config)
    return TagsMethod(network, "tags-test", "0" * 64, CPU, policy=options.pop("policy", POLICY), **options), network


def whole(answer: RegionProbabilities, grid: Grid) -> NDArray[np.float32]:
    out = np.zeros(grid.shape, dtype=np.float32)
    window = tuple(slice(o, o + n) for o, n in zip(answer.offset, answer.values.shape[1:], strict=True))
    out[window] = answer.values[0]
    return out


def click(point: NDArray[np.float64], positive: bool = True) -> Click:
    x, y, z = point.tolist()
    return Click((x, y, z), positive)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def unit(seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(2, 24, generator=torch.Generator().manual_seed(seed)), dim=-1)


@settings(max_examples=15)
@given(grids(max_size=26, min_size=20), st.floats(0.6, 1.3))
def test_the_tumour_is_found_where_it_is_on_the_scans_own_grid_for_every_axis_order(grid: Grid, spacing: float) -> None:
    affine = grid.affine.copy()
    affine[:3, :3] *= spacing / np.asarray(grid.spacing_mm)
    grid = Grid(grid.shape, affine)
    centre = grid.to_world(np.asarray(grid.shape) * 0.4)
    truth = ball(grid, centre, 4.5)
    study = Study({"ct": np.where(truth, 150.0, 0.0).astype(np.float32)}, grid)
    method, network = bright()
    network.threshold = 0.0
    result = Session(study, model=method).segment(click(centre))
    assert result.grid == study.grid
    assert result.probability("WT").shape == grid.shape
    assert dice(result.mask("WT"), truth) > 0.85
    assert not result.mask("TC").any()
    assert all(v.shape == (1, 3, 16, 16, 16) for v in network.volumes)


@settings(max_examples=20)
@given(grids(max_size=20, min_size=12), st.tuples(*[st.floats(0.1, 0.9)] * 3))
def test_the_network_is_told_the_voxel_that_was_clicked(grid: Grid, share: tuple[float, float, float]) -> None:
    study = mri(grid, np.zeros(grid.shape, dtype=bool))
    point = grid.to_world(np.asarray(share) * (np.asarray(grid.shape) - 1))
    method, network = bright()
    method.decode(method.encode(study, None), [click(point), click(point + 1.0, positive=False)], study)
    (prompt,) = network.prompts
    first, second = prompt.clicks[0].numpy()
    # A scan with voxels of 1 mm is cut at its own voxels, up to half a voxel beside the click.
    assert np.allclose(first, 7.5, atol=0.5 + 1e-3 if np.isclose(grid.spacing_mm, 1.0).any() else 1e-3)
    assert prompt.labels.tolist() == [[1, 0]]
    # The second click is one millimetre away along every world axis; the crop's axes may be turned.
    assert np.isclose(np.linalg.norm(second - first), np.sqrt(3), atol=1e-3)


def test_depth_of_the_crop_is_the_way_to_the_head() -> None:
    grid = grid_of((2, 0, 1), (-1, 1, -1), shape=(20, 22, 24), spacing=(1.0, 1.0, 1.0))
    study = mri(grid, np.zeros(grid.shape, dtype=bool))
    method, network = bright()
    centre = middle(grid)
    right, front, up = (centre + np.eye(3)[axis] * (axis + 2) for axis in range(3))
    method.decode(method.encode(study, None), [click(centre), *(click(p, False) for p in (right, front, up))], study)
    steps = network.prompts[0].clicks[0, 1:] - network.prompts[0].clicks[0, 0]
    assert np.allclose(steps.numpy(), [[0, 0, 2], [0, 3, 0], [4, 0, 0]], atol=1e-3)


def test_several_lesions_get_a_crop_each() -> None:
    grid = Grid((60, 24, 24), np.eye(4))
    centres = [np.array([10.0, 12, 12]), np.array([48.0, 12, 12])]
    truth = ball(grid, centres[0], 4) | ball(grid, centres[1], 4)
    study, (method, network) = mri(grid, truth), bright()
    found = whole(method.decode(method.encode(study, None), [click(c) for c in centres], study), grid) > 0.5
    assert len(network.volumes) == 2
    assert dice(found, truth) > 0.95
    assert [p.clicks.shape[1] for p in network.prompts] == [1, 1]


def test_without_a_place_windows_search_the_anatomy_or_else_the_whole_scan() -> None:
    grid = Grid((60, 24, 24), np.eye(4))
    truth = ball(grid, np.array([10.0, 12, 12]), 4) | ball(grid, np.array([48.0, 12, 12]), 4)
    study, (method, network) = mri(grid, truth), bright()
    assert dice(whole(method.decode(method.encode(study, None), [], study), grid) > 0.5, truth) > 0.95
    everywhere = len(network.volumes)
    half = np.zeros(grid.shape, dtype=bool)
    half[:26] = True
    found = whole(method.decode(method.encode(study, None), [Anatomy(half, grid)], study), grid) > 0.5
    assert dice(found, truth & half) > 0.95
    assert 0 < len(network.volumes) - everywhere < everywhere


def test_a_box_is_a_place_to_look_at_and_reaches_the_network_in_voxels_of_the_crop() -> None:
    grid = grid_of((1, 2, 0), (1, -1, 1), shape=(24, 26, 28), spacing=(1.0, 1.0, 1.0))
    study, (method, network) = mri(grid, np.zeros(grid.shape, dtype=bool)), bright()
    box = Box.from_voxels([[4, 10], [6, 14], [8, 12]], grid)
    method.decode(method.encode(study, None), [box], study)
    method.decode(method.encode(study, box.to_voxels(grid)), [box], study)
    # Array axes run along y, z, x; depth is z.
    for prompt in network.prompts:
        assert prompt.box is not None
        sides = (prompt.box[0, :, 1] - prompt.box[0, :, 0]).numpy()
        assert np.allclose(sides, [8, 6, 4], atol=1e-3)
        assert np.allclose(prompt.box[0].mean(-1).numpy(), 8, atol=1e-3)


def test_a_box_larger_than_a_crop_is_seen_in_windows_that_are_joined() -> None:
    grid = Grid((40, 36, 34), np.eye(4))
    truth = ball(grid, middle(grid), 13)
    study, (method, _) = mri(grid, truth), bright()
    box = Box.around(truth, grid)
    found = whole(method.decode(method.encode(study, box.to_voxels(grid)), [box], study), grid) > 0.5
    assert dice(found, truth) > 0.95


def test_one_encoding_serves_many_clicks_until_one_is_near_its_border() -> None:
    grid = Grid((40, 36, 34), np.eye(4))
    study, (method, network) = mri(grid, ball(grid, middle(grid), 4)), bright()
    encoding, centre = method.encode(study, None), middle(grid)
    method.decode(encoding, [click(centre)], study)
    method.decode(encoding, [click(centre), click(centre + 3.0), click(centre - 3, positive=False)], study)
    assert len(network.volumes) == 1
    method.decode(encoding, [click(centre + 7.0)], study)
    assert len(network.volumes) == 2


def test_encoding_a_region_is_the_slow_step_and_answering_encodes_no_more() -> None:
    grid = Grid((40, 36, 34), np.eye(4))
    study, (method, network) = mri(grid, ball(grid, middle(grid), 4)), bright()
    encoding = method.encode(study, np.array([[15, 25], [13, 23], [12, 22]]))
    assert len(network.volumes) == 1
    method.decode(encoding, [click(middle(grid))], study)
    assert len(network.volumes) == 1


def test_an_anatomy_mask_on_another_grid_is_the_third_channel_and_told_beforehand_costs_nothing() -> None:
    grid = Grid((40, 36, 34), np.eye(4))
    study, (method, network) = mri(grid, ball(grid, middle(grid), 4)), bright()
    coarse = grid_of((2, 1, 0), (1, 1, -1), shape=(20, 20, 20), spacing=(2.0,) * 3, origin=(38.5, 0.5, 0.5))
    anatomy = Anatomy(ball(coarse, middle(grid), 6.5), coarse)
    encoding = method.encode(study, np.array([[15, 25], [13, 23], [12, 22]]), [anatomy])
    method.decode(encoding, [click(middle(grid)), anatomy], study)
    (volume,) = network.volumes
    assert torch.equal(volume[:, 0], volume[:, 1])
    assert set(volume[:, 2].unique().tolist()) == {0.0, 1.0}
    assert volume[0, 2].sum().item() == pytest.approx(8 * anatomy.mask.sum(), rel=0.15)
    assert volume[0, 2, 7:9, 7:9, 7:9].all()
    method.decode(encoding, [click(middle(grid))], study)
    assert len(network.volumes) == 2
    assert network.volumes[1][:, 2].mean() > 0.9, "without a mask the head stands for it"


def test_words_encode_a_crop_again_only_where_they_change_what_is_seen() -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    centre = np.array([[10, 14]] * 3)
    for study, words, encoded in (
        (mri(grid, ball(grid, middle(grid), 4)), "glioma", 1),
        (ct(grid), "liver tumour", 2),
    ):
        method, network = bright(text_vectors=lambda _: unit())
        encoding = method.encode(study, centre)
        method.decode(encoding, [click(middle(grid)), Text(words)], study)
        assert len(network.volumes) == encoded


def test_two_masks_are_parts_of_one_organ() -> None:
    grid = Grid((40, 36, 34), np.eye(4))
    study, (method, network) = mri(grid, ball(grid, middle(grid), 4)), bright()
    parts = [Anatomy(ball(grid, middle(grid) + np.array([s, 0, 0]), 3), grid) for s in (-4, 4)]
    method.decode(method.encode(study, None), [click(middle(grid)), *parts], study)
    both = (parts[0].mask | parts[1].mask).sum()
    assert network.volumes[0][0, 2].sum() == pytest.approx(both, rel=0.1)


def ct(grid: Grid, hu: float = 60.0) -> Study:
    noise = np.random.default_rng(0).normal(hu, 20, grid.shape).astype(np.float32)
    noise[:4] = -1000.0
    return Study({"ct": noise}, grid)


@pytest.mark.parametrize(
    ("words", "low", "high"),
    [
        ("renal mass", (-54 - 59.53867) / 55.457336, (247 - 59.53867) / 55.457336),
        ("tumour in the Liver", (-48 - 60.057533) / 40.198017, (163 - 60.057533) / 40.198017),
        ("pancreatic cancer", (-39 - 68.45214) / 63.422806, (204 - 68.45214) / 63.422806),
        (None, -175 / 101, 175 / 101),
    ],
)
def test_ct_is_shown_in_the_window_of_the_organ_that_the_words_name(words, low, high) -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    array = np.random.default_rng(0).uniform(-1000, 2000, grid.shape).astype(np.float32)
    method, network = bright(text_vectors=lambda _: unit())
    study = Study({"ct": array}, grid)
    method.decode(method.encode(study, None), [click(middle(grid)), *([Text(words)] if words else [])], study)
    image = network.volumes[0][:, 0]
    assert image.min().item() == pytest.approx(low, abs=1e-4)
    assert image.max().item() == pytest.approx(high, abs=1e-4)
    assert not network.volumes[0][:, 2].any()


def test_beyond_a_ct_lies_the_mean_as_published() -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    study, (method, network) = ct(grid), bright(organ="kidney")
    method.decode(method.encode(study, None), [click(grid.to_world((23, 12, 12)))], study)
    assert network.volumes[0][0, 0, :, :, -4:].abs().max() < 1e-5


def test_of_several_mri_channels_flair_comes_first() -> None:
    grid, rng = Grid((20, 20, 20), np.eye(4)), np.random.default_rng(0)
    channels = {name: rng.normal(100, 10, grid.shape).astype(np.float32) for name in ("t1n", "t1c", "t2f")}
    channels["t2f"][10, 10, 10] = 1000
    study, (method, network) = Study(channels, grid), bright()
    method.decode(method.encode(study, None), [click(middle(grid))], study)
    assert network.volumes[0][:, 0].max() == pytest.approx(6.0)


def test_words_reach_the_network_as_vectors() -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    study, (method, network) = ct(grid), bright(text_vectors=lambda words: unit(len(words)))
    method.decode(method.encode(study, None), [click(middle(grid)), Text("liver tumour")], study)
    assert network.prompts[0].text is not None
    assert torch.equal(network.prompts[0].text[0], unit(len("liver tumour")))


@pytest.mark.parametrize(
    ("config", "options", "prompts", "told"),
    [
        (TagsConfig.plus(), {}, [Text("liver tumour")], "no vectors.*Leave the words out"),
        (TagsConfig.plus(), {"text_vectors": lambda _: None}, [Text("liver")], "no vectors"),
        (TagsConfig.plus(), {}, [Text("liver"), Text("kidney")], "One thing.*liver, kidney"),
        (TagsConfig.plus(), {"organ": "liver"}, [Text("renal mass")], "for the liver.*renal mass"),
        (TagsConfig.faithful(), {}, [], "at least one"),
        (TagsConfig.faithful(), {}, [Click((0, 0, 0)), Click((1, 1, 1), positive=False)], "negative clicks"),
        (TagsConfig.faithful(), {}, [Click((0, 0, 0)), Text("something odd")], "names none"),
    ],
)
def test_what_weights_cannot_read_is_refused_in_a_sentence(config, options, prompts, told) -> None:
    with pytest.raises(InputError, match=told):
        bright(config, **options)[0].check(prompts)


def test_the_published_form_needs_an_organ_mask_for_ct() -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    study, (method, network) = ct(grid), bright(TagsConfig.faithful(), needs_anatomy=True)
    encoding = method.encode(study, np.array([[4, 12]] * 3))
    with pytest.raises(InputError, match="mask of the organ"):
        method.decode(encoding, [click(middle(grid))], study)
    anatomy = Anatomy(ball(grid, middle(grid), 9), grid)
    method.decode(encoding, [click(middle(grid)), anatomy, Text("kidney")], study)
    assert network.volumes[0][:, 2].any()
    assert network.prompts[0].text is None


def test_the_published_form_leaves_background_where_nobody_clicked() -> None:
    grid = Grid((60, 24, 24), np.eye(4))
    truth = ball(grid, np.array([10.0, 12, 12]), 4) | ball(grid, np.array([48.0, 12, 12]), 4)
    study, (method, network) = mri(grid, truth), bright(TagsConfig.faithful())
    found = whole(method.decode(method.encode(study, np.array([[0, 60], [0, 24], [0, 24]])),
                                [click(np.array([10.0, 12, 12]))], study), grid) > 0.5  # fmt: skip
    assert found.any()
    assert not found[30:].any()
    assert len(network.prompts) < len(POLICY.over(grid, [[0, 60], [0, 24], [0, 24]]))


def test_an_anatomy_mask_outside_the_scan_is_told() -> None:
    grid = Grid((24, 24, 24), np.eye(4))
    away = Grid((24, 24, 24), np.array([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    study, (method, _) = ct(grid), bright()
    with pytest.raises(InputError, match="outside the scan"):
        method.decode(method.encode(study, None), [Anatomy(np.ones(away.shape, dtype=bool), away)], study)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a small plus network with their manifest, as a training run leaves them."""
    small = TagsConfig.plus().small()
    names = ("width", "depth", "heads", "adapter_width", "features", "stages", "positions", "window")
    options = {name: getattr(small, name) for name in names}
    torch.manual_seed(0)
    content = save(TagsNetwork(small).state_dict())
    path = tmp_path / "tags-vit-b-plus.safetensors"
    path.write_bytes(content)
    manifest = {
        "model": "tags-vit-b-plus",
        "sha256": hashlib.sha256(content).hexdigest(),
        "recipe": {"model": {"name": "tags-vit-b-plus", "options": options}},
    }
    path.with_suffix(".json").write_text(json.dumps(manifest))
    return path


def test_weights_of_a_training_run_answer_on_the_grid_of_the_scan(weights: Path) -> None:
    method = load_tags("tags-vit-b-plus", weights, CPU)
    assert method.name == "tags-vit-b-plus"
    assert method.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    grid = grid_of((2, 0, 1), (1, -1, 1), shape=(20, 22, 18))
    study = mri(grid, ball(grid, middle(grid), 4))
    method._policy = POLICY
    near = np.stack([np.asarray(grid.shape) // 2 - 2, np.asarray(grid.shape) // 2 + 2], axis=1)
    encoding = method.encode(study, near)
    first, second = (method.decode(encoding, prompts, study) for prompts in ([], [click(middle(grid))]))
    assert first.values.any()
    assert not np.array_equal(first.values, second.values)
    low, high = np.asarray(first.offset), np.asarray(first.offset) + first.values.shape[1:]
    assert (low >= 0).all()
    assert (high <= grid.shape).all()


@pytest.mark.parametrize(
    ("options", "organ"),
    [
        ({"words": "kidney"}, "kidney"),
        ({"cohorts": [{"words": "glioma"}, {"words": "meningioma"}]}, "brain"),
        ({"cohorts": [{"words": "liver"}, {"words": "kidney"}]}, None),
        ({}, None),
    ],
)
def test_the_recipe_tells_the_organ_of_the_weights(options, organ) -> None:
    assert trained_organ({"recipe": {"data": {"options": options}}}) == organ


def test_weights_of_another_model_and_damaged_ones_are_told(weights: Path) -> None:
    with pytest.raises(InputError, match="no full-size TAGS 'tags-huge'"):
        load_tags("tags-huge", weights, CPU)
    with pytest.raises(WeightsError):
        load_tags("tags-vit-b", weights, CPU)
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(WeightsError, match="damaged"):
        load_tags("tags-vit-b-plus", weights, CPU)
