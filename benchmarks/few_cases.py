"""What mixing, injection and synthetic studies add to four real cases: a small network, trained on each in turn.

    python benchmarks/few_cases.py --work runs/few-cases [--steps 300] [--rotations 2] [--arms ...] [--markdown FILE]

In every rotation four of the real gliomas are trained on and the fifth is the test. All arms train the same narrow
network from the same first weights for the same number of steps; "synthetic, then tuned" spends half of its steps on
synthetic studies and half on the mixture of `oncoprompt finetune`, and averages the weights of both. Arms that are
done are kept in --work as JSON, so a run that was interrupted goes on where it was.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from oncoprompt.adaptation.weight_averaging import average_weights
from oncoprompt.experiments.protocol import BOX_PROTOCOL, box_dice, boxless_dice
from oncoprompt.methods.msm_seg import MSMSeg
from oncoprompt.methods.msm_seg.method import MSMSegMethod
from oncoprompt.methods.msm_seg.region import RegionPolicy
from oncoprompt.methods.registry import network_config
from oncoprompt.mixing.store import FieldStore
from oncoprompt.mixing.velocity_field import FitSettings, VelocityField
from oncoprompt.study import REGIONS, Study, read_label_map
from oncoprompt.synthesis.case import LabelledCase
from oncoprompt.synthesis.case_folder import CaseFiles, find_cases
from oncoprompt.training.case_items import CaseItems
from oncoprompt.training.checkpoint import load_state
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import ItemSource
from oncoprompt.training.few_case_items import Shares
from oncoprompt.training.fit import STATE_FILE, fit
from oncoprompt.training.injected_items import injected_case
from oncoprompt.training.ism_items import IsmItems, fitted_fields
from oncoprompt.training.items import ItemConfig, SyntheticItems
from oncoprompt.training.mixed_items import MixedItems
from oncoprompt.training.recipe import msm_seg_step
from real_gliomas import DATA

SCHEMA = "brats2021"
VOXELS = 48
ITEMS = ItemConfig(least_voxels=40, least_voxels_unboxed=VOXELS, most_voxels=VOXELS)
NETWORK = {
    "backbone": {"widths": [16, 32, 48, 64]},
    "dim": 64,
    "middle_dim": 32,
    "fine_dim": 16,
    "memory": {"dim": 32, "d_model": 64, "ffn_dim": 128},
    "prompt_encoder": {"widths": [32, 24, 12]},
    "decoder": {"mlp_dim": 128, "widths": [24, 16]},
}
ARMS = {
    "real only": Shares(1.0, 0.0, 0.0, 0.0),
    "real + ISM": Shares(2 / 3, 1 / 3, 0.0, 0.0),
    "real + injection": Shares(2 / 3, 0.0, 1 / 3, 0.0),
    "real + both": Shares(0.5, 0.25, 0.25, 0.0),
    "synthetic alone": Shares(0.0, 0.0, 0.0, 1.0),
    "synthetic, then tuned": Shares(),
}
TWO_STAGES = "synthetic, then tuned"


class Rotation:
    """Four training cases, what is made of them once for all arms, and the test case."""

    def __init__(self, files: list[CaseFiles], number: int, work: Path, composites: int, iterations: int) -> None:
        self.test = files[number]
        self.number = number
        self.cases = [file.read(SCHEMA) for file in files if file is not self.test]
        self.folder = work / f"rotation-{number}"
        self._composites, self._iterations = composites, iterations
        self._fields: dict[str, list[VelocityField]] | None = None
        self._injected: list[LabelledCase] | None = None

    def items(self, shares: Shares) -> MixedItems:
        """Items of the sources that have a share."""
        wanted = {name: share for name, share in vars(shares).items() if share > 0}
        return MixedItems({name: self._source(name) for name in wanted}, wanted, self.number)

    def _source(self, name: str) -> ItemSource:
        seed = self.number
        if name == "real":
            return CaseItems(self.cases, ITEMS, seed)
        if name == "synthetic":
            return SyntheticItems(ITEMS, seed)
        if name == "ism":
            if self._fields is None:
                settings = FitSettings(iterations=self._iterations)
                self._fields = fitted_fields(self.cases, FieldStore(self.folder / "fields"), 1e3, settings, 2)
            return IsmItems(self.cases, self._fields, ITEMS, seed)
        if self._injected is None:
            self._injected = [self._composite(index) for index in range(self._composites)]
        return CaseItems(self._injected, ITEMS, seed)

    def _composite(self, index: int) -> LabelledCase:
        path = self.folder / f"composite-{index}.pt"
        if not path.is_file():
            made = injected_case(self.cases, np.random.default_rng([self.number, index]))
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({**vars(made), "images": made.images.half()}, path)
        stored = torch.load(path, weights_only=True)
        return LabelledCase(**{**stored, "images": stored["images"].float()})


def trained(rotation: Rotation, arm: str, steps: int, folder: Path) -> MSMSeg:
    """The narrow network after an arm's training."""
    torch.manual_seed(rotation.number)
    model = MSMSeg(network_config("msm-seg-compact", NETWORK, "benchmark"))
    if arm != TWO_STAGES:
        model.load_state_dict(_run(model, rotation.items(ARMS[arm]), steps, 2e-3, rotation.number, folder))
        return model
    synthetic = rotation.items(ARMS["synthetic alone"])
    start = _run(model, synthetic, steps // 2, 2e-3, rotation.number, folder / "synthetic")
    model.load_state_dict(start)
    tuned = _run(model, rotation.items(ARMS[arm]), steps - steps // 2, 1e-3, rotation.number, folder / "tuned")
    model.load_state_dict(average_weights(start, tuned))
    return model


def _run(model: MSMSeg, items: MixedItems, steps: int, rate: float, seed: int, folder: Path) -> dict[str, torch.Tensor]:
    """The moving average of the weights after so many steps; goes on where an earlier call was interrupted."""
    config = TrainingConfig.from_mapping(
        {
            "model": {"options": NETWORK},
            "data": {"workers": 1, "prefetch": 4},
            "optimisation": {"steps": steps, "learning_rate": rate, "warmup_steps": min(20, steps), "ema_decay": 0.98},
            "run": {"seed": seed, "accelerator": "cpu", "threads": 1, "checkpoint_minutes": 2.0, "log_every": 50},
        }
    )
    state = folder / STATE_FILE
    progress = fit(config, model, items, partial(msm_seg_step, recall=0.6), folder, state if state.is_file() else None)
    if progress.step < steps:
        raise SystemExit(f"Stopped after {progress.step} steps; the same command goes on.")
    average: dict[str, torch.Tensor] = load_state(state)["average"]
    return average


def scored(rotation: Rotation, model: MSMSeg) -> dict[str, dict[str, float]]:
    """Dice of the test case with a box and without."""
    method = MSMSegMethod(model, "narrow", "0" * 64, torch.device("cpu"), RegionPolicy(most_voxels=VOXELS))
    study, truth = Study.read(rotation.test.folder), read_label_map(rotation.test.label_map, SCHEMA)
    return {"box": box_dice(method, study, truth) or {}, "no_box": boxless_dice(method, study, truth)}


def table(results: list[dict], steps: int) -> str:
    """Every score of every arm and case, and the means."""
    cell = "{:.3f}".format
    lines = [
        f"Narrow msm-seg-compact, {steps} steps an arm, four real cases to train on, the fifth is the test. Dice; "
        f"{BOX_PROTOCOL.format(draws=3)}. Few cases and one seed: differences of a few points mean nothing.",
        "",
        "| arm | test case | WT | TC | ET | no box: WT | TC | ET |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in ARMS:
        rows = [r for r in results if r["arm"] == arm]
        numbers = [
            [r[kind].get(region, float("nan")) for kind in ("box", "no_box") for region in REGIONS] for r in rows
        ]
        for row, values in zip(rows, numbers, strict=True):
            lines.append(f"| {arm} | {row['test']} | {' | '.join(cell(v) for v in values)} |")
        if len(rows) > 1:
            lines.append(f"| **{arm}** | mean of {len(rows)} | {' | '.join(map(cell, np.nanmean(numbers, axis=0)))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is done")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rotations", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--composites", type=int, default=12, help="injected cases of a rotation")
    parser.add_argument("--iterations", type=int, default=60, help="iterations of each deformation between heads")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real cases are missing: {options.data}.")
    torch.set_num_threads(1)
    files = find_cases(options.data)
    results = []
    for number in range(options.rotations):
        rotation = None
        for arm in options.arms:
            name = arm.replace(", ", "-").replace(" + ", "+").replace(" ", "-")
            kept = options.work / f"rotation-{number}" / f"{name}-{options.steps}.json"
            if not kept.is_file():
                rotation = rotation or Rotation(files, number, options.work, options.composites, options.iterations)
                began = time.monotonic()
                model = trained(rotation, arm, options.steps, kept.with_suffix(""))
                result = {"arm": arm, "test": rotation.test.name, "steps": options.steps, **scored(rotation, model)}
                kept.write_text(
                    json.dumps(result | {"minutes": round((time.monotonic() - began) / 60, 2)}, indent=2),
                    encoding="utf-8",
                )
            results.append(json.loads(kept.read_text(encoding="utf-8")))
            print(json.dumps(results[-1]), flush=True)
    text = table(results, options.steps)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
