"""Synthetic pictures of any kind with one outlined target, for a model that has seen no real one."""

from oncoprompt.synthesis.pictures.picture import PictureWithTarget
from oncoprompt.synthesis.pictures.scene import SIDE, random_picture
from oncoprompt.synthesis.pictures.study_slices import StudySlices

__all__ = ["SIDE", "PictureWithTarget", "StudySlices", "random_picture"]
