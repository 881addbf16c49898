"""Where results of `segment` go, decided and checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    def planned(
        cls,
        out: Path,
        study_name: str,
        overlay: Path | None,
        endings: Sequence[str] = _ENDINGS,
        beside: Iterable[Path] = (),
    ) -> Outputs:
        """A file if `out` has one of the endings, else `<out>/<study>-seg` with the first of them; the folder is made.

        Where the folder holds one of the scans in ``beside``, the name is `<study>-oncoprompt-seg`, which is taken for
        neither scan nor truth by a later run. Raises `InputError` where a folder is not there and should be, or an
        ending is not known.
        """
        if overlay is not None and overlay.suffix.lower() != ".png":
            raise InputError(f"--overlay '{overlay.name}' must end in .png.")
        label_map = out
        if not out.name.lower().endswith(tuple(endings)):
            if out.suffix and not out.is_dir():
                known = " or ".join(sorted(endings))
                hint = " Pictures are segmented with --model medsam-compact." if out.suffix.lower() == ".png" else ""
                raise InputError(f"Output '{out}' is no folder and does not end in {known}.{hint}")
            out.mkdir(parents=True, exist_ok=True)
            from oncoprompt.study.channels import OWN_RESULT

            homes = {path.parent.resolve() for path in beside}
            own = OWN_RESULT if out.resolve() in homes else ""
            label_map = out / f"{study_name}{own}-seg{endings[0]}"
        for path in (label_map, overlay):
            if path is not None and not path.resolve().parent.is_dir():
                raise InputError(f"Folder '{path.parent}' does not exist; make it first.")
            if path is not None and path.is_dir():
                raise InputError(f"Output '{path}' is a folder; give a file.")
        return cls(label_map, overlay)

    def check(self, inputs: Iterable[Path], maps: Sequence[str] = ()) -> None:
        """Raise `InputError` as `check_outputs` does for what will be written, maps of these names among it."""
        from oncoprompt.study.output import check_outputs

        files = [self.label_map, *(self.probability(name) for name in maps)]
        check_outputs(files if self.overlay is None else [*files, self.overlay], inputs)

    def probability(self, region: str) -> Path:
        """File of a region's probabilities, beside the label map; raises `InputError` where that is a picture."""
        if not self.label_map.name.lower().endswith(_ENDINGS):
            raise InputError(f"--probabilities needs a label map in .nii or .nii.gz; found '{self.label_map.name}'.")
        ending = next(ending for ending in _ENDINGS if self.label_map.name.lower().endswith(ending))
        stem = self.label_map.name[: -len(ending)].removesuffix("-seg")
        return self.label_map.with_name(f"{stem}-prob-{region}{ending}")
