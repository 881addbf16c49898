"""MedSAM compact on real pictures beside GrabCut and Otsu's threshold in the same boxes.

python benchmarks/images2d.py [--data DIR] [--model NAME] [--jitter 0.05] [--draws 3] [--markdown FILE]
    [--pictures FILE]

Needs `pip install opencv-python-headless` for GrabCut.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cc3d
import cv2
import numpy as np
from PIL import Image

from oncoprompt.geometry import mask_bounds
from oncoprompt.methods.medsam.slice_model import SliceModel, SlicePrompt
from oncoprompt.methods.registry import load_slice_model

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "images2d"
LEAST_PIXELS = 30
MASK_ABOVE = 127
GRABCUT_SIDE = 512

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Target:
    """One outlined target of one picture [H, W, 3] of 8 bits."""

    name: str
    image: np.ndarray
    mask: np.ndarray


def targets_of(folder: Path) -> Iterator[Target]:
    """Targets of a set: masks named after their pictures, each connected part of one that has several on its own."""
    for path in sorted((folder / "images").iterdir()):
        image = np.asarray(Image.open(path).convert("RGB"))
        for mask_path in sorted((folder / "masks").glob(f"{path.stem}*")):
            mask = np.asarray(Image.open(mask_path).convert("L")) > MASK_ABOVE
            if mask.shape != image.shape[:2]:
                continue
            parts, count = cc3d.connected_components(mask, connectivity=8, return_N=True)
            large = [n for n in range(1, count + 1) if np.count_nonzero(parts == n) >= LEAST_PIXELS]
            # a mask file of organs holds one target, whatever its parts
            if mask_path.stem != path.stem:
                yield Target(mask_path.stem, image, mask)
            else:
                yield from (Target(f"{mask_path.stem} {n}", image, parts == n) for n in large)


def jittered(mask: np.ndarray, jitter: float, rng: np.random.Generator) -> Box:
    """The tight box (x0, y0, x1, y1), each side moved by up to ``jitter`` of its length, whole pixels."""
    edges = mask_bounds(mask)[::-1].T.ravel().astype(np.float64)
    moved = edges + rng.uniform(-jitter, jitter, 4) * np.tile(edges[2:] - edges[:2], 2)
    x0, y0, x1, y1 = np.round(moved).tolist()
    height, width = mask.shape
    x0, y0 = max(0.0, x0), max(0.0, y0)
    return x0, y0, min(float(width), max(x1, x0 + 1)), min(float(height), max(y1, y0 + 1))


def otsu(image: np.ndarray, box: Box) -> np.ndarray:
    """Otsu's threshold of brightness inside the box; the side of it that the box's border has less of is the target."""
    x0, y0, x1, y1 = (int(v) for v in box)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[y0:y1, x0:x1]
    _, bright = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    border = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    out = np.zeros(image.shape[:2], dtype=bool)
    out[y0:y1, x0:x1] = bright == (0 if border.mean() > 0.5 else 1)
    return out


def grabcut(image: np.ndarray, box: Box) -> np.ndarray:
    """OpenCV's GrabCut from the rectangle, five iterations, on the box and as much again around it."""
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    left, top = int(max(0, x0 - wide / 2)), int(max(0, y0 - high / 2))
    part = image[top : int(y1 + high / 2), left : int(x1 + wide / 2)]
    scale = min(1.0, GRABCUT_SIDE / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rectangle = [round((v - o) * scale) for v, o in zip((x0, y0, x1, y1), (left, top, left, top), strict=True)]
    inside = (rectangle[0], rectangle[1], max(1, rectangle[2] - rectangle[0]), max(1, rectangle[3] - rectangle[1]))
    labels = np.zeros(small.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(small), labels, inside, *models, 5, cv2.GC_INIT_WITH_RECT)
    found = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    out = np.zeros(image.shape[:2], dtype=bool)
    out[top : top + part.shape[0], left : left + part.shape[1]] = cv2.resize(
        found, part.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    return out


def box_itself(image: np.ndarray, box: Box) -> np.ndarray:
    """Everything in the box."""
    x0, y0, x1, y1 = (int(v) for v in box)
    out = np.zeros(image.shape[:2], dtype=bool)
    out[y0:y1, x0:x1] = True
    return out


def asked(model: SliceModel) -> Callable[[np.ndarray, Box], np.ndarray]:
    """The model as a function of a picture and a box."""
    return lambda image, box: model.decode(model.encode(image.astype(np.float32)), [SlicePrompt(box=box)])[0] > 0


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|)."""
    return float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)))


def row(name: str, targets: int | str, scores: dict[str, float]) -> str:
    """A row of the table."""
    return f"| {name} | {targets} | " + " | ".join(f"{value:.3f}" for value in scores.values()) + " |"


def contact_sheet(path: Path, rows: list[tuple[Target, Box, dict[str, np.ndarray]]]) -> None:
    """The targets in their surroundings: truth green, model red, a column each."""
    from scipy.ndimage import binary_erosion

    side, across = 200, 10
    sheet = Image.new("RGB", (side * across, side * -(-len(rows) // across)))
    for number, (target, box, found) in enumerate(rows):
        x0, y0, x1, y1 = box
        wide, high = x1 - x0, y1 - y0
        cut = np.s_[int(max(0, y0 - high / 3)) : int(y1 + high / 3), int(max(0, x0 - wide / 3)) : int(x1 + wide / 3)]
        size = (side, side)
        picture = np.array(Image.fromarray(target.image[cut]).resize(size))
        for mask, colour in ((target.mask, (0, 255, 0)), (found["model"], (255, 0, 0))):
            seen = np.asarray(Image.fromarray(mask[cut]).resize(size, Image.Resampling.NEAREST))
            picture[seen & ~binary_erosion(seen, iterations=2)] = colour
        sheet.paste(Image.fromarray(picture), (number % across * side, number // across * side))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="medsam-compact")
    parser.add_argument("--jitter", type=float, default=0.05)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--pictures", type=Path)
    args = parser.parse_args()
    model = load_slice_model(args.model, "cpu")
    ways = {"model": asked(model), "GrabCut": grabcut, "Otsu in the box": otsu, "the box itself": box_itself}
    lines = [
        f"| set | targets | {args.model} | GrabCut | Otsu in the box | the box itself |",
        "|---|---|---|---|---|---|",
    ]
    means, rows = [], []
    for folder in sorted(path for path in args.data.iterdir() if path.is_dir()):
        scores: dict[str, list[float]] = {name: [] for name in ways}
        targets = list(targets_of(folder))
        for number, target in enumerate(targets):
            for draw in range(args.draws):
                box = jittered(target.mask, args.jitter, np.random.default_rng((number, draw)))
                found = {name: way(target.image, box) for name, way in ways.items()}
                for name, mask in found.items():
                    scores[name].append(dice(mask, target.mask))
                if draw == 0:
                    rows.append((target, box, found))
        mean = {name: float(np.mean(values)) for name, values in scores.items()}
        means.append(mean)
        lines.append(
            f"| {folder.name} | {len(targets)} | " + " | ".join(f"{value:.3f}" for value in mean.values()) + " |"
        )
    over = {name: float(np.mean([mean[name] for mean in means])) for name in ways}
    lines.append(row("mean over sets", "", over))
    heading = (
        f"Model {model.name} ({model.weights_sha256[:12]}). One box a target, each side moved by up to "
        f"{args.jitter:.0%} of its length, {args.draws} seeded draws; mean Dice. Parts of a mask that do not touch are "
        f"targets of their own (organs excepted), of {LEAST_PIXELS} pixels and more."
    )
    text = heading + "\n\n" + "\n".join(lines) + "\n"
    print(text)
    if args.markdown:
        args.markdown.write_text(text, encoding="utf-8")
    if args.pictures:
        contact_sheet(args.pictures, rows)


if __name__ == "__main__":
    main()
