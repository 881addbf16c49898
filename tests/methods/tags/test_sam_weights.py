"""SAM's weights in the encoder of TAGS, from every layout."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import SamModel

from methods.medsam.original_sam import original_sam
from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.sam_names import POSITIONAL, SECOND_COPY, to_transformers
from oncoprompt.methods.medsam.sam_network import sam_config
from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.encoder import TagsEncoder
from oncoprompt.methods.tags.sam_weights import load_sam_encoder, read_sam_encoder

# ViT-B at the size of `TagsConfig.small`
SIZES: dict[str, Any] = {
    "side": 256,
    "width": 24,
    "depth": 4,
    "heads": 2,
    "whole": (0, 1, 2, 3),
    "window": 14,
    "features": 16,
    "mlp": 8,
}


@pytest.fixture(scope="module")
def original() -> dict[str, Tensor]:
    return original_sam(5, SIZES).state_dict()


def encoder() -> TagsEncoder:
    torch.manual_seed(0)
    return TagsEncoder(TagsConfig.faithful().small())


def loaded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    network = encoder()
    load_sam_encoder(network, state)
    return network.state_dict()


def test_every_part_of_sam_is_in_its_place(original: dict[str, Tensor]) -> None:
    before, found = encoder().state_dict(), loaded(original)
    sam = {name.removeprefix("image_encoder."): value for name, value in original.items()}
    same = {
        "patch_embedding.projection.weight": "patch_embed.proj.weight",
        "patch_embedding.projection.bias": "patch_embed.proj.bias",
        "positions.pos_embed": "pos_embed",
    }
    blocks = [name for name in sam if name.startswith("blocks.")]
    for ours, theirs in (same | dict(zip(blocks, blocks, strict=True))).items():
        assert torch.equal(found.pop(ours), sam[theirs]), ours
    for index in range(4):
        table = found.pop(f"blocks.{index}.attn.rel_pos_d")
        plane = (sam[f"blocks.{index}.attn.rel_pos_{axis}"] for axis in "hw")
        torch.testing.assert_close(table, sum(plane) / 2)
    for name, value in found.items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("layout", ["bare", "wrapped", "hub folder", "original safetensors", "half"])
def test_every_layout_gives_the_same_encoder(original: dict[str, Tensor], tmp_path: Path, layout: str) -> None:
    hub = {to_transformers(name): value for name, value in original.items()}
    hub[SECOND_COPY] = hub.pop(POSITIONAL)
    path = tmp_path / "weights"
    match layout:
        case "bare":
            torch.save(original, path)
        case "wrapped":
            torch.save({"model": {f"module.{name}": value for name, value in original.items()}, "epoch": 1}, path)
        case "hub folder":
            path.mkdir()
            save_file(hub, path / "model.safetensors")
        case "original safetensors":
            save_file(original, path)
        case "half":
            save_file({name: value.half() for name, value in hub.items()}, path)
    network, expected = encoder(), loaded(original)
    assert len(read_sam_encoder(network, path)) == 64
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=2e-3 if layout == "half" else 0, rtol=0, msg=name)


def test_blocks_see_a_plane_as_sam_does(original: dict[str, Tensor]) -> None:
    sam, network = original_sam(5, SIZES), encoder()
    load_sam_encoder(network, original)
    plane = torch.randn(1, 4, 4, 24)
    theirs, ours = sam.image_encoder.blocks[1], network.blocks[1]
    with torch.no_grad():
        ours.attn.rel_pos_d.zero_()
        normed = ours.norm1(plane)
        torch.testing.assert_close(normed, theirs.norm1(plane))
        cube = normed.expand(4, 4, 4, 24).flatten(0, 2)[None]
        found = ours.attn(cube).unflatten(1, (4, 4, 4))
        torch.testing.assert_close(found[:, 2], theirs.attn(normed), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.mlp(ours.norm2(plane)), theirs.mlp(theirs.norm2(plane)))


def test_sam_for_another_image_size_is_interpolated(original: dict[str, Tensor]) -> None:
    other = dict(original)
    place = torch.linspace(0, 1, 16).view(1, 16, 1, 1).expand(1, 16, 16, 24)
    other["image_encoder.pos_embed"] = place[:, ::2].contiguous()[:, :, ::2]
    other["image_encoder.blocks.2.attn.rel_pos_h"] = torch.ones(27, 12)
    found = loaded(other)
    assert found["positions.pos_embed"].shape == (1, 16, 16, 24)
    assert bool((found["positions.pos_embed"].diff(dim=1) >= 0).all())
    assert torch.equal(found["blocks.2.attn.rel_pos_h"], torch.ones(31, 12))


def test_vit_b_fits_the_published_encoder_and_no_other_size() -> None:
    with torch.device("meta"):
        network = TagsEncoder(TagsConfig.faithful())
        load_sam_encoder(network, SamModel(sam_config("vit-b")).state_dict())
        large = SamModel(sam_config("vit-l")).state_dict()
        with pytest.raises(WeightsError, match=r"more differ.*ViT-B"):
            load_sam_encoder(network, large)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("blocks.3.attn.qkv.bias", None, "is missing"),
        ("blocks.4.norm1.weight", torch.zeros(24), "is unknown"),
        ("blocks.0.mlp.lin1.bias", torch.zeros(7), r"is \[7\] instead of \[96\]"),
        ("blocks.0.attn.rel_pos_w", torch.zeros(27, 5), r"is \[27, 5\] instead of \[31, 12\]"),
        ("pos_embed", torch.zeros(16, 16, 24), r"is \[16, 16, 24\] instead of"),
    ],
)
def test_missing_unknown_and_odd_parts_are_named_and_nothing_is_changed(
    original: dict[str, Tensor], name: str, value: Tensor | None, said: str
) -> None:
    state = {key: part for key, part in original.items() if key != f"image_encoder.{name}"}
    if value is not None:
        state[f"image_encoder.{name}"] = value
    network = encoder()
    before = {key: part.clone() for key, part in network.state_dict().items()}
    with pytest.raises(WeightsError, match=f"'image_encoder.{name}' {said}"):
        load_sam_encoder(network, state)
    assert all(torch.equal(part, before[key]) for key, part in network.state_dict().items())


def test_no_weights_at_all_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"is missing, and \d+ more differ"):
        load_sam_encoder(encoder(), {})


def test_a_file_of_another_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sam2.pt"
    torch.save({"image_encoder.trunk.blocks.0.norm1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="SAM 2"):
        read_sam_encoder(encoder(), path)
    with pytest.raises(WeightsError, match="no weights file"):
        read_sam_encoder(encoder(), tmp_path / "none.pth")
