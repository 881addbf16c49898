"""MedSAM compact with its weights, as a model of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.mapping import updated
from oncoprompt.methods.medsam.compact import IMAGE_PLANES, CompactConfig, CompactNetwork
from oncoprompt.methods.medsam.frame import Frame, prompt_maps, standardise
from oncoprompt.methods.medsam.slice_model import SlicePrompt
from oncoprompt.methods.weight_files import read_own

NAME = "medsam-compact"


@dataclass(frozen=True, eq=False)
class CompactModel:
    """A trained `CompactNetwork`; features of a slice are its pixels, because every box is looked at on its own."""

    network: CompactNetwork
    name: str
    weights_sha256: str
    device: torch.device

    def encode(self, image: NDArray[np.float32]) -> Tensor:
        """Slice [H, W] or [H, W, 3] -> planes [3, H, W]; raises InputError for other shapes."""
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != IMAGE_PLANES):
            raise InputError(f"A slice is [H, W] or [H, W, 3]; found shape {image.shape}.")
        planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        return planes.expand(IMAGE_PLANES, *planes.shape) if image.ndim == 2 else planes.permute(2, 0, 1)

    def decode(self, features: Tensor, prompts: Sequence[SlicePrompt]) -> NDArray[np.float32]:
        """Logits [N, H, W]; every prompt needs a box, to which points and a drawing may be added.

        Raises InputError for a prompt without a box and for words.
        """
        frames = [self._frame(prompt) for prompt in prompts]
        shape = (features.shape[1], features.shape[2])
        if not prompts:
            return np.zeros((0, *shape), dtype=np.float32)
        images = torch.stack([standardise(frame.cut(features)) for frame in frames]).to(self.device)
        maps = torch.stack([prompt_maps(p, frame) for p, frame in zip(prompts, frames, strict=True)]).to(self.device)
        with torch.inference_mode():
            logits = self.network(images, maps)[:, 0].float().cpu()
        pasted = [frame.paste(answer, shape) for frame, answer in zip(frames, logits, strict=True)]
        return np.asarray(torch.stack(pasted).numpy())

    def _frame(self, prompt: SlicePrompt) -> Frame:
        if prompt.words is not None:
            raise InputError(f"Model '{self.name}' reads boxes, points and drawings. Found words; leave them out.")
        if prompt.box is None:
            raise InputError(f"Model '{self.name}' needs a box around each target; points correct its answer.")
        return Frame.around(prompt.box, self.network.config.frame)


def load_compact(path: Path, device: str | torch.device = "cpu") -> CompactModel:
    """The model in a .safetensors file with its manifest beside it; raises WeightsError where they are damaged."""
    own = read_own(path)
    network = CompactNetwork(updated(CompactConfig(), own.options, f"Manifest of '{path.name}'", "model.options"))
    try:
        network.load_state_dict(own.state)
    except RuntimeError as error:
        raise WeightsError(f"The weights '{path.name}' do not fit {NAME}: {error}. Get them again.") from error
    network.to(torch.device(device)).eval()
    return CompactModel(network, str(own.manifest.get("model", NAME)), own.sha256, torch.device(device))
