"""How near the synthetic gliomas are to real ones: form of 51 expert label maps, intensities of 5 real cases.

    python benchmarks/realism.py [--subjects 60] [--imaged 16] [--others 4] [--markdown FILE] [--pictures FILE]

Both sides are measured by the same functions at 1 mm (realism_features). Synthetic high- and low-grade gliomas come in
the mixture of subject.FAMILY_SHARES; the other families have rows of their own and no real counterpart here. Nothing
of a real scan is written but the figures and curves derived from it.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from oncoprompt.study import Study, convert, read_label_map
from oncoprompt.synthesis import FAMILIES, Subject
from oncoprompt.synthesis.anatomy import MAP_SPACING_MM
from oncoprompt.synthesis.case import SCHEMA, LabelledCase
from oncoprompt.synthesis.fields import box_points
from oncoprompt.synthesis.lattice import Lattice
from oncoprompt.synthesis.lesion import labels_of
from oncoprompt.synthesis.subject import FAMILY_SHARES
from realism_features import (
    CHANNELS,
    PROFILE_MM,
    Array,
    Figures,
    bounds,
    edge_figures,
    form_figures,
    intensity_figures,
)

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
GLIOMAS = FAMILIES[:2]


@dataclass
class Group:
    """Figures and curves of the cases of one kind."""

    name: str
    figures: list[Figures] = field(default_factory=list)
    curves: list[dict[str, Array]] = field(default_factory=list)

    def values(self, figure: str) -> NDArray[np.float64]:
        """The figure in every case that has it."""
        found = [case[figure] for case in self.figures if figure in case]
        return np.array([v for v in found if np.isfinite(v)])

    def of_images(self, images: Array, labels: NDArray[np.uint8], brain: NDArray[np.bool_]) -> Figures:
        """Figures that need images; keeps the curves."""
        cut = tuple(slice(max(0, low - 2), high + 2) for low, high in bounds(brain))
        images, labels, brain = images[(slice(None), *cut)], labels[cut], brain[cut]
        found, curves = intensity_figures(images, labels, brain)
        self.curves.append(curves)
        return found | edge_figures(labels, brain)


def real_gliomas(shared: Path) -> Group:
    """The cases with images, then the label maps without."""
    group = Group("real")
    for folder in sorted(p for p in (shared / "brats2021").iterdir() if p.is_dir()):
        truth = read_label_map(folder / f"{folder.name}-seg.nii.gz", schema="brats2021")
        case = LabelledCase.of_study(Study.read(folder), truth)
        labels, brain = case.labels.numpy(), case.brain.numpy()
        group.figures.append(form_figures(cropped(labels)) | group.of_images(case.images.numpy(), labels, brain))
    for path in sorted((shared / "expert_masks").glob("*.nii.gz")):
        truth = read_label_map(path, schema="brats2021")
        labels = convert(truth.labels, truth.schema, SCHEMA).transpose(2, 1, 0)
        group.figures.append(form_figures(cropped(labels)))
    return group


def synthetic(name: str, families: list[str], imaged: int, first_seed: int) -> Group:
    """One person a family of the list; the first few are imaged, too."""
    group = Group(name)
    for n, family in enumerate(families):
        subject = Subject.random(first_seed + n, family)
        labels, brain = labels_and_brain(subject)
        figures = form_figures(cropped(labels))
        if n < imaged:
            picture = subject.picture(box_points(1.0, torch.device("cpu")), (1.0, 1.0, 1.0))
            figures |= group.of_images(picture.images.numpy(), picture.labels.numpy(), picture.mask.numpy())
        else:
            figures |= edge_figures(labels, brain)
        group.figures.append(figures)
    return group


def labels_and_brain(subject: Subject) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Labels inside the brain and the brain, ``[K, J, I]`` at 1 mm, without imaging."""
    lattice = Lattice.of_points(box_points(1.0, torch.device("cpu")))
    depth = subject.anatomy.place(box_points(MAP_SPACING_MM, torch.device("cpu")), head=False).depth_mm
    brain = lattice.spread(depth[None])[0] > 0
    labels = labels_of(lattice.spread(subject.lesion.levels)) * brain
    return labels.numpy(), brain.numpy()


