"""What a person reads: figures to judge a segmentation by, and summaries of volumes and counts."""

from oncoprompt.report.figure import draw_montage
from oncoprompt.report.summary import summarise
from oncoprompt.report.table import region_table

__all__ = ["draw_montage", "region_table", "summarise"]
