"""Synthetic studies with their truth: anatomy, tumour, contrast, scanner; drawn from a seed, without patients."""

from oncoprompt.synthesis.generate import SyntheticStudy, synthesize
from oncoprompt.synthesis.lesion import FAMILIES
from oncoprompt.synthesis.subject import Picture, Subject

__all__ = ["FAMILIES", "Picture", "Subject", "SyntheticStudy", "synthesize"]
