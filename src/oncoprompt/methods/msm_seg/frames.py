"""What a frame (slice t, channel m) brings to the loop, computed for many frames at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from oncoprompt.methods.msm_seg.dense_prompt import DensePrompt
from oncoprompt.methods.msm_seg.mcp_encoder import MCPEncoder
from oncoprompt.methods.msm_seg.mf_decoder import MFDecoder
from oncoprompt.methods.msm_seg.msma import MSMA, Codes, Starts
from oncoprompt.methods.msm_seg.tensors import Pyramid


@dataclass(frozen=True)
class Frame:
    """Terms of one frame that do not depend on memory, each [B, ...]; names say which part reads them.

    guidance: middle and fine term of the MCP-Encoder, None without one.
    """

    coarse: Tensor
    starts: Starts
    guidance: tuple[Tensor, Tensor] | None
    decoder_middle: Tensor
    decoder_fine: Tensor
    prompt: Tensor | None = None
    detail: Tensor | None = None

    @classmethod
    def of(cls, terms: Mapping[str, Tensor]) -> "Frame":
        """The frame of these terms by name."""

        def pair(first: str, second: str) -> tuple[Tensor, Tensor] | None:
            return (terms[first], terms[second]) if first in terms else None

        return cls(
            coarse=terms["coarse"],
            starts=(pair("slice_tokens", "slice_query"), pair("channel_tokens", "channel_query")),
            guidance=pair("guidance_middle", "guidance_fine"),
            decoder_middle=terms["decoder_middle"],
            decoder_fine=terms["decoder_fine"],
            prompt=terms.get("prompt"),
            detail=terms.get("detail"),
        )


@dataclass(frozen=True)
class FrameBuilder:
    """Runs the memory-free parts of MSMA, MCP-Encoder and MF-Decoder over the slices of a pyramid."""

    msma: MSMA
    prompt_encoder: MCPEncoder | DensePrompt
    decoder: MFDecoder
    codes: Codes

    def build(self, pyramid: Pyramid, prompt: list[Tensor] | None) -> list[list[Frame]]:
        """Frames of a pyramid, a list over t of lists over m; prompt: terms of the levels [B, T, C, ...]."""
        frames, m = pyramid.coarse.shape[:3], pyramid.coarse.shape[2]
        tokens = pyramid.coarse.flatten(0, 2).flatten(2).transpose(1, 2)
        grid = (pyramid.coarse.shape[-2], pyramid.coarse.shape[-1])
        middle, fine = pyramid.middle.flatten(0, 2), pyramid.fine.flatten(0, 2)
        batched = {
            "coarse": pyramid.coarse,
            "decoder_middle": self.decoder.prepare_middle(middle).unflatten(0, pyramid.middle.shape[:3]),
            "decoder_fine": self.decoder.prepare_fine(fine).unflatten(0, pyramid.fine.shape[:3]),
        }
        for name, start in zip(("slice", "channel"), self.msma.prepare(tokens, grid, self.codes), strict=True):
            if start is not None:
                batched[f"{name}_tokens"], batched[f"{name}_query"] = (x.unflatten(0, frames) for x in start)
        if isinstance(self.prompt_encoder, MCPEncoder):
            middle_term = self.prompt_encoder.prepare_middle(middle).unflatten(0, pyramid.middle.shape[:3])
            fine_term = self.prompt_encoder.prepare_fine(fine).unflatten(0, pyramid.fine.shape[:3])
            if prompt is not None:
                middle_term = middle_term + prompt[1].unsqueeze(2)
                fine_term = fine_term + prompt[2].unsqueeze(2)
            batched["guidance_middle"], batched["guidance_fine"] = middle_term, fine_term
        if prompt is not None:
            batched["prompt"] = prompt[0].unsqueeze(2)
        if pyramid.detail is not None:
            batched["detail"] = pyramid.detail
        pieces = {name: cut_frames(x, m) for name, x in batched.items()}
        return [
            [Frame.of({name: piece[t][i] for name, piece in pieces.items()}) for i in range(m)]
            for t in range(pyramid.coarse.shape[1])
        ]


def cut_frames(x: Tensor, m: int) -> list[list[Tensor]]:
    """[B, T, M or 1, ...] -> list over t of lists over m; unbind keeps the backward pass linear in the frames."""
    slices = [list(s.unbind(1)) for s in x.unbind(1)]
    return [s if len(s) == m else s * m for s in slices]


def split_slices(pyramid: Pyramid, count: int) -> list[Pyramid]:
    """The pyramid in pieces of at most `count` slices."""
    coarse, middle, fine = (level.split(count, 1) for level in (pyramid.coarse, pyramid.middle, pyramid.fine))
    detail = [None] * len(coarse) if pyramid.detail is None else pyramid.detail.split(count, 1)
    pieces = zip(coarse, middle, fine, detail, strict=True)
    return [Pyramid(c, m, f, d, pyramid.roles, pyramid.size) for c, m, f, d in pieces]
