"""One three-dimensional box on CT lesions: a model of slices beside GrabCut and Otsu's threshold in the same box.

python benchmarks/ct_lesions.py [--data DIR] [--model NAME] [--jitter 0.05] [--draws 3] [--markdown FILE]

Needs `pip install opencv-python-headless` for GrabCut.
"""

import argparse
from pathlib import Path

import numpy as np

from images2d import Box as PlaneBox
from images2d import dice, grabcut, otsu
from oncoprompt.geometry import mask_bounds
from oncoprompt.inference.slice_session import SliceSession
from oncoprompt.prompts import Box
from oncoprompt.prompts.simulate import jitter_box
from oncoprompt.study import Study
from oncoprompt.study.challenge import read_challenge

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "ct" / "lesions_npz"


def slice_by_slice(way, images: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A method for pictures on every slice [D, H, W] of a box (i, j, k) in voxels."""
    (i0, i1), (j0, j1), (k0, k1) = box.tolist()
    plane: PlaneBox = (i0, j0, i1, j1)
    out = np.zeros(images.shape, dtype=bool)
    for k in range(k0, k1):
        out[k] = way(np.repeat(images[k][..., None], 3, axis=2), plane)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="medsam-compact")
    parser.add_argument("--jitter", type=float, default=0.05)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    lines = [f"| lesion | slices | {args.model} | GrabCut | Otsu in the box |", "|---|---|---|---|---|"]
    means = []
    for number, path in enumerate(sorted(args.data.glob("*.npz"))):
        study, truth = Study.read(path), read_challenge(path).labels == 1
        inside = mask_bounds(truth.transpose(2, 1, 0))
        session = SliceSession(study, args.model)
        scores = []
        for draw in range(args.draws):
            shape = study.grid.shape
            box = jitter_box(inside, args.jitter, np.random.default_rng((number, draw)), shape)
            found = session.segment(Box.from_voxels(box, study.grid)).mask(1).transpose(2, 1, 0)
            images = np.clip(next(iter(study.channels.values())), 0, 255).astype(np.uint8).transpose(2, 1, 0)
            answers = found, slice_by_slice(grabcut, images, box), slice_by_slice(otsu, images, box)
            scores.append([dice(answer, truth) for answer in answers])
        means.append(np.mean(scores, axis=0))
        shown = int(truth.any(axis=(1, 2)).sum())
        lines.append(f"| {path.stem} | {shown} | " + " | ".join(f"{score:.3f}" for score in means[-1]) + " |")
    lines.append("| mean | | " + " | ".join(f"{score:.3f}" for score in np.mean(means, axis=0)) + " |")
    heading = (
        f"Model {args.model}. One 3-D box a lesion, each side moved by up to {args.jitter:.0%} of its length, "
        f"{args.draws} seeded draws; mean Dice. GrabCut and Otsu see the box on each of its slices."
    )
    text = heading + "\n\n" + "\n".join(lines) + "\n"
    print(text)
    if args.markdown:
        args.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
