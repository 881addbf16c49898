"""What a model's probabilities, volumes and warnings are worth; fits its calibration and stores it with the weights.

    python benchmarks/calibration.py [--model M] [--studies 40] [--store] [--markdown FILE] [--figure FILE]

Everything is fitted on synthetic studies of seeds kept for this; the real scans are only for judging. One 3-D box, each
side moved by up to 10 % of its length, around the whole tumour; around the largest lesion of metastases.
"""

import argparse
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cc3d
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from oncoprompt import Box, Session, Study
from oncoprompt.inference.box_check import certainty
from oncoprompt.inference.calibration import Calibration, fit_temperature
from oncoprompt.inference.familiarity import Familiarity, intensity_statistics
from oncoprompt.inference.reliability import reliability
from oncoprompt.inference.volume_interval import VolumeError
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import list_models, load_model
from oncoprompt.prompts import jitter_box
from oncoprompt.study import REGIONS, read_label_map, schemas
from oncoprompt.study.foreground import foreground_mask
from oncoprompt.study.whole_file import write_whole
from oncoprompt.synthesis.case import SCHEMA
from oncoprompt.synthesis.generate import synthesize

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
FIRST_SEED = 3_000_000
VOXELS = 30_000
UNCERTAIN_SHARE = 0.05
"""The share of boxes on tumours that may be doubted for want of certainty."""
BEFORE, AFTER = "network", "calibrated"


@dataclass(frozen=True, eq=False)
class Labelled:
    """A study with the masks of its regions."""

    study: Study
    regions: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Look:
    """What a model said in one box: sampled probabilities and truth [3, N], volumes (ml), and its doubts of the box."""

    case: str
    probabilities: NDArray[np.float32]
    truth: NDArray[np.bool_]
    true_ml: dict[str, float]
    predicted_ml: dict[str, float]
    doubted: bool
    certainty: float


@dataclass(frozen=True, eq=False)
class Measured:
    """Looks at boxes on the tumour and at boxes away from it."""

    on: list[Look]
    off: list[Look]


def synthetic_cases(count: int) -> Iterator[Labelled]:
    """Studies of seeds kept for calibration; the masks are empty for healthy people."""
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        made = synthesize(seed)
        regions = schemas.get(SCHEMA).region_masks(made.label_map)
        if made.family == "metastases":
            parts = cc3d.connected_components(regions["WT"], connectivity=26)
            largest = parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1
            regions = {region: mask & largest for region, mask in regions.items()}
        yield Labelled(made.study, regions)


def real_cases(folder: Path) -> Iterator[Labelled]:
    """Real gliomas with expert masks; none where the folder is absent."""
    for case in sorted(folder.glob("BraTS2021_*")):
        labels = read_label_map(case / f"{case.name}-seg.nii.gz", schema="brats2021")
        yield Labelled(Study.read(case), labels.region_masks())


def look(case: Labelled, model: Method, box: NDArray[np.int64], rng: np.random.Generator) -> Look:
    grid = case.study.grid
    answer = Session(case.study, model).segment(Box.from_voxels(box, grid))
    values = answer.probabilities.values.reshape(3, -1)
    ranges = zip(answer.probabilities.offset, answer.probabilities.values.shape[1:], strict=True)
    window = tuple(slice(start, start + size) for start, size in ranges)
    chosen = rng.choice(values.shape[1], min(VOXELS, values.shape[1]), replace=False)
    truth = np.stack([case.regions[region][window].ravel()[chosen] for region in REGIONS])
    true_ml = {region: float(case.regions[region].sum()) * grid.voxel_volume_ml for region in REGIONS}
    predicted_ml = {region: answer.volume_ml(region) for region in REGIONS}
    sure = certainty(answer.probabilities)
    return Look(case.study.name, values[:, chosen], truth, true_ml, predicted_ml, bool(answer.warnings), sure)


