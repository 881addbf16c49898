"""The Hiera network and SAM 2's weights in it."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Sam2VideoModel

from methods.sam2_layouts import PIXELS, meta_layout, video_model
from oncoprompt.errors import InputError, WeightsError
from oncoprompt.methods.msm_seg import HieraConfig, MSMSeg, MSMSegConfig, PromptMaps, msm_seg_loss
from oncoprompt.methods.msm_seg.checkpoint import (
    LoadReport,
    find_weights,
    hiera_from_sam2,
    load_sam2_checkpoint,
    load_state,
)


@pytest.fixture(scope="module")
def theirs() -> Sam2VideoModel:
    return video_model()


@pytest.fixture(scope="module")
def file(theirs: Sam2VideoModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "sam2.1_hiera_tiny.pt"
    torch.save({"model": meta_layout(theirs.state_dict())}, path)
    return path


@pytest.fixture(scope="module")
def loaded(file: Path) -> tuple[MSMSeg, LoadReport]:
    torch.manual_seed(0)
    model = MSMSeg(MSMSegConfig.hiera("tiny")).eval()
    return model, load_sam2_checkpoint(model, file)


def test_every_key_of_the_original_release_is_used_or_named_unused_with_a_reason(
    loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel
) -> None:
    model, report = loaded
    keys = set(meta_layout(theirs.state_dict()))
    assert len(keys) == len(theirs.state_dict()) - 1 + 3  # the shared embedding once, four point embeddings apart
    assert set(report.used) | set(report.unused) == keys
    assert not set(report.used) & set(report.unused)
    assert all(report.unused.values())
    filled = Counter(target for targets in report.used.values() for target in targets)
    assert set(filled.values()) == {1}
    assert set(filled) | set(report.new) == set(model.state_dict())
    assert not any(
        name.startswith(("backbone.encoder.", "memory_encoder.", "decoder.transformer.")) for name in report.new
    )
    assert "prompt_encoder.head.weight" in report.new


def test_the_hubs_safetensors_fill_the_same_parameters(
    loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_file({name: value.clone() for name, value in theirs.state_dict().items()}, path)
    model = MSMSeg(MSMSegConfig.hiera("tiny"))
    report = load_sam2_checkpoint(model, path)
    assert set(report.used) | set(report.unused) == set(theirs.state_dict())
    new = set(report.new)
    for name, value in model.state_dict().items():
        assert name in new or torch.equal(value, loaded[0].state_dict()[name]), name


def test_features_equal_transformers_after_loading(loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel) -> None:
    images = torch.randn(1, 2, 2, PIXELS, PIXELS)
    with torch.no_grad():
        pyramid = loaded[0].encode(images, ("t1c", "t2f"))
        grey = images[:, 1, 1:].expand(1, 3, PIXELS, PIXELS)
        fine, middle, coarse = theirs.vision_encoder(grey).fpn_hidden_states
        torch.testing.assert_close(pyramid.coarse[:, 1, 1, :, 0], coarse)
        torch.testing.assert_close(
            pyramid.middle[:, 1, 1, :, 0], theirs.mask_decoder.conv_s1(middle), atol=1e-5, rtol=1e-4
        )
        torch.testing.assert_close(pyramid.fine[:, 1, 1, :, 0], theirs.mask_decoder.conv_s0(fine), atol=1e-5, rtol=1e-4)


def test_memory_attention_equals_transformers_after_loading(
    loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel
) -> None:
    branch, side = loaded[0].msma.slice_branch, PIXELS // 16
    tokens, items = torch.randn(1, side**2, 256), [torch.randn(1, side**2, 64) for _ in range(3)]
    with torch.no_grad():
        codes = branch.codes((side, side))
        first = next(iter(branch.layers))
        x = first.attend_self(tokens, codes.rope)
        mine = branch((x, first.query(x, codes.rope)), [branch.project(item, codes) for item in items], codes)
        place = [codes.place + theirs.memory_temporal_positional_encoding[age, 0] for age in range(3)]
        expected = theirs.memory_attention(
            tokens.transpose(0, 1), torch.cat(items, 1).transpose(0, 1), None, torch.cat(place)[None].transpose(0, 1)
        )
    torch.testing.assert_close(mine, expected.squeeze(1).transpose(0, 1).reshape(mine.shape), atol=1e-4, rtol=1e-4)


def test_memory_encoder_equals_transformers_after_loading(
    loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel
) -> None:
    feature, logits = torch.randn(1, 256, PIXELS // 16, PIXELS // 16), torch.randn(1, 1, PIXELS, PIXELS)
    with torch.no_grad():
        mine = loaded[0].memory_encoder(feature.unsqueeze(2), logits.unsqueeze(2))
        expected = theirs.memory_encoder(feature, 20 * torch.sigmoid(logits) - 10)[0]
    torch.testing.assert_close(mine, expected.flatten(2).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_guidance_embedding_equals_the_mask_path_of_transformers(
    loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel
) -> None:
    guidance = torch.randn(1, 1, 1, PIXELS // 4, PIXELS // 4)
    with torch.no_grad():
        mine = loaded[0].prompt_encoder.embed_guidance(guidance)
        expected = theirs.prompt_encoder.mask_embed(torch.sigmoid(guidance[:, :, 0]))
    torch.testing.assert_close(mine[:, :, 0], expected, atol=1e-4, rtol=1e-4)


def test_modality_branch_starts_as_a_copy_of_the_slice_branch(loaded: tuple[MSMSeg, LoadReport]) -> None:
    msma = loaded[0].msma
    own = msma.channel_branch.state_dict()
    for name, value in msma.slice_branch.state_dict().items():
        if name.startswith(("layers.", "norm.")):
            assert torch.equal(value, own[name]), name


def test_temporal_tables_and_tokens_start_from_sam2(loaded: tuple[MSMSeg, LoadReport], theirs: Sam2VideoModel) -> None:
    model, table = loaded[0], theirs.memory_temporal_positional_encoding.flatten(1)
    assert torch.equal(model.msma.slice_branch.temporal, table)
    assert torch.equal(model.msma.channel_branch.temporal, table[:3])
    tokens = theirs.mask_decoder.mask_tokens.weight
    assert torch.equal(model.decoder.role_tokens[:4], tokens)
    torch.testing.assert_close(model.decoder.role_tokens[4:], tokens.mean(0, keepdim=True).expand(2, -1))


def test_stem_shows_the_encoder_a_grey_image(loaded: tuple[MSMSeg, LoadReport]) -> None:
    plane = torch.randn(1, 1, 4, 4)
    torch.testing.assert_close(loaded[0].backbone.stem(plane), plane.expand(-1, 3, -1, -1))


def test_output_is_nested_at_full_size_and_a_box_changes_it(loaded: tuple[MSMSeg, LoadReport]) -> None:
    model, images = loaded[0], torch.randn(1, 2, 3, PIXELS, PIXELS)
    prompt = PromptMaps(torch.zeros(1, 1, 3, PIXELS, PIXELS), torch.zeros(1, 2, 3, PIXELS, PIXELS))
    with torch.no_grad():
        pyramid = model.encode(images, ("t1c", "t2f"))
        automatic = model.decode(pyramid)
        empty = model.decode(pyramid, prompt)
        prompt.box[..., 1:, 16:40, 16:40] = 1
        boxed = model.decode(pyramid, prompt)
    assert boxed.logits.shape == (1, 3, 3, PIXELS, PIXELS)
    assert boxed.channel_logits.shape == (1, 2, 3, 3, PIXELS // 4, PIXELS // 4)
    assert (boxed.logits[:, 2] <= boxed.logits[:, 1]).all()
    assert (boxed.logits[:, 1] <= boxed.logits[:, 0]).all()
    assert torch.equal(automatic.logits, empty.logits)
    assert not torch.allclose(automatic.guidance, boxed.guidance)


def test_it_trains(loaded: tuple[MSMSeg, LoadReport]) -> None:
    model, regions = loaded[0], torch.zeros(1, 3, 2, PIXELS, PIXELS)
    regions[..., 16:40, 16:40] = 1
    output = model(
        torch.randn(1, 2, 2, PIXELS, PIXELS), ("t1c", "t2f"), PromptMaps(regions[:, :1], torch.zeros(1, 2, 2, 64, 64))
    )
    msm_seg_loss(output, regions).total.backward()
    silent = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    model.zero_grad()
    assert not silent


def test_planes_that_do_not_fit_the_windows_are_refused(loaded: tuple[MSMSeg, LoadReport]) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        loaded[0].encode(torch.zeros(1, 1, 1, 48, 64), ("t1c",))
    with pytest.raises(InputError, match="multiple of 32"):
        HieraConfig("tiny", image_size=100)


def test_missing_weights_are_named_with_where_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=r"sam2\.1_hiera_small\.pt") as error:
        hiera_from_sam2("small")
    assert str(tmp_path) in str(error.value)
    assert "facebook/sam2.1-hiera-small" in str(error.value)
    (tmp_path / "sam2.1_hiera_base_plus.pt").touch()
    assert find_weights("base-plus") == tmp_path / "sam2.1_hiera_base_plus.pt"


def test_the_named_constructor_loads_the_file_it_is_given(file: Path, loaded: tuple[MSMSeg, LoadReport]) -> None:
    model = hiera_from_sam2("tiny", file)
    for name, value in model.backbone.encoder.state_dict().items():
        assert torch.equal(value, loaded[0].backbone.encoder.state_dict()[name])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        hiera_from_sam2("tiny", tmp_path / name)


def test_another_size_a_foreign_key_or_a_missing_part_is_refused(theirs: Sam2VideoModel) -> None:
    state: dict[str, Tensor] = meta_layout(theirs.state_dict())
    with torch.device("meta"):
        small, tiny = MSMSeg(MSMSegConfig.hiera("small")), MSMSeg(MSMSegConfig.hiera("tiny"))
        large = MSMSeg(MSMSegConfig.hiera("large"))
    with pytest.raises(WeightsError, match="Another size"):
        load_state(small, state, "sam2.1_hiera_tiny.pt")
    with pytest.raises(WeightsError, match="Another size"):
        load_state(large, state, "sam2.1_hiera_tiny.pt")
    with pytest.raises(WeightsError, match=r"a key that SAM 2 does not have: 'head\.weight'"):
        load_state(tiny, {**state, "head.weight": torch.zeros(1)}, "other.pt")
    image_model = {name: value for name, value in state.items() if not name.startswith("memory_")}
    with pytest.raises(WeightsError, match="lacks weights for"):
        load_state(tiny, image_model, "image_model.pt")
