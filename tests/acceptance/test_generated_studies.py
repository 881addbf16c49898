"""Two hundred made-up studies: the right result, or one sentence; never a traceback, an omission or a wrong volume.

What is right follows from how a study was made, not from the program: which files are channels, and how many
millilitres the bright blob in them has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.affines import from_matvec
from nibabel.orientations import axcodes2ornt, inv_ornt_aff
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from acceptance.threshold import BRIGHT, DARK, shell

STUDIES = 200
NAMES = {
    "t1n": ("t1n", "T1", "t1w", "T1_pre", "T1-native"),
    "t1c": ("t1c", "T1ce", "t1gd", "CT1", "T1post", "T1_Gd", "t1_contrast"),
    "t2w": ("t2w", "T2", "t2"),
    "t2f": ("t2f", "FLAIR", "flair", "T2_FLAIR", "T2-flair"),
}
FORMATS = (".nii.gz", ".nii", ".mgz", ".nrrd", ".mha")
HEADERS = ("both", "sform", "qform", "micrometres", "big endian", "nifti2", "trailing axes", "empty sform")
FAULTS = ("none", "none", "none", "truncated", "second file", "shifted", "other shape", "not a scan", "no channel")
EXTRAS = ("-seg.nii.gz", "-adc.nii.gz", "-something.nrrd", "-swi.mha")


@dataclass(frozen=True)
class Made:
    """A study as it was made: its grid, its channels with their files, and what is wrong with it."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    spacing: tuple[float, float, float]
    channels: dict[str, str]
    headers: dict[str, str]
    types: dict[str, str]
    extras: tuple[str, ...]
    fault: str

    @property
    def blob(self) -> NDArray[np.bool_]:
        """An ellipsoid off the middle."""
        axes = np.ogrid[tuple(slice(n) for n in self.shape)]
        return sum(((x - 0.45 * n) / (0.25 * n)) ** 2 for x, n in zip(axes, self.shape, strict=True)) < 1.0

    @property
    def millilitres(self) -> float:
        return float(self.blob.sum() * np.prod(self.spacing) / 1000.0)


@st.composite
def made_studies(draw: st.DrawFn) -> Made:
    shape = tuple(draw(st.integers(10, 16)) for _ in range(3))
    spacing = tuple(draw(st.sampled_from((0.5, 0.9375, 1.0, 1.3, 3.0, 5.5))) for _ in range(3))
    codes = draw(st.permutations(("RL", "AP", "SI")))
    letters = tuple(pair[draw(st.integers(0, 1))] for pair in codes)
    turn = Rotation.from_euler("xyz", [draw(st.sampled_from((0, 0, 7, -12))) for _ in range(3)], degrees=True)
    stored = inv_ornt_aff(axcodes2ornt(letters), shape)[:3, :3]
    matrix = turn.as_matrix() @ stored.round() @ np.diag(spacing)
    affine = from_matvec(matrix, [draw(st.integers(-90, 90)) for _ in range(3)])
    names = draw(st.lists(st.sampled_from(tuple(NAMES)), min_size=1, max_size=4, unique=True))
    prefix = draw(st.sampled_from(("case", "P 01", "größe", "BraTS2021_00001", "a.b")))
    join = draw(st.sampled_from(("_", "-")))
    channels = {}
    for name in names:
        spelt = draw(st.sampled_from(NAMES[name]))
        channels[name] = f"{prefix}{join}{spelt}{draw(st.sampled_from(FORMATS))}"
    return Made(
        shape=shape,
        affine=affine,
        spacing=spacing,
        channels=channels,
        headers={name: draw(st.sampled_from(HEADERS)) for name in names},
        types={
            name: draw(st.sampled_from(("uint8", "int16", "float32", "uint16", "int32", "float64"))) for name in names
        },
        extras=tuple(draw(st.lists(st.sampled_from(EXTRAS), max_size=2, unique=True))),
        fault=draw(st.sampled_from(FAULTS)),
    )


