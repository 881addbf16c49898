"""Parts that carry SAM 2's weights compute what transformers' own parts compute."""

import pytest
import torch
from transformers import Sam2VideoConfig
from transformers.models.sam2_video.modeling_sam2_video import (
    Sam2VideoPositionalEmbedding,
    Sam2VideoPositionEmbeddingSine,
    Sam2VideoTwoWayTransformer,
)

from oncoprompt.nn.position import FourierPosition, sine_position
from oncoprompt.nn.two_way import TwoWayTransformer


@pytest.mark.parametrize("dim", [64, 256])
def test_sine_position_equals_sam2(dim: int) -> None:
    theirs = Sam2VideoPositionEmbeddingSine(dim // 2, normalize=True)(torch.Size((1, dim, 5, 3)), "cpu", torch.float32)
    torch.testing.assert_close(sine_position((5, 3), dim, torch.zeros(1)), theirs[0].flatten(1).t())


def test_fourier_position_equals_sam2() -> None:
    ours = FourierPosition(256)
    theirs = Sam2VideoPositionalEmbedding(Sam2VideoConfig().prompt_encoder_config)
    theirs.positional_embedding.copy_(ours.frequencies)
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(6) + 0.5) / 6, indexing="ij")
    torch.testing.assert_close(ours((4, 6)), theirs(torch.stack([x, y], -1).flatten(0, 1)), atol=1e-5, rtol=1e-5)


def test_two_way_transformer_equals_sam2() -> None:
    config = Sam2VideoConfig().mask_decoder_config
    theirs, ours = Sam2VideoTwoWayTransformer(config).eval(), TwoWayTransformer(2, 256, 8, 2048)
    names = [
        (".o_proj.", ".out_proj."),
        ("cross_attn_token_to_image", "token_to_image"),
        ("cross_attn_image_to_token", "image_to_token"),
        ("final_attn_token_to_image", "final_attn"),
        ("layer_norm_final_attn", "norm_final"),
        ("layer_norm", "norm"),
        ("mlp.proj_in", "mlp.layers.0"),
        ("mlp.proj_out", "mlp.layers.1"),
    ]
    state = {}
    for key, value in theirs.state_dict().items():
        for old, new in names:
            key = key.replace(old, new)
        state[key] = torch.randn_like(value) * 0.05
    ours.load_state_dict(state)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state.values(), strict=True)))
    tokens, image, place = torch.randn(1, 3, 256), torch.randn(1, 256, 4, 4), torch.randn(1, 256, 4, 4)
    queries, keys = theirs(tokens.unsqueeze(1), image, place, attention_similarity=None)[:2]
    mine = ours(tokens, image.flatten(2).transpose(1, 2), place.flatten(2).squeeze(0).t())
    torch.testing.assert_close(mine[0], queries[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(mine[1], keys[:, 0], atol=1e-4, rtol=1e-4)
