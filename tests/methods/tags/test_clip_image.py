"""What CLIP's image tower sees of a crop, and how the network takes it in."""

import copy
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize
from transformers import CLIPImageProcessor

from methods.tags.tiny_text_tower import write_text_tower
from methods.tags.tiny_whole_clip import write_whole_clip
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.tags.clip_image import ImageTower, read_image_tower
from oncoprompt.methods.tags.clip_text import read_text_tower
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.network import TagsNetwork

CONFIG = replace(TagsConfig.plus().small(), image_semantics=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_whole_clip(tmp_path_factory.mktemp("clip") / "clip-vit-large-patch14")


@pytest.fixture(scope="module")
def tower(folder) -> ImageTower:
    return read_image_tower(folder)


def network(tower: ImageTower | None, config: TagsConfig = CONFIG) -> TagsNetwork:
    torch.manual_seed(0)
    return TagsNetwork(config, tower).eval()


def test_patches_of_every_slice_are_those_of_clip_itself(tower):
    image = torch.randint(0, 256, (2, 1, 3, 28, 28)).float()
    image[:, :, 0, 0, :2] = torch.tensor([0.0, 255.0])
    seen = tower.semantics(image, 3, (3, 4, 4))
    pictures = image.flatten(0, 2)[:, None].expand(-1, 3, -1, -1).to(torch.uint8)
    pixels = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28)(list(pictures), return_tensors="pt")
    with torch.no_grad():
        hidden = tower.tower.vision_model(pixel_values=pixels["pixel_values"]).last_hidden_state[:, 1:]
        vectors = tower.tower.visual_projection(tower.tower.vision_model.post_layernorm(hidden))
    expected = normalize(vectors, dim=-1).view(2, 3, 4, 4, 24).movedim(-1, 1)
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=0)


def test_vectors_are_units_on_any_grid_and_a_flat_crop_is_no_division_by_zero(tower):
    seen = tower.semantics(torch.full((1, 1, 20, 24, 32), 3.0), 4, (5, 6, 8))
    assert seen.shape == (1, 24, 5, 6, 8)
    torch.testing.assert_close(seen.norm(dim=1), torch.ones(1, 5, 6, 8))


def test_brightness_and_contrast_of_a_crop_do_not_matter(tower):
    image = torch.rand(1, 1, 8, 28, 28)
    torch.testing.assert_close(
        tower.semantics(image, 2, (2, 4, 4)), tower.semantics(40 * image - 300, 2, (2, 4, 4)), atol=1e-4, rtol=0
    )


def test_a_network_starts_as_the_one_without_and_learns_to_use_what_is_seen(tower):
    seeing, blind = network(tower), network(None, replace(CONFIG, image_semantics=0))
    missing = seeing.load_state_dict(blind.state_dict(), strict=False)
    assert missing.missing_keys == ["encoder.semantics.weight"]
    volume = torch.rand(1, 3, 16, 16, 16)
    before = seeing.encode(volume)
    for own, other in zip(before.stages, blind.encode(volume).stages, strict=True):
        assert torch.equal(own, other)
    sum(stage.square().mean() for stage in before.stages).backward()
    slope = seeing.encoder.semantics.weight.grad
    assert slope is not None
    assert slope.abs().sum() > 0
    with torch.no_grad():
        seeing.encoder.semantics.weight.normal_()
        assert not torch.allclose(seeing.encode(volume).stages[-1], before.stages[-1], atol=1e-3)


def test_the_tower_is_no_part_of_the_weights_and_is_not_copied(tower):
    own = network(tower)
    assert copy.deepcopy(own).tower is tower
    assert not [name for name in own.state_dict() if "vision" in name]
    assert not any(parameter.requires_grad for parameter in tower.tower.parameters())


def test_without_a_fitting_tower_the_network_says_what_it_needs(tmp_path, tower):
    with pytest.raises(WeightsError, match=r"24 numbers\. Found: none\. Get CLIP ViT-L/14"):
        network(None).encode(torch.rand(1, 3, 16, 16, 16))
    wide = read_image_tower(write_whole_clip(tmp_path / "wide", 16))
    with pytest.raises(WeightsError, match="Found: 16"):
        network(wide).encode(torch.rand(1, 3, 16, 16, 16))
    with pytest.raises(InputError, match="-1 slices"):
        replace(CONFIG, image_semantics=-1)


def test_a_folder_without_the_tower_is_told(tmp_path):
    with pytest.raises(WeightsError, match=r"no folder .*hf download openai/clip-vit-large-patch14"):
        read_image_tower(tmp_path / "nothing")
    with pytest.raises(WeightsError, match="image tower"):
        read_image_tower(write_text_tower(tmp_path / "text"))


def test_one_folder_of_the_hub_gives_both_towers_in_one_space(folder, tower):
    assert read_text_tower(folder).width == tower.width == 24
