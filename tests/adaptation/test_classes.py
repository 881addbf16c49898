"""Nested regions as classes."""

import torch

from oncoprompt.adaptation.classes import class_probabilities, region_classes


def test_class_probabilities_sum_to_one_even_where_regions_are_not_nested():
    logits = 3 * torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    probabilities = class_probabilities(logits)
    assert probabilities.shape == (2, 4, 4, 5, 6)
    assert torch.allclose(probabilities.sum(1), torch.ones(2, 4, 5, 6), atol=1e-6)
    assert float(probabilities.min()) >= 0


def test_confident_region_logits_mean_the_class_their_masks_mean():
    regions = torch.tensor([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])[:, :, None]
    assert region_classes(regions)[:, 0].tolist() == [0, 1, 2, 3]
    assert class_probabilities(20.0 * regions - 10)[:, :, 0].argmax(1).tolist() == [0, 1, 2, 3]
