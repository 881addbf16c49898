"""Networks trained alike: MSM-Seg, MSM-Seg without some of its parts, and MONAI's networks with and without a box.

    python benchmarks/competitors.py --work runs/competitors --minutes 60 [--seeds 0 1] [--arms compact dynunet ...]
        [--items 300 | --pool FOLDER] [--data FOLDER --schema brats2021] [--synthetic 10] [--markdown FILE]

Every arm is trained from scratch on one thread, on the same synthetic items in the same order, for the same minutes of
processor time of the process (not of the clock on the wall, so that a busy machine treats all alike); a network with
quicker steps takes more of them. A seed changes the first weights alone. What is done is kept in --work: an arm whose
weights are there is not trained again, and a run that was interrupted goes on where it was.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oncoprompt.experiments.ablation import ARMS as ABLATIONS
from oncoprompt.experiments.cases import cases_of
from oncoprompt.experiments.engine import Setting, dice_of, run
from oncoprompt.experiments.protocol import moved_box, unprompted
from oncoprompt.methods.registry import load_model
from oncoprompt.study import REGIONS
from oncoprompt.training.checkpoint import Progress, load_state
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.fit import STATE_FILE, fit
from oncoprompt.training.item_pool import write_pool
from oncoprompt.training.items import ItemConfig, SyntheticItems
from oncoprompt.training.recipe import build
from oncoprompt.training.schedule import completed_fraction
from real_gliomas import DATA

POOL_SEED, HELD_OUT_SEED = 0, 1_000_000
COMPACT = "msm-seg-compact"
UNPROMPTED = {"box": False, "clicks": False}


@dataclass(frozen=True)
class Arm:
    """A network, the options it is built with, the peak of its learning rate and what it is, for people."""

    model: str
    what: str
    options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 7e-4


# after 60 steps on crops of 32 voxels a side better than 7e-4, which served MSM-Seg better than 2e-3
DYNUNET_RATE = 3e-3
ARMS = {
    "compact": Arm(COMPACT, "MSM-Seg, compact"),
    **{
        name.lower().replace(" ", "-"): Arm(COMPACT, f"MSM-Seg, compact, {name}", options)
        for name, options in ABLATIONS.items()
        if options
    },
    "dynunet": Arm("dynunet", "DynUNet, box and clicks as channels", learning_rate=DYNUNET_RATE),
    "dynunet-no-box": Arm("dynunet", "DynUNet, images alone", UNPROMPTED, DYNUNET_RATE),
    "segresnet": Arm("segresnet", "SegResNet, box and clicks as channels"),
    "segresnet-no-box": Arm("segresnet", "SegResNet, images alone", UNPROMPTED),
}


def trained(arm: Arm, seed: int, minutes: float, pool: Path, folder: Path) -> tuple[Path, Progress]:
    """Weights of an arm after its time, the moving average of those of its steps, and how far it came."""
    config = TrainingConfig.from_mapping(
        {
            "model": {"name": arm.model, "options": arm.options},
            "data": {"workers": 0, "pool": str(pool)},
            "optimisation": {
                "steps": 1_000_000,
                "max_minutes": minutes,
                "learning_rate": arm.learning_rate,
                "warmup_steps": 20,
                "ema_decay": 0.99,
                "recall": 0.6,
            },
            "run": {"seed": seed, "accelerator": "cpu", "threads": 1, "checkpoint_minutes": 2.0, "export_minutes": 1e6},
        }
    )
    weights, state = folder / f"{arm.model}.safetensors", folder / STATE_FILE
    progress = Progress(**load_state(state)["progress"]) if state.is_file() else Progress()
    if not weights.is_file() or completed_fraction(config.optimisation, progress.step, progress.elapsed_s) < 1.0:
        recipe = build(config)
        resume = state if state.is_file() else None
        progress = fit(config, recipe.model, recipe.items, recipe.loss, folder, resume, clock=time.process_time)
        if completed_fraction(config.optimisation, progress.step, progress.elapsed_s) < 1.0:
            raise SystemExit(f"Stopped after {progress.step} steps; the same command goes on.")
    return weights, progress


def scored(weights: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Dice of each case and region by source and prompt, and a sentence for each case that could not be scored."""
    model = load_model(str(weights))
    protocols = {"box": moved_box(0.1, asked["draws"]), "none": unprompted()}
    settings = [Setting(name, model, protocol) for name, protocol in protocols.items()]
    cases = cases_of(Path(asked["data"]), asked["schema"], asked["synthetic"], HELD_OUT_SEED)
    outcome = run(cases, lambda _: settings)
    dice = {
        source: {
            name: {region: outcome.per_case(source, name, dice_of(region)) for region in REGIONS} for name in protocols
        }
        for source in outcome.sources
    }
    return {"asked": asked, "sha256": model.weights_sha256, "dice": dice, "problems": outcome.problems}