def write(path: Path, values: NDArray[np.generic], affine: NDArray[np.float64], header: str) -> None:
    """One scan in the format its name says."""
    if path.name.endswith((".nrrd", ".mha")):
        image = SimpleITK.GetImageFromArray(values.transpose(2, 1, 0))
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        SimpleITK.WriteImage(image, str(path))
    elif path.name.endswith(".mgz"):
        kept = values if values.dtype.name in ("uint8", "int16", "int32", "float32") else values.astype(np.float32)
        nib.save(nib.MGHImage(kept, affine), path)
    else:
        nib.save(nifti(values, affine, header), path)


def nifti(values: NDArray[np.generic], affine: NDArray[np.float64], header: str) -> Any:
    """A NIfTI whose header says where it lies in one of several right ways."""
    if header == "trailing axes":
        values = values[..., None, None]
    unit = 1000.0 if header == "micrometres" else 1.0
    placed = from_matvec(affine[:3, :3] * unit, affine[:3, 3] * unit)
    kind: Any = nib.Nifti2Image if header == "nifti2" else nib.Nifti1Image
    image = kind(values, placed)
    if header == "big endian":
        image = kind(values, placed, header=image.header.as_byteswapped(">"))
    image.header.set_xyzt_units("micron" if header == "micrometres" else "mm")
    image.set_sform(placed, code=0 if header == "qform" else 1)
    image.set_qform(placed, code=0 if header == "sform" else 1)
    if header == "empty sform":
        for row in ("srow_x", "srow_y", "srow_z"):
            image.header[row] = 0.0
    return image


def write_study(made: Made, folder: Path) -> list[str]:
    """Write everything; return the names of the files that are no channels."""
    folder.mkdir()
    unused = []
    for number, (name, file) in enumerate(made.channels.items()):
        values = np.where(made.blob, BRIGHT, DARK).astype(made.types[name])
        affine = made.affine
        if number == 0 and made.fault == "shifted" and len(made.channels) > 1:
            affine = from_matvec(affine[:3, :3], affine[:3, 3] + 3.0 * affine[:3, 0])
        if number == 0 and made.fault == "other shape" and len(made.channels) > 1:
            values = values[:-2]
        if made.fault == "no channel":
            file = f"scan-{number}.nii.gz"
        write(folder / file, values, affine, made.headers[name])
        if number == 0 and made.fault == "truncated":
            content = (folder / file).read_bytes()
            (folder / file).write_bytes(content[: len(content) * 2 // 3])
        if number == 0 and made.fault == "second file":
            spelt = next(other for other in NAMES[name] if f"{other}." not in file and other.lower() != name)
            write(folder / f"again_{spelt}.nii.gz", values, affine, "both")
        if number == 0 and made.fault == "not a scan":
            (folder / file).write_bytes(b"this is text, whatever its name says\n" * 40)
    for extra in made.extras:
        write(folder / f"other{extra}", made.blob.astype(np.uint8), made.affine, "both")
        unused.append(f"other{extra}")
    return unused


def is_wrong(made: Made) -> bool:
    """Whether there is no right answer but a sentence."""
    if made.fault in ("shifted", "other shape"):
        return len(made.channels) > 1
    return made.fault != "none"


@settings(max_examples=STUDIES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=made_studies())
def test_a_made_up_study_gives_the_right_result_or_one_sentence(
    made: Made, threshold: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    where = tmp_path_factory.mktemp("study")
    unused = write_study(made, where / "in")
    bounds = [(int(line.min()), int(line.max()) + 1) for line in np.nonzero(made.blob)]
    box = "--box=" + " ".join(str(edge) for pair in bounds for edge in pair)
    (where / "out").mkdir()
    done = shell("segment", "-i", where / "in", "-o", where / "out", box, "--json")
    if is_wrong(made):
        assert done.exit_code == 2, done.stderr
        assert "Traceback" not in done.stderr
        assert "Unexpected" not in done.stderr
        assert done.stderr.strip()
        assert not list((where / "out").iterdir())
        return
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary["channels"]) == set(made.channels)
    assert summary["regions"]["WT"]["volume_ml"] == pytest.approx(made.millilitres, rel=2e-3, abs=1e-3)
    assert {entry["file"] for entry in summary["unused_files"]} >= set(unused)
    found = nib.load(summary["outputs"]["label_map"])
    assert found.shape == made.shape
    assert np.array_equal(np.asarray(found.dataobj) > 0, made.blob)
    assert np.allclose(found.affine, made.affine, atol=1e-3)
