"""Files of a study's folder that look like scans and are not read, each with its reason."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oncoprompt.study.channels import is_mask, is_own_result, split_extension, why_no_channel
from oncoprompt.study.dicom.files import is_dicom_file

_LABELS, _OWN, _PICTURE = "a label map by its name", "a result of OncoPrompt", "a picture"
_BELOW, _DICOM_BELOW = "in a folder within the study", "DICOM in a folder within the study"
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif")
_NOT_READ = re.compile(
    r"\.(?:mnc2?|par|rec|gipl|vtk|vti|brik|head)(?:\.gz)?$|"
    r"\.(?:nii|mg[hz]|nrrd|nhdr|mh[ad]|img|hdr)(?:\.\w+)*\.(?:gz|bz2|xz|zst|zip|lz4|lzma|7z|part|partial|download|crdownload)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r".+_\d{4}")
_MOST_TOLD = 12
_MOST_FILES = 10_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnusedFile:
    """A file that looks like a scan and is not used, by its name within the folder, and the reason."""

    file: str
    reason: str


def is_usual(reason: str) -> bool:
    """Whether nobody wonders that such a file is not read: a label map, a picture or a result of ours."""
    return reason in (_LABELS, _OWN, _PICTURE)


def unread_stem(name: str) -> str | None:
    """Stem of a file in a format of scans that is not read, such as MINC or .nii.xz; None for other files."""
    match = _NOT_READ.search(name)
    return name[: match.start()] if match is not None and match.start() and split_extension(name) is None else None


def why_unused(path: Path) -> str | None:
    """Why a file that is no channel is not used; None for one that nobody takes for a scan."""
    parts = split_extension(path.name)
    if parts is not None:
        return _of_stem(parts[0])
    if unread_stem(path.name) is not None:
        return "in a format that is not read; convert it to .nii.gz"
    lower = path.name.lower()
    if lower.endswith(_PICTURES):
        return _PICTURE
    if lower.endswith(".npz"):
        return "a case of the MedSAM challenges"
    return "DICOM beside scans of another format" if is_dicom_file(path) else None


def _of_stem(stem: str) -> str:
    if is_own_result(stem):
        return _OWN
    if is_mask(stem):
        return _LABELS
    if _NUMBERED.fullmatch(stem):
        return "numbered as by nnU-Net, and no dataset.json here says what its number is"
    return why_no_channel(stem)


def unused_below(folder: Path) -> list[UnusedFile]:
    """Scans in a folder within a study, one by one, or a whole folder of DICOM as one."""
    unused: list[UnusedFile] = []
    seen = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(place).relative_to(folder.parent).as_posix()
        slices = 0
        for path in (Path(place, name) for name in sorted(names) if not name.startswith(".")):
            reason = why_unused(path)
            slices += reason is not None and reason.startswith("DICOM")
            if reason is not None and not reason.startswith("DICOM"):
                usual = is_usual(reason)
                unused.append(UnusedFile(f"{inside}/{path.name}", reason if usual else _BELOW))
        if slices:
            unused.append(UnusedFile(f"{inside}/", f"{_DICOM_BELOW} ({slices} files)"))
        seen += len(names)
        if seen > _MOST_FILES:
            unused.append(UnusedFile(f"{folder.name}/", f"{_BELOW}, of more than {_MOST_FILES} files"))
            break
    return unused


def told(unused: Sequence[UnusedFile], also_usual: bool = False) -> str:
    """Files and reasons for a message; label maps, pictures and results of ours are usual and left out."""
    shown = [file for file in unused if also_usual or not is_usual(file.reason)]
    below = Counter(file.file.split("/")[0] for file in shown if file.reason == _BELOW)
    entries = [f"{file.file} ({file.reason})" for file in shown if file.reason != _BELOW]
    for folder, count in below.items():
        first = next(file.file for file in shown if file.file.startswith(f"{folder}/") and file.reason == _BELOW)
        entries.append(f"{first} ({_BELOW})" if count == 1 else f"{folder}/ ({count} scans {_BELOW}, such as {first})")
    more = f"; and {len(entries) - _MOST_TOLD} more" if len(entries) > _MOST_TOLD else ""
    return "; ".join(entries[:_MOST_TOLD]) + more


def warn_of(folder: Path, unused: Sequence[UnusedFile]) -> None:
    """One line about what a person may have meant to be read."""
    if text := told(unused):
        _LOG.warning("Not used in folder '%s': %s.", folder.resolve().name, text)
