"""The one image series of a folder: every file is an image of it, named as not used, or refused."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.study.channels import canonical_channel
from oncoprompt.study.dicom.files import INDEX, below, has_signature, head_of, is_dicom_file, scans_among, visible
from oncoprompt.study.dicom.headers import Header, damaged, read_header

_MOST_NAMED = 8
_LOG = logging.getLogger(__name__)


def series_in(folder: Path) -> list[Header]:
    """Headers of the only image series in a folder, or where it holds none, in the folders within it.

    Files that are not used are named in a warning. Raises InputError for several series (listed), for none, for files
    that are DICOM and cannot be read, and for scans of another format beside the series.
    """
    files = visible(folder)
    images, unused = _sorted_out(folder, files)
    deeper = list(below(folder))
    if images:
        unused += [f"{name}/ (a folder)" for name in _folders_with_dicom(folder, deeper)]
    else:
        images, others = _sorted_out(folder, deeper)
        unused = sorted({*unused, *others})
    if not images:
        raise InputError(f"Folder '{folder.name}' holds DICOM files, but none of them is an image that can be read.")
    if scans := scans_among(files):
        raise InputError(
            f"Folder '{folder.name}' holds a DICOM series ({len(images)} files, such as {images[0].file.name}) and "
            f"scans of other formats: {named([scan.name for scan in scans])}. Give one or the other: move the DICOM "
            "files or these scans to a folder of their own."
        )
    series = _one(folder, images)
    if unused:
        _LOG.warning("Not used in folder '%s': %s.", folder.resolve().name, named(sorted(unused)))
    return series


def named(names: Sequence[str]) -> str:
    """A list of file names for a message, cut where it is long."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _folders_with_dicom(folder: Path, files: Sequence[Path]) -> list[str]:
    return sorted({file.relative_to(folder).parts[0] for file in files if is_dicom_file(file)})


def _sorted_out(folder: Path, files: Sequence[Path]) -> tuple[list[Header], list[str]]:
    """Headers of the images, and what the other files are; raises InputError for those that cannot be read."""
    images, unused, broken, foreign = [], [], [], []
    for file in files:
        if not is_dicom_file(file):
            foreign.append(file)
            continue
        try:
            header = header_of(file)
        except InputError as error:
            broken.append((file, error))
            continue
        if header.is_image:
            images.append(header)
        elif file.name.upper() != INDEX:
            unused.append(f"{_within(folder, file)} ({header.kind})")
    endings = {header.file.suffix.lower() for header in images}
    broken += [(file, damaged(file)) for file in foreign if _looks_damaged(file, endings)]
    if len(broken) > 1:
        listed = named([_within(folder, file) for file, _ in broken])
        raise InputError(
            f"{len(broken)} of {len(files)} files in '{folder.name}' cannot be read: {listed}. They are damaged, cut "
            "off or no DICOM files. Copy them again, or remove them."
        ) from broken[0][1]
    if broken:
        raise broken[0][1]
    return images, unused + [f"{_within(folder, file)} (no DICOM)" for file in foreign]


def header_of(file: Path) -> Header:
    """The header of a file that is DICOM by ending or content; raises InputError where it cannot be read."""
    if not has_signature(head_of(file)):
        raise damaged(file)
    return read_header(file)


def _looks_damaged(file: Path, endings: set[str]) -> bool:
    """Whether a file that does not begin as DICOM is named as the slices are and is empty or holds no text."""
    head = head_of(file)
    return file.suffix.lower() in endings and (not head or b"\0" in head)


def _one(folder: Path, images: Sequence[Header]) -> list[Header]:
    series: dict[str, list[Header]] = {}
    for header in images:
        series.setdefault(header.text("SeriesInstanceUID"), []).append(header)
    if len(series) == 1:
        return next(iter(series.values()))
    listed = "; ".join(
        f"series {headers[0].text('SeriesNumber') or '?'} ({headers[0].modality or 'no modality'}, {len(headers)} "
        f"file{'s' if len(headers) > 1 else ''}, such as {_within(folder, headers[0].file)})"
        for headers in series.values()
    )
    raise InputError(
        f"Folder '{folder.name}' holds {len(series)} series: {listed}. {_advice(folder, list(series.values()))}"
    )


def _advice(folder: Path, series: Sequence[Sequence[Header]]) -> str:
    homes = list(dict.fromkeys(headers[0].file.parent for headers in series))
    if len(homes) < len(series):
        return "Put each in its own folder."
    # A folder that is called as a channel makes the better example.
    home = next((home for home in homes if canonical_channel(home.name)), homes[0])
    example = f"{canonical_channel(home.name) or 'NAME'}={folder.resolve().name}/{_within(folder, home)}"
    return f"Give one of these folders, or one for each channel, such as --channel {example}."


def _within(folder: Path, file: Path) -> str:
    return file.relative_to(folder).as_posix()
