"""Small labelled studies, and a method that is right about them by construction."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt.experiments.cases import LABELLED, Case, LabelledStudy
from oncoprompt.geometry import Grid
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.methods.msm_seg import MSMSeg
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.msm_seg.region import RegionPolicy
from oncoprompt.study import LabelMap, Study, schemas

SHAPE = (26, 30, 22)
TIGHT = np.array([[8, 18], [9, 20], [6, 15]])
FOUR = ("t1n", "t1c", "t2w", "t2f")


def labelled(name: str = "P1", channels: Sequence[str] = FOUR, enhancing: bool = True) -> LabelledStudy:
    """A box of oedema with a box of enhancing tumour in it; each channel shows all labels as 100, 200, 300."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[8:18, 9:20, 6:15] = 2
    if enhancing:
        labels[10:14, 11:15, 8:12] = 3
    grid = Grid(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
    rng = np.random.default_rng(1)
    images = {
        channel: (100 + 100 * (labels > 0) + 100 * (labels == 3) + rng.normal(0, 5, SHAPE)).astype(np.float32)
        for channel in channels
    }
    for image in images.values():
        image[:3] = 0.0
    return LabelledStudy(Study(images, grid, name), LabelMap(labels, grid, schemas.get("brats2023")))


def case_of(study: LabelledStudy, source: str = LABELLED, patient: str | None = None) -> Case:
    """A case that needs no reading."""
    return Case(study.study.name, patient or study.study.name, source, lambda: study)


class Thresholds:
    """Segments by brightness of the last channel; counts how often it is asked to encode."""

    name = "thresholds"
    weights_sha256 = "1" * 64

    def __init__(self, whole: float = 150.0, enhancing: float = 250.0) -> None:
        self.levels = (whole, enhancing, enhancing)
        self.encoded: list[bytes | None] = []

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        """Nothing is worth keeping but the count."""
        self.encoded.append(None if region is None else region.tobytes())
        return Encoding(study.grid, None)

    def decode(
        self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, previous: RegionProbabilities | None = None
    ) -> RegionProbabilities:
        """Certain wherever it is bright enough, whatever the prompt."""
        image = list(study.channels.values())[-1]
        return RegionProbabilities(np.stack([image > level for level in self.levels]).astype(np.float32), (0, 0, 0))


def untrained_network() -> MSMSeg:
    """A network that was never trained but says something everywhere."""
    torch.manual_seed(0)
    network = MSMSeg()
    torch.nn.init.zeros_(network.decoder.bias)
    return network.eval()


def untrained() -> MSMSegMethod:
    """That network as a method."""
    return MSMSegMethod(untrained_network(), "untrained", "0" * 64, torch.device("cpu"), RegionPolicy(most_voxels=32))
