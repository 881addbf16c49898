"""Feature-statistics alignment: equal covariances (CORAL), and real features near the right class prototype."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from oncoprompt.errors import InputError


def feature_rows(features: Tensor) -> Tensor:
    """Features ``[B, C, ...]`` as rows ``[N, C]``, one a position."""
    return features.movedim(1, -1).flatten(0, -2)


def coral(synthetic: Tensor, real: Tensor) -> Tensor:
    """``||Cov_s - Cov_r||_F^2 / (4 C^2)`` of two sets of rows ``[N, C]`` (Deep CORAL, arXiv 1607.01719).

    Raises `InputError` for sets of other widths or of fewer than two rows.
    """
    if synthetic.shape[1] != real.shape[1] or min(len(synthetic), len(real)) < 2:
        raise InputError(
            f"CORAL compares two sets of at least two rows of one width. "
            f"Found: {tuple(synthetic.shape)} and {tuple(real.shape)}."
        )
    return (_covariance(synthetic) - _covariance(real)).square().sum() / (4 * synthetic.shape[1] ** 2)


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=0)
    return centred.T @ centred / (len(rows) - 1)


class ClassPrototypes(nn.Module):
    """Moving averages of the synthetic features of each class, to which confident real features are drawn."""

    centres: Tensor
    seen: Tensor

    def __init__(self, classes: int, channels: int, momentum: float = 0.99) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("centres", torch.zeros(classes, channels))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.bool))

    @torch.no_grad()
    def update(self, rows: Tensor, classes: Tensor) -> None:
        """Take in synthetic rows ``[N, C]`` of known classes ``[N]``; a class met for the first time starts there."""
        for number in torch.unique(classes).tolist():
            mean = rows[classes == number].mean(dim=0).to(self.centres.dtype)
            kept = self.momentum if bool(self.seen[number]) else 0.0
            self.centres[number] = kept * self.centres[number] + (1.0 - kept) * mean
            self.seen[number] = True

    def loss(self, rows: Tensor, probabilities: Tensor, confidence: float = 0.9) -> Tensor:
        """Mean over classes of ``1 - cos(f, m_c)`` of real rows ``[N, C]`` confidently of class c.

        probabilities: ``[N, K]``, the network's own. Zero where no row is confidently of a class seen before.
        """
        sure, classes = probabilities.detach().max(dim=1)
        distance = 1.0 - functional.cosine_similarity(rows, self.centres.clone()[classes], dim=1)
        kept = (sure > confidence) & self.seen[classes]
        # A mean of class means: background is nearly everything and would be all that is heard.
        means = [distance[kept & (classes == number)].mean() for number in torch.unique(classes[kept]).tolist()]
        return torch.stack(means).mean() if means else 0.0 * rows.sum()
