"""`oncoprompt synthesize`: synthetic studies with their truth, named as BraTS names its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.options import Quiet, Verbose

if TYPE_CHECKING:
    from oncoprompt.synthesis import SyntheticStudy

EXAMPLE = "Example: oncoprompt synthesize -n 4 -o synthetic/ --seed 7"
SCHEMA = "brats2023"


def synthesize(
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder in which each study gets a folder.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study; the next one has the next seed.")] = 0,
    family: Annotated[str | None, typer.Option(help="Kind of tumour, such as meningioma; drawn if not given.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Make synthetic studies with a tumour: four channels, the label map (brats2023) and how they were made."""
    talk = Talk(quiet, verbose)
    with talk.errors_told():
        from oncoprompt.synthesis import synthesize as make

        for current in range(seed, seed + number):
            with talk.step(f"Making study {current - seed + 1} of {number}"):
                folder = write_case(out, case_name(current), make(current, family))
            if not quiet:
                say(str(folder))


def case_name(seed: int) -> str:
    """Name of the study of a seed."""
    return f"OncoPrompt-SYN-{seed:05d}-000"


def write_case(out: Path, name: str, synthetic: SyntheticStudy) -> Path:
    """Write `<out>/<name>/<name>-<channel>.nii.gz`, `-seg.nii.gz` and `-record.json`; returns the folder."""
    from oncoprompt.report.summary import plain
    from oncoprompt.study import write_nifti
    from oncoprompt.study.writer import write_whole

    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for channel, volume in synthetic.study.channels.items():
        write_nifti(folder / f"{name}-{channel}.nii.gz", volume, like=synthetic.study)
    write_nifti(folder / f"{name}-seg.nii.gz", synthetic.label_map, like=synthetic.study, schema=SCHEMA)
    record = {"family": synthetic.family, **synthetic.record}
    write_whole(folder / f"{name}-record.json", f"{json.dumps(plain(record), indent=2)}\n".encode())
    return folder
