"""One axial slice of synthetic people of every family: four channels, and T2 FLAIR with the labels over it.

python benchmarks/realism_pictures.py OUT.png [--first-seed 0] [--people 1]
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot as plt

from oncoprompt.synthesis import FAMILIES, Picture, Subject
from oncoprompt.synthesis.fields import BOX_MM, box_points
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.relaxometry import CHANNELS

SLAB_MM = 9
"""Slices around the shown one that are imaged too, so that thick slices mix what they should."""
COLOURS = np.array([[0, 0, 0], [230, 60, 60], [60, 200, 60], [70, 130, 255], [255, 220, 0]]) / 255.0


def largest_section_mm(subject: Subject) -> float:
    """The S coordinate at which the lesion's section is largest; the middle where there is none."""
    areas = (subject.lesion.label_map() > 0).sum((1, 2))
    k = int(areas.argmax()) if int(areas.max()) > 0 else len(areas) // 2
    return float((k + 0.5) * BOX_MM[2] / len(areas) - BOX_MM[2] / 2)


def slab(subject: Subject, s_mm: float) -> Picture:
    """Nine slices of 1 mm about a height."""
    full = Lattice.of_points(box_points(1.0, torch.device("cpu")))
    z = torch.arange(SLAB_MM, dtype=torch.float32) - SLAB_MM // 2 + s_mm
    return subject.picture(Lattice(full.x, full.y, z).points(), (1.0, 1.0, 1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--people", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn = [(family, options.first_seed + n) for family in FAMILIES for n in range(options.people)]
    figure, axes = plt.subplots(len(drawn), len(CHANNELS) + 1, figsize=(11, 2.64 * len(drawn)), facecolor="black")
    for row, (family, seed) in zip(axes, drawn, strict=True):
        subject = Subject.random(seed, family)
        picture = slab(subject, largest_section_mm(subject))
        labels = picture.labels[SLAB_MM // 2].numpy()
        for panel, name, image in zip(row, CHANNELS, picture.images[:, SLAB_MM // 2].numpy(), strict=False):
            shown = np.clip(image / np.quantile(image[image > 0], 0.995), 0, 0.999)
            panel.imshow(shown, cmap="gray", origin="lower")
            panel.set_title(f"{family} {seed}, {name}", color="white", fontsize=7)
        overlay = np.where(labels[..., None] > 0, 0.45 * COLOURS[labels] + 0.55 * shown[..., None], shown[..., None])
        row[-1].imshow(overlay, origin="lower")
        row[-1].set_title("red NETC, green SNFH, blue ET, yellow RC", color="white", fontsize=7)
        for panel in row:
            panel.axis("off")
    figure.tight_layout(pad=0.3)
    figure.savefig(options.out, dpi=75, facecolor="black")


if __name__ == "__main__":
    main()
