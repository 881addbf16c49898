"""How good a segmentation is: overlap and surface distances, region by region and lesion by lesion."""

from oncoprompt.evaluation.dice import dice
from oncoprompt.evaluation.lesions import LesionScores
from oncoprompt.evaluation.lesionwise import LesionWiseScores, missing_case, score_case
from oncoprompt.evaluation.profiles import PROFILES, Profile, profile
from oncoprompt.evaluation.regions import RegionScores, evaluate_regions
from oncoprompt.evaluation.surface import SurfaceDistances, hausdorff95_mm, normalised_surface_dice

__all__ = [
    "PROFILES",
    "LesionScores",
    "LesionWiseScores",
    "Profile",
    "RegionScores",
    "SurfaceDistances",
    "dice",
    "evaluate_regions",
    "hausdorff95_mm",
    "missing_case",
    "normalised_surface_dice",
    "profile",
    "score_case",
]