def cropped(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels with 4 voxels about them."""
    mask = labels > 0
    if not mask.any():
        return labels[:9, :9, :9]
    box = tuple(slice(low, high) for low, high in bounds(mask))
    return np.ascontiguousarray(np.pad(labels[box], 4))


@dataclass(frozen=True)
class Comparison:
    """A figure on both sides: sizes, quantiles, Kolmogorov-Smirnov statistic and where the real median lies."""

    figure: str
    real: NDArray[np.float64]
    made: NDArray[np.float64]

    @property
    def ks(self) -> tuple[float, float]:
        """Statistic and p-value."""
        result = ks_2samp(self.real, self.made)
        return float(result.statistic), float(result.pvalue)

    @property
    def percentile(self) -> float:
        """Share of synthetic values below the real median, ties half, in percent."""
        middle = np.median(self.real)
        return 100 * float(((self.made < middle).mean() + (self.made <= middle).mean()) / 2)

    def row(self) -> str:
        statistic, p = self.ks
        return (
            f"| {self.figure} | {len(self.real)} | {spread(self.real)} | {len(self.made)} | {spread(self.made)} "
            f"| {statistic:.2f} | {p:.2g} | {self.percentile:.0f} |"
        )


COMPARISON_HEAD = [
    "| figure | real n | median (5 to 95 %) | synthetic n | median (5 to 95 %) | KS | p | real median at synthetic % |",
    "|---|---|---|---|---|---|---|---|",
]


def spread(values: NDArray[np.float64]) -> str:
    if len(values) == 0:
        return "-"
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def comparisons(real: Group, made: Group) -> list[Comparison]:
    """Every figure that at least 4 cases of both sides have."""
    names = list(dict.fromkeys(name for case in real.figures for name in case))
    pairs = [Comparison(name, real.values(name), made.values(name)) for name in names]
    return [pair for pair in pairs if min(len(pair.real), len(pair.made)) >= 4]


def nearest(real: Group, made: Group, figures: list[str], draws: int = 200) -> tuple[float, float, float, int]:
    """Mean distance of a real case to the nearest synthetic and the nearest other real one; share of nearest alike.

    Features are standardised by median and spread of both sides together (volumes as logarithms) and the sides are
    brought to equal size by drawing synthetic cases, since the nearest of many is nearer. The share is of cases whose
    nearest other case, of either side, is of their own: 0.5 where the two cannot be told apart, 1 where they can.
    """
    a, b = matrix(real, figures), matrix(made, figures)
    a, b = a[np.isfinite(a).all(1)], b[np.isfinite(b).all(1)]
    both = np.concatenate([a, b])
    scale = np.subtract(*np.quantile(both, (0.75, 0.25), axis=0)) / 1.35
    a, b = (np.clip((x - np.median(both, axis=0)) / np.maximum(scale, 1e-3), -5, 5) for x in (a, b))
    n = min(len(a), len(b))
    rng = np.random.default_rng(0)
    across, within, alike = [], [], []
    for _ in range(draws):
        first, second = a[rng.permutation(len(a))[:n]], b[rng.permutation(len(b))[:n]]
        pool = np.concatenate([first, second])
        distance = np.sqrt(((pool[:, None] - pool[None]) ** 2).mean(-1))
        np.fill_diagonal(distance, np.inf)
        within.append(distance[:n, :n].min(1).mean())
        # as many to choose from as within the real side
        across.append(distance[:n, n : 2 * n - 1].min(1).mean())
        own = np.arange(2 * n) < n
        alike.append((own[distance.argmin(1)] == own).mean())
    return float(np.mean(across)), float(np.mean(within)), float(np.mean(alike)), n


def matrix(group: Group, figures: list[str]) -> NDArray[np.float64]:
    columns = [
        [np.log(case.get(f, np.nan) + 0.1) if f.endswith(" ml") else case.get(f, np.nan) for case in group.figures]
        for f in figures
    ]
    return np.array(columns).T


def tables(real: Group, made: Group, others: list[Group]) -> list[str]:
    pairs = comparisons(real, made)
    form = [p for p in pairs if not p.figure.startswith(CHANNELS) and len(p.real) > 5]
    brain = [p for p in pairs if not p.figure.startswith(CHANNELS) and len(p.real) <= 5]
    images = [p for p in pairs if p.figure.startswith(CHANNELS)]
    lines = ["## What differs most", ""]
    lines += ["Ordered by the p-value of the Kolmogorov-Smirnov test, figures with p < 0.05 only.", ""]
    for title, rows in (("Form", form), ("Images and edge of the brain", images + brain)):
        worst = sorted((p for p in rows if p.ks[1] < 0.05), key=lambda p: p.ks[1])
        lines += [f"{title}: {len(worst)} of {len(rows)} figures (by chance about {0.05 * len(rows):.0f}).", ""]
        lines += [*COMPARISON_HEAD, *(p.row() for p in worst), ""]
    lines += ["## Nearest neighbours", "", *neighbour_rows(real, made, form, images), ""]
    lines += ["## Form of the regions", "", *COMPARISON_HEAD, *(p.row() for p in form), ""]
    lines += ["## Images", "", *COMPARISON_HEAD, *(p.row() for p in brain + images), ""]
    lines += ["## Other families", "", *family_rows([made, *others]), ""]
    return lines


NEIGHBOUR_FORM = (
    "WT volume ml", "TC/WT", "ET/TC", "WT sphericity", "TC sphericity", "WT share left by opening 3 mm",
    "TC share left by opening 3 mm", "WT largest component share", "SNFH reach mm (95 %)", "SNFH share of TC surface",
)  # fmt: skip
"""Figures that every tumour with a core has."""


def neighbour_rows(real: Group, made: Group, form: list[Comparison], images: list[Comparison]) -> list[str]:
    known = {p.figure for p in form}
    everywhere = [p.figure for p in images if len(p.real) == 5 and not any(r in p.figure for r in ("ET", "NETC", "TC"))]
    rows = [
        "Distance to the nearest case, root mean square over standardised figures, sides brought to equal size.",
        "",
        "| figures | cases a side | real to synthetic | real to real | nearest is of its own kind |",
        "|---|---|---|---|---|",
    ]
    for title, chosen in (
        ("form", [f for f in NEIGHBOUR_FORM if f in known]),
        ("images: healthy brain, oedema, texture", everywhere),
    ):
        if chosen:
            across, within, alike, n = nearest(real, made, chosen)
            rows.append(f"| {title} ({len(chosen)}) | {n} | {across:.2f} | {within:.2f} | {alike:.2f} |")
    return rows


FAMILY_FIGURES = (
    "WT volume ml", "TC volume ml", "ET volume ml", "NETC volume ml", "SNFH volume ml", "WT components",
    "ET components", "WT sphericity", "TC surface within 2 mm of the brain's edge", "t1c ET z", "t2f SNFH z",
    "t2w NETC z", "t1c less t1n in ET z",
)  # fmt: skip


def family_rows(groups: list[Group]) -> list[str]:
    rows = [
        f"| figure | {' | '.join(f'{g.name} ({len(g.figures)})' for g in groups)} |",
        "|---" * (len(groups) + 1) + "|",
    ]
    return rows + [f"| {f} | {' | '.join(spread(g.values(f)) for g in groups)} |" for f in FAMILY_FIGURES]


def draw(real: Group, made: Group, path: Path) -> None:
    """Small plots: histograms of healthy brain, profiles across edges, distributions of the main figures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    curves = [f"{c} healthy histogram" for c in CHANNELS]
    curves += ["t2f across WT", "t2w across WT", "t1c across TC", "t1n across TC"]
    figures = ["WT volume ml", "TC/WT", "ET/TC", "WT sphericity", "TC sphericity", "ET half thickness mm (95 %)"]
    figures += ["SNFH reach mm (95 %)", "WT share left by opening 3 mm"]
    figures += ["t1c ET to healthy", "t2f SNFH to healthy", "t2w SNFH to healthy", "t1n NETC to healthy"]
    figures += ["t1c noise in white z", "t2f noise in white z", "t1c ET sd z", "t2f SNFH sd z"]
    figure, axes = plt.subplots(6, 4, figsize=(15, 19))
    for panel, name in zip(axes.flat, curves, strict=False):
        x = PROFILE_MM if "across" in name else (np.linspace(-3, 4, 61)[1:] + np.linspace(-3, 4, 61)[:-1]) / 2
        stack = np.array([c[name] for c in made.curves if name in c])
        panel.fill_between(x, *np.nanquantile(stack, (0.05, 0.95), axis=0), color="tab:orange", alpha=0.25)
        panel.plot(x, np.nanmedian(stack, axis=0), color="tab:orange", lw=2, label="synthetic, 5 to 95 %")
        for n, curve in enumerate(c[name] for c in real.curves if name in c):
            panel.plot(x, curve, color="tab:blue", lw=1, label="real" if n == 0 else None)
        panel.set_title(name + (" (z by mm, outside +)" if "across" in name else " (z)"), fontsize=10)
    for panel, name in zip(axes.flat[len(curves) :], figures, strict=False):
        pair = Comparison(name, real.values(name), made.values(name))
        for values, colour in ((pair.made, "tab:orange"), (pair.real, "tab:blue")):
            panel.plot(np.sort(values), (np.arange(len(values)) + 0.5) / len(values), ".-", color=colour, ms=4)
        if name.endswith(" ml"):
            panel.set_xscale("log")
        panel.set_title(f"{name} (KS {pair.ks[0]:.2f})", fontsize=10)
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=60)
    parser.add_argument("--imaged", type=int, default=16)
    parser.add_argument("--others", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=20_000)
    parser.add_argument("--shared", type=Path, default=SHARED)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    if not (options.shared / "brats2021").is_dir():
        raise SystemExit(f"The real cases are missing: {options.shared / 'brats2021'}.")
    torch.set_num_threads(1)
    shares = np.array(FAMILY_SHARES[:2]) / sum(FAMILY_SHARES[:2])
    families = np.random.default_rng(options.first_seed).choice(GLIOMAS, options.subjects, p=shares).tolist()
    real = real_gliomas(options.shared)
    made = synthetic("gliomas", families, options.imaged, options.first_seed)
    others = [
        synthetic(family, [family] * options.others, options.others // 2, options.first_seed + 1000)
        for family in (FAMILIES[2:] if options.others else ())
    ]
    text = report(real, made, others, options.first_seed)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.pictures:
        draw(real, made, options.pictures)


def report(real: Group, made: Group, others: list[Group], first_seed: int) -> str:
    """The whole report in Markdown."""
    head = [
        f"Real: {len(real.figures)} pre-operative gliomas labelled by experts, {len(real.curves)} of them with images. "
        f"Synthetic: {len(made.figures)} high- and low-grade gliomas in the mixture the generator draws, "
        f"{len(made.curves)} of them imaged, seeds from {first_seed}. All at 1 mm; z-scores over the brain.",
        "",
    ]
    return "\n".join(head + tables(real, made, others)).rstrip() + "\n"


if __name__ == "__main__":
    main()
