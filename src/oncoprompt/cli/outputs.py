"""Where results of `segment` go, decided and checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oncoprompt.errors import InputError

_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Outputs:
    """The label map's file, and the stem and ending that probability maps share with it."""

    label_map: Path
    overlay: Path | None

    @classmethod
    def planned(cls, out: Path, study_name: str, overlay: Path | None) -> Outputs:
        """A file if `out` ends in .nii or .nii.gz, else `<out>/<study>-seg.nii.gz`; the folder is made.

        Raises `InputError` where a folder is not there and should be, or an ending is not known.
        """
        if overlay is not None and overlay.suffix.lower() != ".png":
            raise InputError(f"--overlay '{overlay.name}' must end in .png.")
        label_map = out
        if not out.name.lower().endswith(_ENDINGS):
            if out.suffix and not out.is_dir():
                raise InputError(f"Output '{out}' is no folder and does not end in .nii or .nii.gz.")
            out.mkdir(parents=True, exist_ok=True)
            label_map = out / f"{study_name}-seg.nii.gz"
        for path in (label_map, overlay):
            if path is not None and not path.resolve().parent.is_dir():
                raise InputError(f"Folder '{path.parent}' does not exist; make it first.")
            if path is not None and path.is_dir():
                raise InputError(f"Output '{path}' is a folder; give a file.")
        return cls(label_map, overlay)

    def probability(self, region: str) -> Path:
        """File of a region's probabilities, beside the label map."""
        ending = next(ending for ending in _ENDINGS if self.label_map.name.lower().endswith(ending))
        stem = self.label_map.name[: -len(ending)].removesuffix("-seg")
        return self.label_map.with_name(f"{stem}-prob-{region}{ending}")
