"""Processor seconds to score a 240x240x155 case of twenty lesions lesion by lesion, by every profile.

    python benchmarks/lesionwise.py [--repeats 1] [--markdown FILE]

Truth and prediction are made of shells, one for each number of the profile's schema. The prediction moves every lesion,
misses three, adds three that are not there and is rough at its edges. Seconds of the processor, one thread.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from oncoprompt.evaluation.lesionwise import score_case
from oncoprompt.evaluation.profiles import PROFILES

SHAPE = (240, 240, 155)
SPACING_MM = (1.0, 1.0, 1.0)


def paint(labels: np.ndarray, centre: np.ndarray, radius: float, values: list[int], rough: np.ndarray) -> None:
    """A ball of shells, the last value innermost, its edge shifted voxel by voxel by `rough`."""
    box = tuple(slice(max(0, int(c - radius - 3)), int(c + radius + 4)) for c in centre)
    grid = np.stack(np.meshgrid(*(np.arange(s.start, min(s.stop, n)) for s, n in zip(box, SHAPE, strict=True)),
                                indexing="ij"))  # fmt: skip
    distance = np.linalg.norm(grid - centre[:, None, None, None], axis=0) + rough[box]
    for shell, value in enumerate(values):
        labels[box][distance <= radius * (len(values) - shell) / len(values)] = value


def case(values: list[int], lesions: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Label maps of a prediction and a truth with one lesion of 35 mm radius and others of 4 to 12 mm."""
    rng = np.random.default_rng(0)
    truth, prediction = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    rough = rng.normal(0.0, 0.7, SHAPE).astype(np.float32)
    for lesion in range(lesions + 3):
        centre = rng.uniform([40, 30, 20], [200, 210, 135])
        radius = 35.0 if lesion == 0 else float(rng.uniform(4, 12))
        if lesion < lesions:
            paint(truth, centre, radius, values, np.zeros_like(rough))
        if not 1 <= lesion <= 3:
            paint(prediction, centre + rng.normal(0.0, 1.0, 3), radius, values, rough)
    return prediction, truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = ["| profile | regions | processor seconds | largest number of true lesions |", "|---|---|---|---|"]
    for name, profile in PROFILES.items():
        if name.startswith("brats2025"):
            continue
        prediction, truth = case(sorted(set().union(*profile.regions.values())))
        seconds = []
        for _ in range(options.repeats):
            began = time.process_time()
            scores = score_case(prediction, truth, SPACING_MM, profile)
            seconds.append(time.process_time() - began)
        most = max(score.true_positives + score.false_negatives for score in scores.values())
        lines.append(f"| {name} | {len(scores)} | {statistics.median(seconds):.2f} | {most} |")
    what = "Label maps of 240x240x155 voxels, 23 lesions, 3 of them missed and 3 spurious"
    text = "\n".join([f"{what}; medians of {options.repeats} runs.", "", *lines])
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
