"""Small items and a small network for tests of adaptation: a blob, brighter on "real" scans, and its regions."""

from dataclasses import dataclass

import numpy as np
import torch

from oncoprompt.methods.msm_seg import MSMSeg, MSMSegConfig
from oncoprompt.methods.msm_seg.config import CompactConfig
from oncoprompt.training.adapted import AdaptedItems
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.items import TrainingItem

SHAPE = (16, 16, 24)
ROLES = ("t1c", "t2f")


@dataclass(frozen=True)
class BlobItems:
    """A ball of three nested regions in noise, drawn with its box."""

    brightness: float
    seed: int = 0

    def item(self, index: int) -> TrainingItem:
        """Item `index`."""
        rng = np.random.default_rng([self.seed, index])
        centre = np.array(SHAPE) / 2 + rng.uniform(-2, 2, 3)
        grid = np.indices(SHAPE) + 0.5
        distance = np.sqrt(((grid - centre[:, None, None, None]) ** 2).sum(0))
        regions = torch.from_numpy(np.stack([distance < r for r in (6.0, 4.0, 2.5)]).astype(np.uint8))
        images = torch.from_numpy(rng.normal(0, 0.2, (2, *SHAPE)).astype(np.float32))
        box = torch.zeros(1, *SHAPE)
        box[:, 2:14, 2:14, 6:18] = 1.0
        return TrainingItem(images + self.brightness * regions[:1], ROLES, regions, box, torch.zeros(2, *SHAPE))


def pairs() -> AdaptedItems:
    """Synthetic blobs with real ones twice as bright."""
    return AdaptedItems(BlobItems(1.0), BlobItems(2.0, seed=1))


def small_network() -> MSMSeg:
    """The compact network with few channels."""
    torch.manual_seed(2)
    return MSMSeg(MSMSegConfig(backbone=CompactConfig((8, 8, 16, 16))))


def config(kind: str, steps: int = 2, **section: object) -> TrainingConfig:
    """A few steps with a way of adapting that counts from the first."""
    return TrainingConfig.from_mapping(
        {
            "data": {"workers": 0},
            "optimisation": {"steps": steps, "warmup_steps": 0},
            "adaptation": {"kind": kind, "real": "scans", "start": 0.0, "patch": 24, **section},
            "run": {"accelerator": "cpu", "seed": 5, "log_every": 1},
        }
    )
