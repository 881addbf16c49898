"""A TAGS network for tests of geometry: it answers where the image is bright, and tells what it was given."""

import torch
from torch import Tensor, nn

from oncoprompt.methods.tags.config import TagsConfig
from oncoprompt.methods.tags.network import PreparedCrop, TagsNetwork
from oncoprompt.methods.tags.tensors import TagsFeatures, TagsPrompt


class BrightTags(TagsNetwork):
    """The tumour is where the standardised image is above `threshold`; no layer is used."""

    def __init__(self, config: TagsConfig | None = None, threshold: float = 1.0) -> None:
        # The layers of the real network would only take time.
        nn.Module.__init__(self)
        self.config = (config or TagsConfig.plus()).small()
        self.threshold = threshold
        self.volumes: list[Tensor] = []
        self.prompts: list[TagsPrompt] = []

    def encode(self, volume: Tensor) -> TagsFeatures:
        """Remember the volume."""
        self.volumes.append(volume)
        return TagsFeatures((), (), volume[:, :1])

    def prepare(self, features: TagsFeatures) -> PreparedCrop:
        """Keep the image."""
        image = features.image
        return PreparedCrop(image, image, None, (image.shape[2], image.shape[3], image.shape[4]))

    def answer(self, crop: PreparedCrop, prompt: TagsPrompt) -> Tensor:
        """Remember the prompt; logits are the height above the threshold."""
        self.prompts.append(prompt)
        score = 8 * (crop.fixed - self.threshold)
        return torch.cat([-score, score], dim=1)
