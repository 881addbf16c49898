"""Pictures of the cases with the lowest scores, over their scans where these are at hand."""

from __future__ import annotations

import logging
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.evaluation.cohort_scores import CohortScores
from oncoprompt.evaluation.pair_reading import read_pair
from oncoprompt.evaluation.pairing import Pairing
from oncoprompt.report.case_picture import draw_case
from oncoprompt.study import Study
from oncoprompt.study.channels import channel_of_stem, split_extension
from oncoprompt.study.nifti import scan_files

_log = logging.getLogger(__name__)


def draw_worst_cases(
    scores: CohortScores, pairing: Pairing, count: int, schema: str | None = None, images: Path | None = None
) -> dict[str, bytes]:
    """PNG of each of the `count` worst cases, the worst first; `pairing` and `schema` are what was scored.

    `images` holds the scans, in a sub-folder a case or side by side. A case without scans on the grid of its truth is
    drawn over its labels, with a warning; one without any label in truth and prediction is left out.
    """
    pairs = {pair.case: pair for pair in pairing.pairs}
    pictures: dict[str, bytes] = {}
    for case in scores.worst(count):
        read = read_pair(pairs[case.case], scores.profile, schema)
        true, predicted = read.masks(scores.profile)
        picture = None
        if images is not None:
            try:
                picture = draw_case(true, predicted, read.truth.grid, _study(images, case.case))
            except (InputError, OSError) as error:
                _log.warning("%s is drawn without its scans: %s", case.case, error)
        picture = picture or draw_case(true, predicted, read.truth.grid)
        if picture is not None:
            pictures[case.case] = picture
    return pictures


def _study(folder: Path, case: str) -> Study:
    """The scans of a case; raises InputError where there are none."""
    if (folder / case).is_dir():
        return Study.read(folder / case, name=case)
    files: dict[str, Path] = {}
    for path in scan_files(folder.iterdir()):
        parts = split_extension(path.name)
        found = channel_of_stem(parts[0]) if parts is not None else None
        if found is None or found[1] != case:
            continue
        if found[0] in files:
            two = f"{files[found[0]].name} and {path.name}"
            raise InputError(f"Two files for channel '{found[0]}' of '{case}': {two}. Keep one.")
        files[found[0]] = path
    if not files:
        raise InputError(f"'{folder.name}' holds neither a folder '{case}' nor scans such as {case}-t1c.nii.gz.")
    return Study.read(files, name=case)
