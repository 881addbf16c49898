"""How good a model is on labelled studies, asked as people ask: a box that is not quite right, or none."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oncoprompt.methods.interface import Method
    from oncoprompt.study import LabelMap, Study

BOX_PROTOCOL = "one box around the whole tumour, each side moved by up to 10 % of its length, mean of {draws} draws"


def box_dice(
    model: Method, study: Study, truth: LabelMap, jitter: float = 0.1, draws: int = 3
) -> dict[str, float] | None:
    """Mean Dice of each region that occurs, over seeded draws of the box; None where there is no tumour to box.

    The boxes depend on the study's name alone, so that models are asked the same.
    """
    import numpy as np

    from oncoprompt.evaluation import dice
    from oncoprompt.inference import Session
    from oncoprompt.prompts import Box, jitter_box

    masks = truth.region_masks()
    if not masks["WT"].any():
        return None
    tight = Box.around(masks["WT"], study.grid).to_voxels(study.grid)
    rng = np.random.default_rng(zlib.crc32(study.name.encode()))
    session = Session(study, model=model)
    scores: dict[str, list[float]] = {region: [] for region, mask in masks.items() if mask.any()}
    for _ in range(draws):
        box = jitter_box(tight, jitter, rng, study.grid.shape)
        result = session.segment(Box.from_voxels(box, study.grid))
        for region, values in scores.items():
            values.append(float(dice(result.mask(region), masks[region])))
    return {region: float(np.mean(values)) for region, values in scores.items()}


def boxless_dice(model: Method, study: Study, truth: LabelMap) -> dict[str, float]:
    """Dice of each region that occurs, where the model has to find the tumour itself."""
    from oncoprompt.evaluation import dice
    from oncoprompt.inference import Session

    result = Session(study, model=model).segment()
    masks = truth.region_masks()
    return {region: float(dice(result.mask(region), mask)) for region, mask in masks.items() if mask.any()}