def away_from(case: Labelled, tight: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64] | None:
    """A box of the same size, mostly head, with hardly any of the tumour; None where 300 draws find none."""
    head = foreground_mask(next(iter(case.study.channels.values())))
    tumour, sides = case.regions["WT"], tight[:, 1] - tight[:, 0]
    for _ in range(300):
        low = rng.integers(0, np.array(head.shape) - sides + 1)
        window = tuple(slice(a, a + n) for a, n in zip(low, sides, strict=True))
        if tumour[window].sum() < 0.02 * tumour.sum() and head[window].mean() > 0.6:
            return np.stack([low, low + sides], axis=1)
    return None


def measure(cases: Iterator[Labelled], model: Method, draws: int, seen: Callable[[Labelled], None]) -> Measured:
    on, off = [], []
    for case in cases:
        seen(case)
        if not case.regions["WT"].any():
            continue
        rng = np.random.default_rng(zlib.crc32(case.study.name.encode()))
        grid = case.study.grid
        tight = Box.around(case.regions["WT"], grid).to_voxels(grid)
        on += [look(case, model, jitter_box(tight, 0.1, rng, grid.shape), rng) for _ in range(draws)]
        away = away_from(case, tight, rng)
        off += [] if away is None else [look(case, model, away, rng)]
    return Measured(on, off)


def fit(looks: Sequence[Look], statistics: Sequence[dict[str, float]], weights_sha256: str) -> Calibration:
    return Calibration(
        weights_sha256,
        {r: fit_temperature([(x.probabilities[n], x.truth[n]) for x in looks]) for n, r in enumerate(REGIONS)},
        {r: VolumeError.fit([x.true_ml[r] for x in looks], [x.predicted_ml[r] for x in looks]) for r in REGIONS},
        float(np.quantile([x.certainty for x in looks], UNCERTAIN_SHARE)),
        Familiarity.fit(statistics),
    )


