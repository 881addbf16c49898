"""Prompts: boxes, clicks and words, and simulated users."""

from oncoprompt.prompts.anatomy import Anatomy
from oncoprompt.prompts.box import Box
from oncoprompt.prompts.click import Click
from oncoprompt.prompts.simulate import jitter_box, random_clicks
from oncoprompt.prompts.text import Text

__all__ = ["Anatomy", "Box", "Click", "Text", "jitter_box", "random_clicks"]
