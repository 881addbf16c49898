"""TAGS compact on real CT: lesions from clicks or a box, and what it finds by word where no tumour is.

    python benchmarks/tags_ct.py [--model tags-compact] [--draws 3] [--threads N] [--markdown FILE]

The lesions come windowed to 0..255 without their window; HU are taken back as if it were that of soft tissue, level 40
and width 400. medsam-compact looks at them slice by slice within the same box.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from oncoprompt import Session, Study
from oncoprompt.evaluation import dice
from oncoprompt.experiments.table import markdown
from oncoprompt.geometry import mask_bounds
from oncoprompt.inference.slice_session import SliceSession
from oncoprompt.methods.interface import Method, Prompt
from oncoprompt.methods.registry import load_model
from oncoprompt.methods.tags.vocabulary import ABDOMEN
from oncoprompt.prompts import Anatomy, Box, Click, Text, jitter_box, random_clicks
from oncoprompt.study.challenge import read_challenge

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "ct"
SLICE_MODEL = "medsam-compact"
JITTER = 0.05
LEVEL_HU, WIDTH_HU = 40.0, 400.0
STRUCTURES = {"liver tumour": (5,), "kidney tumour": (2, 3), "pancreatic tumour": (7,)}
"""Structure numbers of the example's organs by the words for their tumours."""


def in_hu(study: Study) -> Study:
    """A windowed study as CT."""
    grey = next(iter(study.channels.values())).astype(np.float32)
    return Study({"ct": grey / 255.0 * WIDTH_HU + LEVEL_HU - WIDTH_HU / 2}, study.grid, study.name)


def mean_dice(study: Study, model: Method, asked: Sequence[Sequence[Prompt]], truth: NDArray[np.bool_]) -> float:
    """Mean Dice over draws of prompts."""
    return float(np.mean([dice(Session(study, model).segment(prompts).mask("WT"), truth) for prompts in asked]))


def lesions(folder: Path, model: Method, draws: int) -> str:
    """A row a lesion: Dice from clicks, from a box, and of the slice model in the same boxes."""
    rows, scores = [], []
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        study = Study.read(path)
        truth = (read_challenge(path).labels == 1).transpose(2, 1, 0)
        ct, grid = in_hu(study), study.grid
        rngs = [np.random.default_rng((number, draw)) for draw in range(draws)]
        boxes = [Box.from_voxels(jitter_box(mask_bounds(truth), JITTER, rng, grid.shape), grid) for rng in rngs]
        clicks = [[Click.at_voxel(v, grid) for v in random_clicks(truth, 3, rng)] for rng in rngs]
        slices = SliceSession(study, SLICE_MODEL)
        scores.append(
            [
                mean_dice(ct, model, [drawn[:1] for drawn in clicks], truth),
                mean_dice(ct, model, clicks, truth),
                mean_dice(ct, model, [[box] for box in boxes], truth),
                mean_dice(ct, model, [[box, *drawn] for box, drawn in zip(boxes, clicks, strict=True)], truth),
                float(np.mean([dice(slices.segment(box).mask(1), truth) for box in boxes])),
            ]
        )
        rows.append([path.stem, *(f"{score:.3f}" for score in scores[-1])])
    rows.append(["mean", *(f"{score:.3f}" for score in np.mean(scores, axis=0))])
    return markdown(("lesion", "1 click", "3 clicks", "box", "box, 3 clicks", f"{SLICE_MODEL}, box"), rows)


def false_positives(folder: Path, model: Method) -> str:
    """Millilitres found by each word in scans without a known tumour, also with the mask of its organ."""
    rows = []
    whole, part = (Study.read({"ct": folder / name}) for name in ("example_ct.nii.gz", "example_ct_sm.nii.gz"))
    structures = np.asarray(nib.load(folder / "example_seg.nii.gz").dataobj)
    for word in (*ABDOMEN, "tumour", "healthy"):
        asked = [Text(word)]
        cells = [f"{Session(study, model).segment(asked).volume_ml('WT'):.1f}" for study in (whole, part)]
        if word in STRUCTURES:
            organ = Anatomy(np.isin(structures, STRUCTURES[word]), part.grid)
            cells.append(f"{Session(part, model).segment([*asked, organ]).volume_ml('WT'):.1f}")
        rows.append([word, *cells, *([] if word in STRUCTURES else ["-"])])
    return markdown(("word", "whole scan (ml)", "9 cm of it (ml)", "9 cm, with the organ's mask (ml)"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tags-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real CT is missing: {options.data}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model(options.model)
    parts = [
        f"Model {model.name} ({model.weights_sha256[:12]}). Dice of two real CT lesions. Clicks at random voxels of "
        f"the lesion; box: one 3-D box, each side moved by up to {JITTER:.0%} of its length; no words; means of "
        f"{options.draws} seeded draws. Grey levels are read as HU of a window of level {LEVEL_HU:g} and width "
        f"{WIDTH_HU:g}, which is a guess.",
        lesions(options.data / "lesions_npz", model, options.draws),
        "A real CT of 3 mm without a known tumour: millilitres that the model finds by word and nothing else.",
        false_positives(options.data / "TotalSegmentator", model),
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
