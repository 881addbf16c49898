"""Where the labelled slices of a run come from: the layouts of pictures and volumes on disk."""

from __future__ import annotations

from pathlib import Path

from oncoprompt.cohort.read import LAYOUTS
from oncoprompt.errors import InputError
from oncoprompt.training.cohort_items import labelled_cases
from oncoprompt.training.config import DataSection
from oncoprompt.training.slice_items import SliceItemConfig
from oncoprompt.training.slice_pictures import npy_cases, picture_cases
from oncoprompt.training.slice_stack import SliceCase
from oncoprompt.training.slice_volumes import npz_cases, volume_cases

SLICE_LAYOUTS = ("pictures", "npy", "npz")
"""images/ with masks/, MedSAM's imgs/ with gts/, and challenge cases; else one of a cohort's layouts."""


def slice_cases(data: DataSection, config: SliceItemConfig) -> list[SliceCase]:
    """The labelled cases that `[data]` names, in the layout it says or that the folder shows.

    Raises InputError for a folder that is missing or holds none, and for what only data sets of volumes can do.
    """
    if data.cohort is None or data.pool is not None or data.synthetic_share:
        raise InputError(
            "Training configuration: this model is trained on labelled slices. Give their folder as data.cohort, and "
            "leave out data.pool and data.synthetic_share."
        )
    folder = Path(data.cohort)
    if not folder.exists():
        raise InputError(f"There is no file or folder '{folder}'.")
    layout = data.layout or _recognised(folder)
    if layout not in SLICE_LAYOUTS:
        if data.layout is not None and data.layout not in LAYOUTS:
            raise InputError(f"There is no layout '{layout}'. Known: {', '.join((*SLICE_LAYOUTS, *LAYOUTS))}.")
        cases = labelled_cases(data.cohort, data.layout, data.schema, data.split, data.part)
        return volume_cases(cases, config.preset, config.plane, config.channel)
    if data.split is not None:
        raise InputError(
            f"Training configuration: data.split is for data sets of volumes, '{folder}' has layout {layout}. Give "
            "each part a folder of its own."
        )
    if layout == "npz":
        return npz_cases(folder)
    return picture_cases(folder, config.preset) if layout == "pictures" else npy_cases(folder, config.preset)


def _recognised(folder: Path) -> str:
    for layout, pair in (("pictures", ("images", "masks")), ("npy", ("imgs", "gts"))):
        if all((folder / name).is_dir() for name in pair):
            return layout
    return "npz" if any(folder.glob("*.npz")) else "cohort"
