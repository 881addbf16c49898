"""The TAGS network: encode a crop once, then decode it for one prompt after another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.decoder import TagsDecoder
from oncoprompt.methods.tags.encoder import TagsEncoder
from oncoprompt.methods.tags.prompt_encoder import PromptEncoder
from oncoprompt.methods.tags.tensors import TagsFeatures, TagsPrompt, Tower

_TEMPERATURE = 100.0


@dataclass(frozen=True)
class PreparedCrop:
    """What decoding needs of a crop: the decoder's prompt-free part, the last stage's features and alignment tokens.

    fixed [B, C / 2, 2 d, 2 h, 2 w], last [B, C, d, h, w], alignment [B, width, d, h, w] or None, shape (D, H, W).
    """

    fixed: Tensor
    last: Tensor
    alignment: Tensor | None
    shape: tuple[int, int, int]


class TagsNetwork(nn.Module):
    """SAM's encoder in 3-D, a prompt encoder on its last stage, and a decoder over all of them.

    Trained parameters of the published form: 27,821,696; without alignment adapters (3DSAM-adapter): 25,462,400.
    tower: CLIP's image tower, for a configuration with `image_semantics`.
    """

    def __init__(self, config: TagsConfig | None = None, tower: Tower | None = None) -> None:
        super().__init__()
        self.config = config or TagsConfig.faithful()
        self.tower = tower
        self.encoder = TagsEncoder(self.config)
        self.prompt_encoder = PromptEncoder(self.config)
        self.decoder = TagsDecoder(self.config)

    def encode(self, volume: Tensor) -> TagsFeatures:
        """Volume [B, 3, D, H, W]: image, image, anatomy mask; sides are multiples of 4. The slow step."""
        features: TagsFeatures = self.encoder(volume, self.tower)
        return features

    def prepare(self, features: TagsFeatures) -> PreparedCrop:
        """Everything of the decoder that no prompt changes."""
        heard = self.decoder.fuse_text is not None
        return PreparedCrop(
            self.decoder.fixed(features.stages[:-1], features.image),
            features.stages[-1],
            features.alignments[-1] if heard else None,
            _sizes(features.image.shape[2:]),
        )

    def answer(self, crop: PreparedCrop, prompt: TagsPrompt) -> Tensor:
        """Logits [B, 2, D, H, W] (background, tumour) of a prepared crop for a prompt; the quick step.

        The published form hears clicks alone and makes nothing of a box, a label or a text.
        """
        last = self.prompt_encoder(crop.last, prompt, crop.shape)
        similarity = None
        if crop.alignment is not None and prompt.text is not None:
            similarity = text_similarity(crop.alignment, prompt.text)
        logits: Tensor = self.decoder(crop.fixed, last, similarity, crop.shape)
        return logits

    def decode(self, features: TagsFeatures, prompt: TagsPrompt) -> Tensor:
        """`prepare` and `answer` in one, as training does it: logits [B, 2, D, H, W]."""
        return self.answer(self.prepare(features), prompt)


def text_similarity(tokens: Tensor, text: Tensor) -> Tensor:
    """Map [B, 1, d, h, w] in -1..1 of how alike tokens [B, width, d, h, w] are to text [B, 2, width] (healthy, tumour).

    2 p - 1 with p = softmax(100 cos) of the tumour, the map that the alignment loss trains: tanh(50 (cos_t - cos_h)).
    A text of zeros gives zeros.
    """
    apart = (text[:, 1] - text[:, 0]).to(tokens.dtype)
    towards = torch.einsum("bcdhw,bc->bdhw", functional.normalize(tokens, dim=1), apart)
    return torch.tanh(_TEMPERATURE / 2 * towards)[:, None]


def _sizes(shape: Sequence[int]) -> tuple[int, int, int]:
    d, h, w = shape
    return d, h, w
