"""Weights files are known by what is in them, whatever they are called."""

import hashlib
import io

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from methods.medsam.original_sam import original_sam
from oncoprompt.errors import WeightsError
from oncoprompt.methods.medsam import checkpoint
from oncoprompt.methods.medsam.checkpoint import original_state, read_sam
from oncoprompt.methods.medsam.sam_names import POSITIONAL, SECOND_COPY, to_transformers
from oncoprompt.methods.medsam.sam_network import load_sam, sam_config, size_name
from oncoprompt.methods.medsam.weights_file import Kind, read_weights, recognise


@pytest.fixture(scope="module")
def original():
    return original_sam(seed=11).state_dict()


@pytest.fixture(scope="module")
def hub(original):
    """Transformers' layout as the hub has it: the positional matrix under its second name alone."""
    state = {to_transformers(name): value for name, value in original.items()}
    state[SECOND_COPY] = state.pop(POSITIONAL)
    return state


def torch_bytes(content) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def layouts(original, hub):
    wrapped = {"model": {f"module.{name}": value for name, value in original.items()}, "epoch": 3}
    training = {"format": 1, "progress": {"step": 4}, "model": {"x": torch.zeros(1)}, "average": hub}
    return {
        "bare": torch_bytes(original),
        "wrapped": torch_bytes(wrapped),
        "hub .bin": torch_bytes(hub),
        "hub .safetensors": save(hub),
        "original .safetensors": save(original),
        "our training state": torch_bytes(training),
        "half precision": save({name: value.half() for name, value in hub.items()}),
        "compiled": torch_bytes({f"_orig_mod.{name}": value for name, value in original.items()}),
    }


def test_every_layout_gives_the_same_network_under_any_file_name(original, hub, tmp_path):
    expected = load_sam({to_transformers(name): value for name, value in original.items()}).state_dict()
    for index, (name, content) in enumerate(layouts(original, hub).items()):
        path = tmp_path / ("x.safetensors", "x.pth", "x")[index % 3]
        path.write_bytes(content)
        found = read_sam(path)
        assert found.sha256 == hashlib.sha256(content).hexdigest()
        network = load_sam(found.state)
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, expected[key], atol=2e-3 if "half" in name else 0, rtol=0, msg=name)


def test_the_user_is_told_what_the_file_is(original, hub, tmp_path, caplog):
    path = tmp_path / "best.pth"
    path.write_bytes(layouts(original, hub)["wrapped"])
    told = read_sam(path).told
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", told)]
    assert "segment_anything's layout" in told
    assert "entry 'model' and prefix 'module.' taken off" in told
    assert "64x64 pixels" in told
    assert "cannot be told" in told


def test_weights_of_a_training_run_are_known_by_their_manifest(hub, tmp_path, caplog):
    (tmp_path / "mine.safetensors").write_bytes(save(hub))
    (tmp_path / "mine.json").write_text('{"model": "medsam-vit-b"}')
    assert "trained here as 'medsam-vit-b'" in read_sam(tmp_path / "mine.safetensors").told
    assert not caplog.records


def test_a_published_file_is_known_by_its_checksum(original, tmp_path, monkeypatch):
    content = torch_bytes(original)
    path = tmp_path / "renamed.bin"
    path.write_bytes(content)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(checkpoint, "PUBLISHED", {md5: ("sam-vit-b", "SAM's published ViT-B")})
    found = read_sam(path)
    assert found.published == "sam-vit-b"
    assert "SAM's published ViT-B" in found.told


