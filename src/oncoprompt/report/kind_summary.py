"""The numbers of kinds of tumour as plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from oncoprompt.report.summary import Answered, origin, plain
from oncoprompt.study import Study


class SegmentedKinds(Answered, Protocol):
    """What is told of kinds; `inference.KindSegmentation` is one."""

    @property
    def words(self) -> Sequence[str]: ...
    def volume_ml(self, words: str) -> float: ...
    def count(self, words: str) -> int: ...


def summarise_kinds(
    study: Study, segmentation: SegmentedKinds, prompts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Number, words, volume (ml) and count a kind, warnings, model, prompts, timings (s) and grid, as JSON types."""
    summary = {
        "study": study.name,
        "unused_files": [{"file": file.file, "reason": file.reason} for file in study.unused_files],
        "channels": list(study.channels),
        "kinds": [
            {
                "number": number,
                "words": words,
                "volume_ml": round(segmentation.volume_ml(words), 4),
                "count": segmentation.count(words),
            }
            for number, words in enumerate(segmentation.words, start=1)
        ],
        "probabilities": "uncalibrated",
        "warnings": list(segmentation.warnings),
        **origin(segmentation, prompts),
    }
    return {name: plain(value) for name, value in summary.items()}
