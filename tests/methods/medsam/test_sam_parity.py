"""The same weights give the same logits in our network and in the code their authors published."""

import pytest
import torch
from torch import Tensor, nn

from methods.medsam.original_sam import VIT_B, original_sam
from oncoprompt.methods.medsam.checkpoint import original_state
from oncoprompt.methods.medsam.sam_names import to_original, to_transformers
from oncoprompt.methods.medsam.sam_network import (
    SamPrompts,
    build_sam,
    decode_masks,
    encode_pixels,
    load_sam,
    sam_config,
)

AGREE = 1e-4


def ours(original: nn.Module):
    return load_sam({to_transformers(name): value for name, value in original.state_dict().items()})


@torch.inference_mode()
def theirs(original: nn.Module, embedding: Tensor, prompts: SamPrompts) -> Tensor:
    points = None if prompts.points is None else (prompts.points, prompts.positive.int())
    sparse, dense = original.prompt_encoder(points, prompts.boxes, prompts.masks)
    position = original.prompt_encoder.get_dense_pe()
    return original.mask_decoder(embedding, position, sparse, dense, multimask_output=False)[0][:, 0]


def prompts_for(side: int, kinds: str) -> SamPrompts:
    generator = torch.Generator().manual_seed(5)
    low = torch.rand(2, 2, generator=generator) * side / 2
    boxes = torch.cat([low, low + side / 3], dim=1)
    points = torch.rand(2, 3, 2, generator=generator) * side
    positive = torch.tensor([[True, False, True], [False, True, True]])
    masks = torch.randn(2, 1, side // 4, side // 4, generator=generator)
    return SamPrompts(
        boxes if "box" in kinds else None,
        points if "points" in kinds else None,
        positive if "points" in kinds else None,
        masks if "mask" in kinds else None,
    )


@pytest.mark.parametrize("kinds", ["box", "points", "mask", "box points", "box mask", "box points mask"])
def test_logits_agree_with_the_original_for_every_kind_of_prompt(kinds):
    original = original_sam(seed=3)
    network = ours(original)
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    prompts = prompts_for(64, kinds)
    with torch.inference_mode():
        embedding = original.image_encoder(pixels)
        found = encode_pixels(network, pixels)
        torch.testing.assert_close(found, embedding, atol=AGREE, rtol=0)
        logits = decode_masks(network, found, prompts)
    expected = theirs(original, embedding, prompts)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, atol=AGREE, rtol=0)


def test_transformers_own_epsilon_would_not_agree():
    """The mask decoder's layer norms: small variances show that 1e-5, not transformers' 1e-6, is the original's."""
    original = original_sam(seed=3)
    with torch.no_grad():
        for value in original.mask_decoder.transformer.layers[0].self_attn.out_proj.parameters():
            value.mul_(3e-3)
    network = ours(original)
    norms = [m for m in network.mask_decoder.transformer.modules() if type(m) is nn.LayerNorm]
    assert len(norms) == 9
    assert {norm.eps for norm in norms} == {1e-5}
    embedding = torch.randn(1, 64, 4, 4, generator=torch.Generator().manual_seed(2))
    prompts = prompts_for(64, "box")
    expected = theirs(original, embedding, prompts)
    with torch.inference_mode():
        agree = (decode_masks(network, embedding, prompts) - expected).abs().max()
        for norm in norms:
            norm.eps = 1e-6
        differ = (decode_masks(network, embedding, prompts) - expected).abs().max()
    assert agree < AGREE
    assert differ > 100 * AGREE


def test_every_parameter_has_one_name_in_each_layout_and_the_export_loads_into_the_original():
    original = original_sam(seed=4)
    state = original.state_dict()
    assert {name: to_original(to_transformers(name)) for name in state} == {name: name for name in state}
    exported = original_state(ours(original))
    assert set(exported) == set(state)
    another = original_sam(seed=5)
    another.load_state_dict(exported)
    for name, value in another.state_dict().items():
        torch.testing.assert_close(value, state[name], atol=0, rtol=0)


def test_vit_b_has_the_published_numbers_of_parameters():
    with torch.device("meta"):
        network = build_sam(sam_config("vit-b"))

    def count(module: nn.Module) -> int:
        return sum(value.numel() for value in module.parameters() if value.requires_grad)

    assert count(network.vision_encoder) == 89_670_912
    assert count(network.mask_decoder) == 4_058_340
    assert count(network.prompt_encoder) == 6_220
    assert count(network) == 93_735_472


def test_logits_agree_with_the_original_at_the_size_of_vit_b():
    """All of ViT-B on a picture of 256 pixels, where windows of 14 need padding; 1024 take a minute and a half."""
    side = 256
    original = original_sam(seed=6, sizes=VIT_B | {"side": side})
    assert len(original.state_dict()) == 314
    network = ours(original)
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    prompts = prompts_for(side, "box")
    with torch.inference_mode():
        embedding = original.image_encoder(pixels)
        found = encode_pixels(network, pixels)
        logits = decode_masks(network, found, prompts)
    torch.testing.assert_close(found, embedding, atol=AGREE, rtol=0)
    torch.testing.assert_close(logits, theirs(original, embedding, prompts), atol=AGREE, rtol=0)