def pooled(looks: Sequence[Look], calibration: Calibration | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities and truth [3, N] of all looks together."""
    values = [x.probabilities if calibration is None else calibration.probabilities(x.probabilities) for x in looks]
    return np.concatenate(values, axis=1), np.concatenate([x.truth for x in looks], axis=1)


def probability_table(sources: dict[str, Sequence[Look]], calibration: Calibration) -> list[str]:
    lines = [
        "| probabilities | region | temperature | calibration error before | after | log loss before | after |",
        "|---|---|---|---|---|---|---|",
    ]
    for source, looks in sources.items():
        (before, truth), (after, _) = pooled(looks, None), pooled(looks, calibration)
        for n, region in enumerate(REGIONS):
            errors = [reliability(values[n], truth[n]).error for values in (before, after)]
            losses = [loss(values[n], truth[n]) for values in (before, after)]
            numbers = " | ".join(f"{value:.4f}" for value in (*errors, *losses))
            lines.append(f"| {source} | {region} | {calibration.temperatures[region]:.2f} | {numbers} |")
    return lines


def loss(values: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    return float(-np.log(np.clip(np.where(truth, values, 1.0 - values), 1e-6, 1.0)).mean())


def covered(looks: Sequence[Look], region: str, error: VolumeError) -> list[bool]:
    ranges = [error.interval_ml(x.predicted_ml[region]) for x in looks]
    return [low <= x.true_ml[region] <= high for x, (low, high) in zip(looks, ranges, strict=True)]


def volume_table(synthetic: Sequence[Look], real: Sequence[Look], calibration: Calibration) -> list[str]:
    lines = [
        "| region | interval as shares of the predicted volume | covered, synthetic left out | covered, real |",
        "|---|---|---|---|",
    ]
    for region in REGIONS:
        left_out = []
        for n, one in enumerate(synthetic):
            others = [x for m, x in enumerate(synthetic) if m != n]
            error = VolumeError.fit([x.true_ml[region] for x in others], [x.predicted_ml[region] for x in others])
            left_out += covered([one], region, error)
        error = calibration.volumes[region]
        span = f"{np.exp(error.low):.2f} to {np.exp(error.high):.2f}"
        told = [f"{sum(found)} of {len(found)}" for found in (left_out, covered(real, region, error))]
        lines.append(f"| {region} | {span} | {told[0]} | {told[1]} |")
    return lines


def spoilt(study: Study) -> Iterator[tuple[str, Study]]:
    """A study as it came, and with mistakes that people make."""
    rng = np.random.default_rng(0)
    images = dict(study.channels)

    def with_(changed: dict[str, NDArray[np.float32]]) -> Study:
        return Study(changed, study.grid, study.name)

    def noisy(image: NDArray[np.float32]) -> NDArray[np.float32]:
        noise = rng.normal(0.0, image[image != 0].std(), image.shape)
        return np.where(image != 0, image + noise, 0).astype(np.float32)

    def inverted(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(image != 0, image.max() - image, 0).astype(np.float32)

    yield "as it came", study
    for one, other in (("t1c", "t2f"), ("t1n", "t1c"), ("t2w", "t2f"), ("t1n", "t2w")):
        yield f"{one} and {other} exchanged", with_({**images, one: images[other], other: images[one]})
    yield "t2f inverted", with_({**images, "t2f": inverted(images["t2f"])})
    yield "all inverted", with_({name: inverted(image) for name, image in images.items()})
    yield "t1c with noise of its own deviation", with_({**images, "t1c": noisy(images["t1c"])})
    yield "all with noise of their deviation", with_({name: noisy(image) for name, image in images.items()})
    yield "t2w given as t1n, alone", with_({"t1n": images["t2w"]})
    yield "t2f given as t1c, alone", with_({"t1c": images["t2f"]})
    yield "one image given four times", with_(dict.fromkeys(images, images["t1n"]))


def left_out_row(statistics: Sequence[dict[str, float]]) -> str:
    """How many synthetic studies are warned of by what was fitted to the others."""
    others = [[x for m, x in enumerate(statistics) if m != n] for n in range(len(statistics))]
    warned = [bool(Familiarity.fit(rest).warnings(one)) for rest, one in zip(others, statistics, strict=True)]
    return f"| synthetic, left out | {sum(warned)} of {len(warned)} | |"


def familiarity_table(
    data: Path, cases: Sequence[Study], statistics: Sequence[dict[str, float]], familiarity: Familiarity
) -> list[str]:
    lines = ["| scan | warned of | distances |", "|---|---|---|", left_out_row(statistics)]
    found: dict[str, list[dict[str, float]]] = {}
    for study in cases:
        for name, changed in spoilt(study):
            found.setdefault(f"real glioma, {name}", []).append(intensity_statistics(changed))
    others = {"multiple sclerosis": data / "negative_control" / "ms_patient07"}
    for channel in ("t1c", "t2f"):
        others[f"CT of the abdomen given as {channel}"] = data / "ct" / "TotalSegmentator" / "example_ct.nii.gz"
    for name, path in others.items():
        channel = name.rpartition(" ")[2]
        if path.exists():
            found[name] = [intensity_statistics(Study.read(path if path.is_dir() else {channel: path}))]
    for name, rows in found.items():
        warned = sum(bool(familiarity.warnings(row)) for row in rows)
        distances = ", ".join(f"{familiarity.distance(row):.2f}" for row in rows)
        lines.append(f"| {name} | {warned} of {len(rows)} | {distances} |")
    return lines


def box_table(sources: dict[str, Measured], least_certainty: float) -> list[str]:
    lines = ["| boxes | on the tumour, warned of | away from it, warned of |", "|---|---|---|"]
    for source, measured in sources.items():
        told = [
            f"{sum(x.doubted or x.certainty < least_certainty for x in looks)} of {len(looks)}"
            for looks in (measured.on, measured.off)
        ]
        lines.append(f"| {source} | {told[0]} | {told[1]} |")
    return lines


def draw(path: Path, sources: dict[str, Sequence[Look]], calibration: Calibration, title: str) -> None:
    """Reliability diagrams, a panel a source and region."""
    figure = Figure(figsize=(10.5, 3.6 * len(sources)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left", weight="bold")
    panels = figure.subplots(len(sources), len(REGIONS), sharex=True, sharey=True, squeeze=False)
    for row, (source, looks) in zip(panels, sources.items(), strict=True):
        for n, (axes, region) in enumerate(zip(row, REGIONS, strict=True)):
            axes.plot([0, 1], [0, 1], color="#9aa4ae", lw=1, ls="--")
            for told, colour, used in ((BEFORE, "#e08e00", None), (AFTER, "#0072b2", calibration)):
                values, truth = pooled(looks, used)
                curve = reliability(values[n], truth[n])
                label = f"{told}, error {curve.error:.4f}"
                axes.plot(curve.told, curve.true, "o-", color=colour, ms=4, lw=1.5, label=label)
            axes.set_title(f"{region}, {source}", fontsize=10)
            axes.legend(fontsize=8, frameon=False)
            axes.grid(color="#e4e8ec", lw=0.8)
            axes.set_aspect("equal")
    for axes in panels[-1]:
        axes.set_xlabel("probability told", fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel("share that is so", fontsize=9)
    figure.savefig(path, dpi=130)


def store(name: str, calibration: Calibration) -> Path:
    """Put the calibration into the manifest beside the weights."""
    weights = Path(name) if name.endswith(".safetensors") else next(c.weights for c in list_models() if c.name == name)
    if weights is None:
        raise SystemExit(f"Model '{name}' has no weights here.")
    path = weights.with_suffix(".json")
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    text = json.dumps({**manifest, "calibration": calibration.to_manifest()}, indent=2)
    # a row of numbers is a line
    text = re.sub(r"\[\s+([-\d.,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
    write_whole(path, f"{text}\n".encode())
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="msm-seg-compact")
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--store", action="store_true", help="write the calibration into the manifest of the weights")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model)
    # measured as it is without what an earlier run stored
    model.calibration = {}
    statistics: list[dict[str, float]] = []
    scans: list[Study] = []
    synthetic = measure(
        synthetic_cases(options.studies), model, 1, lambda case: statistics.append(intensity_statistics(case.study))
    )
    real = measure(real_cases(options.data / "brats2021"), model, 3, lambda case: scans.append(case.study))
    calibration = fit(synthetic.on, statistics, model.weights_sha256)
    looks: dict[str, Sequence[Look]] = {"synthetic": synthetic.on}
    if real.on:
        looks["real gliomas"] = real.on
    text = "\n".join(
        [
            f"Model {options.model} ({model.weights_sha256[:12]}). Fitted to {len(synthetic.on)} synthetic studies of "
            f"seeds from {FIRST_SEED}; {len(scans)} real gliomas, 3 boxes each, for judging. One 3-D box, each "
            "side moved by uniform +-10 % of its length.",
            "",
            *probability_table(looks, calibration),
            "",
            f"Volume intervals that are to hold {calibration.volumes['WT'].share:.0%}:",
            "",
            *volume_table(synthetic.on, real.on, calibration),
            "",
            f"Unfamiliar scans; distances up to {calibration.familiarity.limits['study']:.2f} are usual, channels and "
            "exchanges are judged besides:",
            "",
            *familiarity_table(options.data, scans, statistics, calibration.familiarity),
            "",
            *box_table({"synthetic": synthetic, "real gliomas": real}, calibration.least_certainty),
        ]
    )
    print(text)
    if options.markdown:
        options.markdown.write_text(f"{text}\n", encoding="utf-8")
    if options.figure:
        draw(options.figure, looks, calibration, f"Reliability of {options.model}")
    if options.store:
        print(f"\nStored in {store(options.model, calibration)}.")


if __name__ == "__main__":
    main()
