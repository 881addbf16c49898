"""Grids, orientation and resampling between grids."""

from oncoprompt.geometry.bounds import mask_bounds
from oncoprompt.geometry.grid import Grid, reordered, roi_grid
from oncoprompt.geometry.resample import resample

__all__ = ["Grid", "mask_bounds", "reordered", "resample", "roi_grid"]
