"""Every bridge from synthetic to real, for a few steps from the bundled weights: Dice on a held-out real case.

    python benchmarks/adaptation.py [--steps 48] [--held-out CASE] [--markdown FILE]

Every row but the first starts from the same weights and sees the same synthetic items in the same order. The other
real cases are unlabelled for the bridges; the last two rows use the labels of one of them.
"""

import argparse
import csv
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from oncoprompt import Study
from oncoprompt.adaptation.weight_averaging import average_weights
from oncoprompt.experiments.protocol import BOX_PROTOCOL, box_dice
from oncoprompt.methods.msm_seg import MSMSeg
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.weight_files import BUNDLED
from oncoprompt.study import REGIONS, LabelMap, read_label_map
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.training.adapted import adapt_to, real_items
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import Recipe, build

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "brats2021"
SCHEMA = "brats2021"
MODEL = "msm-seg-compact"
JITTER = 0.1
KINDS = ("none", "adversarial", "coral", "prototypes", "mean-teacher", "cyclegan")


@dataclass(frozen=True)
class Kept:
    """Items made once and kept, so that every row sees the same ones and waits for them only once."""

    source: ItemSource
    made: dict[int, Any] = field(default_factory=dict)

    def item(self, index: int) -> Any:
        """Item `index`."""
        if index not in self.made:
            self.made[index] = self.source.item(index)
        return self.made[index]


@dataclass(frozen=True)
class HeldOut:
    """The case everything is tested on."""

    study: Study
    truth: LabelMap
    draws: int

    def scores(self, network: MSMSeg) -> dict[str, float]:
        """Mean Dice of each region that is there (experiments.protocol)."""
        return (
            box_dice(MSMSegMethod(network, MODEL, "", torch.device("cpu")), self.study, self.truth, JITTER, self.draws)
            or {}
        )


def config(options: argparse.Namespace, kind: str, real: Path) -> TrainingConfig:
    """A short run from the bundled weights; nothing is averaged, the last weights are tested."""
    small = {"width": 8, "blocks": 3, "edge_kernel": 5, "discriminator_width": 12, "learning_rate": 1e-3}
    return TrainingConfig.from_mapping(
        {
            "model": {"name": MODEL, "weights": str(BUNDLED / f"{MODEL}.safetensors")},
            "data": {"workers": 0, "options": {"least_voxels": 48, "least_voxels_unboxed": 48, "most_voxels": 56}},
            "optimisation": {
                "steps": options.steps,
                "learning_rate": options.learning_rate,
                "warmup_steps": min(5, options.steps),
                "ema_decay": 0.0,
                "recall": 0.75,
            },
            "adaptation": {
                "kind": kind,
                "real": str(real),
                "patch": 32,
                # the bundled weights are past the beginning of a run already
                "start": 0.0,
                "options": {**small, "steps": options.translator_steps} if kind == "cyclegan" else {},
            },
            "run": {
                "accelerator": "cpu",
                "threads": 1,
                "seed": options.seed,
                "log_every": 1,
                "checkpoint_minutes": 1e6,
            },
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--held-out", default="BraTS2021_01660")
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--translator-steps", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not (options.data / options.held_out).is_dir():
        raise SystemExit(f"The real case is missing: {options.data / options.held_out}.")
    torch.set_num_threads(1)
    folder = options.data / options.held_out
    labels = read_label_map(folder / f"{folder.name}-seg.nii.gz", schema=SCHEMA)
    held_out = HeldOut(Study.read(folder), labels, options.repeats)
    others = sorted(p.resolve() for p in options.data.iterdir() if p.is_dir() and p.name != options.held_out)
    lines = [
        f"{options.steps} steps from the bundled weights, rate {options.learning_rate:g}, seed {options.seed}; "
        f"items of 48 to 56 voxels; {len(others)} unlabelled real cases, Dice on the held-out {options.held_out}: "
        f"{BOX_PROTOCOL.format(draws=options.repeats)}.",
        "",
        f"| training | {' | '.join(REGIONS)} | term: first half, second half of the steps | minutes |",
        "|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        unlabelled = work / "unlabelled"
        unlabelled.mkdir()
        for folder in others:
            (unlabelled / folder.name).symlink_to(folder)
        first = build(config(options, "coral", unlabelled))
        start = {name: value.clone() for name, value in first.model.state_dict().items()}
        add(lines, "bundled weights", held_out.scores(cast(MSMSeg, first.model)), 0.0)
        synthetic, real = Kept(first.items), Kept(real_items(first, config(options, "coral", unlabelled)))
        for index in range(options.steps):
            synthetic.item(index)
            real.item(index)
        for kind in KINDS:
            settings = config(options, kind, unlabelled)
            recipe = replace(build(settings), items=synthetic)
            began = time.perf_counter()
            if kind != "none":
                recipe = adapt_to(real, recipe, settings, work / kind)
            network = trained(recipe, settings, work / kind)
            name = "synthetic only" if kind == "none" else kind
            minutes = (time.perf_counter() - began) / 60
            add(lines, name, held_out.scores(network), minutes, terms(work / kind / "log.csv"))
        settings = config(options, "none", unlabelled)
        labels = read_label_map(others[0] / f"{others[0].name}-seg.nii.gz", schema=SCHEMA)
        case = LabelledCase.of_study(Study.read(others[0]), labels)
        recipe = build(settings)
        drawn = cast(CaseItems, real.source).config
        began = time.perf_counter()
        network = trained(replace(recipe, items=CaseItems([case], drawn, options.seed)), settings, work / "labelled")
        minutes = (time.perf_counter() - began) / 60
        add(lines, f"fine-tuned on the labels of {others[0].name}", held_out.scores(network), minutes)
        network.load_state_dict(average_weights(start, network.state_dict()))
        add(lines, "the same, averaged with the bundled weights", held_out.scores(network), minutes)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def trained(recipe: Recipe, settings: TrainingConfig, folder: Path) -> MSMSeg:
    fit(settings, recipe.model, recipe.items, recipe.loss, folder)
    return cast(MSMSeg, recipe.model)


def terms(log: Path) -> str:
    """Means of the bridge's term over the two halves of a run."""
    with log.open(encoding="utf-8") as file:
        values = [float(row["adaptation"]) for row in csv.DictReader(file) if "adaptation" in row]
    half = len(values) // 2
    return f"{np.mean(values[:half]):.3g}, {np.mean(values[half:]):.3g}" if half else ""


def add(lines: list[str], name: str, scores: dict[str, float], minutes: float, told: str = "") -> None:
    cells = [f"{scores[r]:.3f}" if r in scores else "-" for r in REGIONS]
    lines.append(f"| {name} | {' | '.join(cells)} | {told} | {minutes:.1f} |")
    print(lines[-1], flush=True)


if __name__ == "__main__":
    main()
