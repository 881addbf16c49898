"""Studies: named channels on one grid, label schemas, and reading and writing them."""

from oncoprompt.study import schemas
from oncoprompt.study.channels import CHANNELS, canonical_channel
from oncoprompt.study.label_map import LabelMap, read_label_map
from oncoprompt.study.schemas import REGIONS, LabelSchema, convert
from oncoprompt.study.study import Study
from oncoprompt.study.writer import write_nifti

__all__ = [
    "CHANNELS",
    "REGIONS",
    "LabelMap",
    "LabelSchema",
    "Study",
    "canonical_channel",
    "convert",
    "read_label_map",
    "schemas",
    "write_nifti",
]
