"""Files of SAM 2, SAM 2.1 and MedSAM2: recognised by content, every parameter accounted for."""

import hashlib
import logging

import pytest
import torch
from safetensors.torch import save_file
from transformers import Sam2VideoModel

from methods.sam2_layouts import meta_layout, video_model
from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam.sam2_models import load_sam2, sam2_cards
from oncoprompt.methods.medsam.sam2_names import Sam2Kind, sam2_kind, to_video_names
from oncoprompt.methods.medsam.sam2_network import video_config

# SHA-256 (first 16 digits) of the sorted lines "name [shape]" of the state dicts that Meta's own code (package sam2
# 1.1.0, configurations sam2.1_hiera_*.yaml) builds, and how many parameters and buffers they have.
META = {
    "tiny": (471, "aa97d3d723e3d9a2"),
    "small": (519, "3bfa6b62d57cfb99"),
    "base-plus": (615, "3306e68a5090c989"),
    "large": (903, "e80150164c9113ce"),
}
NEW_IN_2_1 = ("obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias", "no_obj_embed_spatial")


@pytest.fixture(scope="module")
def hub():
    return video_model().state_dict()


def shapes(size, version="2.1", pixels=512):
    with torch.device("meta"):
        return Sam2VideoModel(video_config(Sam2Kind(size, version), pixels)).state_dict()


@pytest.mark.parametrize("size", META)
def test_meta_s_layout_of_every_size_is_consumed_wholly_and_fills_everything(size):
    own = shapes(size)
    meta = meta_layout(own)
    lines = sorted(f"{name} {list(value.shape)}" for name, value in meta.items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == META[size]
    found = to_video_names(meta)
    assert {name: value.shape for name, value in found.items()} == {name: value.shape for name, value in own.items()}
    assert sam2_kind(found) == Sam2Kind(size, "2.1")


def test_the_first_sam_2_is_told_by_what_it_lacks():
    old = {name: value for name, value in meta_layout(shapes("tiny")).items() if name not in NEW_IN_2_1}
    found = to_video_names(old)
    assert sam2_kind(found) == Sam2Kind("tiny", "2")
    assert set(found) == set(shapes("tiny", "2"))


def test_image_size_leaves_no_trace_in_names_and_shapes():
    sizes = [{name: value.shape for name, value in shapes("tiny", pixels=pixels).items()} for pixels in (512, 1024)]
    assert sizes[0] == sizes[1]


def test_values_arrive_where_they_belong(hub):
    found = to_video_names(meta_layout(hub))
    assert set(found) == set(hub)
    assert all(torch.equal(found[name], value) for name, value in hub.items())
    again = to_video_names(hub)
    assert all(torch.equal(again[name], value) for name, value in hub.items())


def test_odd_states_are_refused(hub):
    meta = meta_layout(hub)
    with pytest.raises(WeightsError, match="point embeddings"):
        to_video_names({name: value for name, value in meta.items() if "point_embeddings.2" not in name})
    with pytest.raises(WeightsError, match="twice"):
        to_video_names({**meta, "no_memory_embedding": meta["no_mem_embed"]})
    with pytest.raises(WeightsError, match="other new part"):
        sam2_kind(to_video_names({name: value for name, value in meta.items() if name != NEW_IN_2_1[2]}))
    with pytest.raises(WeightsError, match="EfficientTAM"):
        sam2_kind(to_video_names({name: value for name, value in meta.items() if "patch_embed" not in name}))
    with pytest.raises(WeightsError, match="96 and 11 blocks"):
        sam2_kind(to_video_names({name: value for name, value in meta.items() if ".blocks.11." not in name}))


@pytest.mark.slow
def test_a_file_in_either_layout_gives_the_same_network(hub, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="oncoprompt")
    torch.save(
        {"model": {f"module.{name}": value for name, value in meta_layout(hub).items()}}, tmp_path / "MedSAM2_x.pt"
    )
    save_file({name: value.contiguous() for name, value in hub.items()}, tmp_path / "other.safetensors")
    medical, other = load_sam2(tmp_path / "MedSAM2_x.pt"), load_sam2(tmp_path / "other.safetensors")
    assert (medical.side, other.side) == (512, 1024)
    assert (medical.name, other.name) == ("MedSAM2_x", "other")
    assert medical.weights_sha256 == hashlib.sha256((tmp_path / "MedSAM2_x.pt").read_bytes()).hexdigest()
    pairs = zip(medical.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    assert "holds SAM 2.1 Hiera tiny, run at 512x512 pixels and taken as MedSAM2 by its name" in caplog.text
    assert "taken as SAM 2.1 by its name" in caplog.text
    with pytest.raises(WeightsError, match=r"not 'sam2\.1-hiera-large'"):
        load_sam2(tmp_path / "other.safetensors", name="sam2.1-hiera-large")


def test_incomplete_and_damaged_files_are_refused(hub, tmp_path):
    state = {name: value for name, value in meta_layout(hub).items() if name != "no_mem_embed"}
    torch.save({"model": state}, tmp_path / "less.pt")
    with pytest.raises(WeightsError, match="'no_memory_embedding'"):
        load_sam2(tmp_path / "less.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "less.pt").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"cut\.pt"):
        load_sam2(tmp_path / "cut.pt")
    with pytest.raises(WeightsError, match="no weights"):
        load_sam2(tmp_path / "none.pt")


def test_cards_name_the_published_files():
    cards = {card.name: card.files for card in sam2_cards()}
    assert cards["medsam2-tiny"][0] == "MedSAM2_latest.pt"
    assert cards["sam2.1-hiera-base-plus"][0] == "sam2.1_hiera_base_plus.pt"
    assert len(cards) == 5