@pytest.mark.parametrize(
    ("names", "kind", "said"),
    [
        (["image_encoder.trunk.blocks.0.norm1.weight", "sam_mask_decoder.iou_token.weight"], Kind.SAM_2, "MedSAM2"),
        (["vision_encoder.backbone.blocks.0.attn.qkv.weight"], Kind.SAM_2, "SAM 2"),
        (["image_encoder.patch_embed.seq.0.c.weight", "mask_decoder.iou_token.weight"], Kind.TINY_VIT, "LiteMedSAM"),
        (["image_encoder.blocks.0.norm1.weight", "mask_decoder.hf_token.weight"], Kind.SAM_HQ, "SAM-HQ"),
        (["stem.weight", "head.weight", "decoder.0.norm1.weight"], Kind.COMPACT, "MedSAM compact"),
        (["layer1.0.conv1.weight", "fc.bias"], Kind.UNKNOWN, "fc.bias, layer1.0.conv1.weight"),
    ],
)
def test_other_networks_are_named_and_refused(tmp_path, names, kind, said):
    state = {name: torch.zeros(1) for name in names}
    assert recognise(state) is kind
    path = tmp_path / "medsam_vit_b.pth"
    path.write_bytes(torch_bytes(state))
    with pytest.raises(WeightsError, match=said):
        read_sam(path)


class Runs:
    """A pickle that would make a folder when it is read."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(tmp_path):
    path, trap = tmp_path / "medsam_vit_b.pth", tmp_path / "ran"
    torch.save({"image_encoder.blocks.0.norm1.weight": Runs(trap)}, path)
    with pytest.raises(WeightsError, match="run code"):
        read_sam(path)
    assert not trap.exists()


@pytest.mark.parametrize("layout", ["bare", "hub .safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.95])
def test_a_truncated_file_is_refused(original, hub, tmp_path, layout, part):
    content = layouts(original, hub)[layout]
    path = tmp_path / "medsam_vit_b.pth"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(WeightsError, match=r"again|damaged"):
        read_sam(path)


@pytest.mark.parametrize(
    "content", [b"<html>Too many requests</html>", torch_bytes([1, 2]), torch_bytes({"a": 1}), b"\0" * 64]
)
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "medsam_vit_b.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_sam(path)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), layout=st.sampled_from(["zip", "before zip", "safetensors"]))
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_file_is_refused_or_read_never_anything_else(tmp_path, data, layout):
    state = {
        "image_encoder.blocks.0.norm1.weight": torch.ones(3),
        "mask_decoder.output_upscaling.0.bias": torch.ones(2),
    }
    before = io.BytesIO()
    torch.save(state, before, _use_new_zipfile_serialization=False)
    content = {"zip": torch_bytes(state), "before zip": before.getvalue(), "safetensors": save(state)}[layout]
    at = data.draw(st.integers(0, len(content) - 1))
    path = tmp_path / "x.pth"
    path.write_bytes(content[:at] + bytes([data.draw(st.integers(0, 255))]) + content[at + 1 :])
    try:
        found = read_weights(path).state
    except WeightsError:
        return
    if layout == "zip":
        assert all(bool((value == 1).all()) for value in found.values())


def test_a_missing_file_and_a_folder_without_weights_are_told(tmp_path, hub):
    with pytest.raises(WeightsError, match="There is no weights file"):
        read_sam(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        read_sam(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(save(hub))
    assert read_sam(tmp_path).state.keys() == {*hub, POSITIONAL} - {SECOND_COPY}


def test_missing_additional_and_odd_parameters_are_named(original):
    state = {to_transformers(name): value for name, value in original.items()}
    with pytest.raises(WeightsError, match=r"mask_decoder\.iou_token\.weight"):
        load_sam({name: value for name, value in state.items() if "iou_token" not in name})
    with pytest.raises(WeightsError, match=r"mask_decoder\.more"):
        load_sam(state | {"mask_decoder.more": torch.zeros(1)})
    name = "mask_decoder.upscale_conv2.bias"
    with pytest.raises(WeightsError, match=name):
        load_sam(state | {name: torch.zeros(99)})


def test_our_export_is_what_segment_anything_reads(original, tmp_path):
    network = load_sam({to_transformers(name): value for name, value in original.items()})
    torch.save(original_state(network), tmp_path / "out.pth")
    another: nn.Module = original_sam(seed=1)
    another.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True))
    assert recognise(original_state(network)) is Kind.SAM_ORIGINAL


@pytest.mark.parametrize(("size", "name"), [("vit-b", "ViT-B"), ("vit-l", "ViT-L"), ("vit-h", "ViT-H")])
def test_published_sizes_are_told(size, name):
    assert size_name(sam_config(size)) == name
