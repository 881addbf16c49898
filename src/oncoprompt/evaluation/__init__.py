"""How good a segmentation is: overlap and surface distances, region by region."""

from oncoprompt.evaluation.dice import dice
from oncoprompt.evaluation.regions import RegionScores, evaluate_regions
from oncoprompt.evaluation.surface import SurfaceDistances, hausdorff95_mm, normalised_surface_dice

__all__ = [
    "RegionScores",
    "SurfaceDistances",
    "dice",
    "evaluate_regions",
    "hausdorff95_mm",
    "normalised_surface_dice",
]
