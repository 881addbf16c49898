"""Grids, orientation and resampling between grids."""

from oncoprompt.geometry.grid import Grid, roi_grid
from oncoprompt.geometry.resample import resample

__all__ = ["Grid", "resample", "roi_grid"]
