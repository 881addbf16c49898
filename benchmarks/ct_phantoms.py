"""HU of the synthetic abdomens beside those of a real CT with structure labels, and what a training crop costs.

python benchmarks/ct_phantoms.py [--markdown FILE] [--people 10] [--phase native] [--data DIR]
"""

import argparse
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from scipy.ndimage import binary_erosion

from oncoprompt.synthesis.ct import ORGANS, AbdomenSubject
from oncoprompt.synthesis.ct.sketch import REGIONS

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "ct" / "TotalSegmentator"

REAL_LABELS = {
    "liver": (5,),
    "spleen": (1,),
    "kidney": (2, 3),
    "pancreas": (7,),
    "gallbladder": (4,),
    "aorta": (52,),
    "cava": (63,),
    "portal vein": (64,),
    "muscle": (86, 87, 88, 89),
    "canal": (79,),
    "lung": (10, 11, 14),
    "bone and marrow": (30, 31, 32, 33),
}
"""Structure numbers of the example by our names; vertebrae are bone and marrow together."""

SPACING_MM = 3.0


def of_mask(hu: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    """Mean and standard deviation away from the mask's edge, where partial volume mixes tissues; None if too small."""
    inner = binary_erosion(mask)
    chosen = inner if inner.sum() >= 30 else mask
    return (float(hu[chosen].mean()), float(hu[chosen].std())) if chosen.sum() >= 30 else None


def real_tissues(folder: Path) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation in HU by tissue of the real example; empty where it is absent."""
    image, labels = folder / "example_ct_sm.nii.gz", folder / "example_seg.nii.gz"
    if not image.is_file() or not labels.is_file():
        return {}
    hu = np.asarray(nib.load(image).dataobj, dtype=np.float32)
    label_map = np.asarray(nib.load(labels).dataobj)
    found = {name: of_mask(hu, np.isin(label_map, values)) for name, values in REAL_LABELS.items()}
    return {name: value for name, value in found.items() if value is not None}


def synthetic_tissues(people: int, phase: str | None) -> dict[str, np.ndarray]:
    """Means and standard deviations ``[people, 2]`` by tissue of people imaged at the real example's spacing."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in REAL_LABELS}
    for seed in range(people):
        subject = AbdomenSubject.random(seed, ORGANS[seed % len(ORGANS)], phase=phase)
        picture = subject.picture(subject.whole(SPACING_MM))
        hu, regions = picture.hu.numpy(), picture.regions.numpy()
        for name, values in rows.items():
            kinds = ("bone", "marrow") if name == "bone and marrow" else (name,)
            value = of_mask(hu, np.isin(regions, [REGIONS.index(kind) for kind in kinds]))
            if value is not None:
                values.append(value)
    return {name: np.array(values) for name, values in rows.items() if values}


def costs(people: int) -> tuple[np.ndarray, np.ndarray]:
    """CPU seconds on one thread of drawing a person and of one crop of 128^3 at 1 mm."""
    AbdomenSubject.random(0, "liver")
    drawn, cropped = [], []
    for seed in range(people):
        start = time.process_time()
        subject = AbdomenSubject.random(seed, ORGANS[seed % len(ORGANS)])
        between = time.process_time()
        subject.picture(subject.crop(np.random.default_rng(seed)))
        drawn.append(between - start)
        cropped.append(time.process_time() - between)
    return np.array(drawn), np.array(cropped)


def report(people: int, phase: str | None, folder: Path) -> str:
    """Both tables as Markdown."""
    real, synthetic = real_tissues(folder), synthetic_tissues(people, phase)
    lines = [
        f"{people} synthetic people, phase {phase or 'random'}, {SPACING_MM:g} mm; one real CT without contrast agent.",
        "",
        "| tissue | synthetic mean (lowest to highest person) | synthetic sd within | real mean | real sd within |",
        "|---|---|---|---|---|",
    ]
    for name, values in synthetic.items():
        means, deviations = values[:, 0], values[:, 1]
        there = f"{real[name][0]:.0f} | {real[name][1]:.0f}" if name in real else "- | -"
        spread = f"{means.mean():.0f} ({means.min():.0f} to {means.max():.0f})"
        lines.append(f"| {name} | {spread} | {deviations.mean():.0f} | {there} |")
    drawn, cropped = costs(people)
    lines += ["", "| one thread, CPU seconds | mean | median | largest |", "|---|---|---|---|"]
    for name, values in (("draw a person", drawn), ("one crop of 128^3 at 1 mm of that person", cropped)):
        lines.append(f"| {name} | {values.mean():.2f} | {np.median(values):.2f} | {values.max():.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--phase", default="native", help="contrast phase, or 'random'")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = report(options.people, None if options.phase == "random" else options.phase, options.data)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