def result_of(name: str, seed: int, options: argparse.Namespace, pool: Path) -> dict[str, Any]:
    """An arm's training and scores, from the folder where they are there already."""
    arm = ARMS[name]
    folder = options.work / f"{name}-seed-{seed}-minutes-{options.minutes:g}"
    weights, progress = trained(arm, seed, options.minutes, pool, folder)
    asked = {
        "data": str(options.data),
        "schema": options.schema,
        "synthetic": options.synthetic,
        "draws": options.draws,
    }
    kept = folder / "scores.json"
    scores = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if scores.get("asked") != asked:
        scores = scored(weights, asked)
        kept.write_text(json.dumps(scores, indent=2), encoding="utf-8")
    manifest = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    training = {
        "steps": progress.step,
        "processor_minutes": round(progress.elapsed_s / 60, 2),
        "parameters": manifest["values"],
        "learning_rate": manifest["recipe"]["optimisation"]["learning_rate"],
    }
    return {"arm": name, "what": arm.what, "seed": seed, **training, **scores}


def table(results: list[dict[str, Any]], options: argparse.Namespace, items: int) -> str:
    """One table for each source of cases: means over cases and seeds."""
    box, none = moved_box(0.1, options.draws).sentence, unprompted().sentence
    lines = [
        f"Each network was trained from scratch for {options.minutes:g} minutes of one processor thread on the same "
        f"{items} synthetic items (AdamW, its own learning rate at the peak); steps and scores are means over "
        f"{len(options.seeds)} seed(s) of the first weights. Dice, mean over cases. Box: {box}. None: {none}. In the "
        "box protocol every network looks at the region of interest around the box, those of images alone too: the box "
        "tells them where to look, and no more. Such short runs compare how soon networks learn; differences of a few "
        "points mean nothing.",
    ]
    for source in dict.fromkeys(source for result in results for source in result["dice"]):
        counts = {len(result["dice"][source]["none"]["WT"]) for result in results if source in result["dice"]}
        lines += [
            "",
            f"### {source[0].upper()}{source[1:]} ({', '.join(str(count) for count in sorted(counts))})",
            "",
            "| network | parameters | rate | steps | box: WT | TC | ET | none: WT | TC | ET |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for name in dict.fromkeys(result["arm"] for result in results):
            rows = [result for result in results if result["arm"] == name and source in result["dice"]]
            cells = [
                _cell([list(row["dice"][source][prompt][region].values()) for row in rows])
                for prompt in ("box", "none")
                for region in REGIONS
            ]
            steps = f"{np.mean([row['steps'] for row in rows]):.0f}"
            size = f"{rows[0]['parameters'] / 1e6:.2f} M"
            lines.append(
                f"| {rows[0]['what']} | {size} | {rows[0]['learning_rate']:g} | {steps} | {' | '.join(cells)} |"
            )
    lines += ["", *(problem for result in results for problem in result["problems"])]
    return "\n".join(lines).rstrip() + "\n"


def _cell(seeds: list[list[float]]) -> str:
    """Mean over cases, then over seeds, with the lowest and highest seed where there are several."""
    means = [float(np.mean(cases)) for cases in seeds if cases]
    if not means:
        return "-"
    spread = f" ({min(means):.3f} to {max(means):.3f})" if len(means) > 1 else ""
    return f"{np.mean(means):.3f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps what is done")
    parser.add_argument("--minutes", type=float, required=True, help="processor minutes of training for each arm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM", help=", ".join(ARMS)
    )
    parser.add_argument("--items", type=int, default=300, help="synthetic items of the pool, drawn once")
    parser.add_argument("--anatomies", help="folder of label maps of heads for half of the items")
    parser.add_argument("--pool", type=Path, help="folder of items drawn before, in place of --items and --anatomies")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real labelled cases")
    parser.add_argument("--schema", default="brats2021", help="label schema of the real cases")
    parser.add_argument("--synthetic", type=int, default=10, help="held-out synthetic studies to score")
    parser.add_argument("--draws", type=int, default=3, help="draws of the box for each case")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real cases are missing: {options.data}.")
    torch.set_num_threads(1)
    pool = options.pool or options.work / "items"
    if options.pool is None:
        write_pool(SyntheticItems(ItemConfig(anatomies=options.anatomies), POOL_SEED), pool, options.items)
    items = len(list(pool.glob("item-*")))
    results = []
    for name in options.arms:
        for seed in options.seeds:
            results.append(result_of(name, seed, options, pool))
            print(json.dumps({key: results[-1][key] for key in ("arm", "seed", "steps", "dice")}), flush=True)
    (options.work / "competitors.json").write_text(
        json.dumps({"items": items, "results": results}, indent=2), encoding="utf-8"
    )
    text = table(results, options, items)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
