"""Distillation: a student learns a teacher's embeddings of images, without any mask (LiteMedSAM's first stage)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import SamModel

from oncoprompt.methods.medsam.sam import square_pixels
from oncoprompt.methods.medsam.sam_network import encode_pixels
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.slice_items import SliceItem
from oncoprompt.training.slice_loss import SliceLoss


@dataclass(frozen=True)
class DistilItem:
    """One slice as the teacher sees it [3, T, T] and as the student does [3, S, S], on 0..1."""

    teacher: Tensor
    student: Tensor


@dataclass(frozen=True)
class DistilItems:
    """Slices squared to the sides in pixels of teacher and student."""

    slices: ItemSource
    teacher_side: int
    student_side: int

    def item(self, index: int) -> DistilItem:
        """Item ``index`` of the slices."""
        item: SliceItem = self.slices.item(index)
        image = item.image.permute(1, 2, 0).numpy()
        return DistilItem(square_pixels(image, self.teacher_side), square_pixels(image, self.student_side))


class EmbeddingLoss(nn.Module):
    """Mean squared error between the image embeddings of a student and of a teacher, which is frozen."""

    def __init__(self, teacher: SamModel) -> None:
        super().__init__()
        self.teacher = teacher.requires_grad_(False)

    def forward(self, model: nn.Module, item: DistilItem) -> SliceLoss:
        """The loss of one item."""
        with torch.no_grad():
            wanted = encode_pixels(self.teacher, item.teacher[None])
        error = functional.mse_loss(encode_pixels(cast(SamModel, model), item.student[None]), wanted)
        return SliceLoss(error, {"embedding": float(error.detach())})


def train_encoder(student: SamModel) -> None:
    """Train the student's image encoder alone: its other parts are the teacher's."""
    student.requires_grad_(False)
    student.vision_encoder.requires_grad_(True)
