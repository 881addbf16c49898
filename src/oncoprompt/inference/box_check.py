"""Whether a box lies where the model sees a tumour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oncoprompt.methods.interface import RegionProbabilities

MOST_AIR = 0.9
LEAST_TUMOUR = 0.03
MOST_OUTSIDE = 0.4
_CERTAIN = 0.95


def certainty(answer: RegionProbabilities) -> float:
    """Share of the whole tumour that has a probability above 0.95; 0 where there is none.

    A network that was taught with boxes marks something in every box, but with doubt where there is no tumour.
    """
    found = int(np.count_nonzero(answer.values[0] > 0.5))
    return int(np.count_nonzero(answer.values[0] > _CERTAIN)) / max(1, found)


def box_warnings(
    box: NDArray[np.int64], answer: RegionProbabilities, foreground: NDArray[np.bool_], least_certainty: float = 0.0
) -> list[str]:
    """What speaks against a half-open voxel box (3, 2), in sentences: the air in it, and its answer.

    ``foreground`` (I, J, K) is head or body. A whole tumour fills more than LEAST_TUMOUR of a box drawn about
    it, no more than MOST_OUTSIDE of it lies outside, and its `certainty` is usually above ``least_certainty``.
    """
    where = f"Box {box.tolist()}"
    inside = tuple(slice(low, high) for low, high in box)
    air = 1.0 - float(foreground[inside].mean())
    if air > MOST_AIR:
        return [f"{where} lies almost wholly in air: {air:.0%} of it. Check its voxel order and orientation."]
    tumour = answer.values[0] > 0.5
    window = tuple(
        slice(max(0, low - start), max(0, high - start))
        for (low, high), start in zip(box.tolist(), answer.offset, strict=True)
    )
    within = int(np.count_nonzero(tumour[window]))
    filled = within / int(np.prod(box[:, 1] - box[:, 0]))
    if filled < LEAST_TUMOUR:
        return [f"{where} seems to miss the tumour: {filled:.1%} of it was found to be tumour. Check where it lies."]
    outside = 1.0 - within / int(np.count_nonzero(tumour))
    if outside > MOST_OUTSIDE:
        return [f"{where} cuts through the tumour: {outside:.0%} of what was found lies outside. Draw it larger."]
    if certainty(answer) < least_certainty:
        return [
            f"{where} may miss the tumour: only {certainty(answer):.0%} of what was found there is certain, usual is "
            f"{least_certainty:.0%} or more. Check where it lies."
        ]
    return []
