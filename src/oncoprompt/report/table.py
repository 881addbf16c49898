"""A table of Dice and volumes a region, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from oncoprompt.evaluation import RegionScores


def region_table(scores: Mapping[str, RegionScores]) -> str:
    """Markdown table, a row a region: Dice, millilitres segmented and true, 95th percentile of surface distances."""
    lines = [
        "| region | Dice | segmented (ml) | truth (ml) | surface distance, 95 % (mm) |",
        "|---|---|---|---|---|",
    ]
    for region, score in scores.items():
        lines.append(
            f"| {region} | {score.dice:.3f} | {score.volume_ml:.2f} | {score.truth_volume_ml:.2f} "
            f"| {score.hausdorff95_mm:.1f} |"
        )
    return "\n".join(lines) + "\n"
