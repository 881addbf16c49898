"""Label schemas: what the numbers in a label map mean, edition by edition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oncoprompt.errors import InputError

REGIONS = ("WT", "TC", "ET")
"""Whole tumour, tumour core, enhancing tumour; each holds the next."""

_COMPONENTS_OF = {"WT": ("NETC", "SNFH", "ET", "CC", "GTV", "TUMOUR"), "TC": ("NETC", "ET", "CC", "GTV"), "ET": ("ET",)}
_NAMES = {
    "NETC": "non-enhancing tumour core",
    "SNFH": "oedema (FLAIR hyperintensity)",
    "ET": "enhancing tumour",
    "CC": "cystic component",
    "RC": "resection cavity",
    "GTV": "gross tumour volume",
    "TUMOUR": "tumour",
    "ORGAN": "organ that holds the tumour",
    "CYST": "cyst of the organ",
}


@dataclass(frozen=True)
class LabelSchema:
    """A named numbering of tumour components: NETC (also NCR), SNFH (also ED), ET, and in some editions CC, RC or GTV.

    WT = NETC + SNFH + ET + CC, TC = NETC + ET + CC; the resection cavity RC is outside WT. A gross tumour volume GTV is
    TC and WT in one: what of it enhances and what swells around it is not told, so ET is empty. TUMOUR is WT, and
    nothing is told of its parts. ORGAN and CYST lie outside WT.
    """

    name: str
    values: tuple[tuple[str, int], ...]

    def value(self, component: str) -> int | None:
        """Number of a component, or None where the schema has no such component."""
        return dict(self.values).get(component)

    def meaning(self, value: int) -> str | None:
        """Component that a number stands for, or None."""
        return next((component for component, number in self.values if number == value), None)

    def describe(self) -> str:
        """The numbering in words, for messages."""
        return f"{self.name} ({', '.join(f'{number} = {component}' for component, number in self.values)})"

    def check(self, label_map: NDArray[np.generic]) -> NDArray[np.uint8]:
        """The label map as uint8; raises InputError for values outside the schema, naming them."""
        found = _present(label_map)
        allowed = {0, *(number for _, number in self.values)}
        unknown = [value for value in found if value not in allowed]
        if unknown:
            fitting = [s.describe() for s in _SCHEMAS if {v for v in found if v} <= {n for _, n in s.values}]
            hint = f"They fit {'; '.join(fitting)}." if fitting else "They fit no schema known here."
            raise InputError(
                f"The label map holds values {_listed(found)}, but schema {self.describe()} has no "
                f"{_listed(unknown)}. {hint}"
            )
        return label_map.astype(np.uint8)

    def region_masks(self, label_map: NDArray[np.generic]) -> dict[str, NDArray[np.bool_]]:
        """Boolean masks of WT, TC and ET, each of the label map's shape."""
        checked = self.check(label_map)
        table = np.zeros((len(REGIONS), 256), dtype=bool)
        for row, region in enumerate(REGIONS):
            table[row, [number for component, number in self.values if component in _COMPONENTS_OF[region]]] = True
        return {region: table[row][checked] for row, region in enumerate(REGIONS)}

    def from_regions(self, masks: Mapping[str, NDArray[np.generic]]) -> NDArray[np.uint8]:
        """Label map of nested masks: ET, TC outside ET as NETC, WT outside TC as SNFH; WT alone where there is TUMOUR.

        Raises InputError where a region is missing, shapes differ, ET leaves TC or TC leaves WT, or the schema has no
        number for one of the three.
        """
        missing = [region for region in REGIONS if region not in masks]
        if missing:
            raise InputError(f"Region {', '.join(missing)} is missing; give masks for WT, TC and ET.")
        whole, core, enhancing = (np.asarray(masks[region]).astype(bool) for region in REGIONS)
        if not whole.shape == core.shape == enhancing.shape:
            raise InputError(f"Region masks differ in shape: {whole.shape}, {core.shape}, {enhancing.shape}.")
        for inner, outer, names in ((core, whole, ("TC", "WT")), (enhancing, core, ("ET", "TC"))):
            outside = int(np.count_nonzero(inner & ~outer))
            if outside:
                raise InputError(
                    f"{names[0]} has {outside} voxels outside {names[1]}; regions must be nested, ET in TC in WT."
                )
        label_map = np.zeros(whole.shape, dtype=np.uint8)
        if (tumour := self.value("TUMOUR")) is not None:
            label_map[whole] = tumour
            return label_map
        for mask, component in ((whole, "SNFH"), (core, "NETC"), (enhancing, "ET")):
            value = self.value(component)
            if value is None:
                raise InputError(f"Schema {self.describe()} has no {component} and cannot hold regions WT, TC and ET.")
            label_map[mask] = value
        return label_map


_SCHEMAS = (
    LabelSchema("brats2021", (("NETC", 1), ("SNFH", 2), ("ET", 4))),
    LabelSchema("brats2023", (("NETC", 1), ("SNFH", 2), ("ET", 3))),
    LabelSchema("brats2024-gli", (("NETC", 1), ("SNFH", 2), ("ET", 3), ("RC", 4))),
    LabelSchema("brats2024-ped", (("ET", 1), ("NETC", 2), ("CC", 3), ("SNFH", 4))),
    # nnU-Net's converter of BraTS; the brain tumours of the Medical Decathlon are numbered alike.
    LabelSchema("nnunet", (("SNFH", 1), ("NETC", 2), ("ET", 3))),
    LabelSchema("men-rt", (("GTV", 1),)),
    LabelSchema("tumour", (("TUMOUR", 1),)),
    # LiTS, and liver and pancreas of the Medical Decathlon; KiTS numbers alike and adds cysts.
    LabelSchema("organ-tumour", (("ORGAN", 1), ("TUMOUR", 2))),
    LabelSchema("kits21", (("ORGAN", 1), ("TUMOUR", 2), ("CYST", 3))),
)


def names() -> tuple[str, ...]:
    """Names of all schemas."""
    return tuple(schema.name for schema in _SCHEMAS)


def get(name: str) -> LabelSchema:
    """The schema of that name; raises InputError with the names there are."""
    for schema in _SCHEMAS:
        if schema.name == name.strip().lower():
            return schema
    raise InputError(f"There is no label schema '{name}'. Known: {', '.join(names())}.")


def convert(
    label_map: NDArray[np.generic],
    source: LabelSchema | str,
    target: LabelSchema | str,
    *,
    drop: Iterable[str] = (),
    merge: Mapping[str, str] | None = None,
) -> NDArray[np.uint8]:
    """The same components in another numbering.

    A component that occurs and that the target lacks raises InputError, unless it is in `drop` (becomes background) or
    in `merge` (component -> component of the target), for example `merge={"CC": "NETC"}`.
    """
    source, target = (get(schema) if isinstance(schema, str) else schema for schema in (source, target))
    checked = source.check(label_map)
    dropped, merged = set(drop), dict(merge or {})
    unknown = (dropped | set(merged) | set(merged.values())) - set(_NAMES)
    if unknown:
        raise InputError(f"Unknown components {', '.join(sorted(unknown))}. Known: {', '.join(_NAMES)}.")
    table = np.zeros(256, dtype=np.uint8)
    for component, number in source.values:
        if component in dropped:
            continue
        value = target.value(merged.get(component, component))
        if value is not None:
            table[number] = value
        elif count := int(np.count_nonzero(checked == number)):
            lost = f"{component} ({_NAMES[component]}; {count} voxels of the label map)"
            raise InputError(
                f"Schema {target.describe()} cannot express {lost}. Pass drop=('{component}',) to make it background "
                f"or merge={{'{component}': ...}} to join it to another.",
                in_shell=f"Schema {target.describe()} cannot express {lost}. Use a schema that has it.",
            )
    return np.asarray(table[checked], dtype=np.uint8)


class UnnamedSchemaError(InputError):
    """A label map whose numbers nobody has given a meaning."""


def refuse_to_guess(label_map: NDArray[np.generic]) -> UnnamedSchemaError:
    """The error for a label map that comes without a schema, saying what its values mean in each."""
    found = _present(label_map)
    asked = 4 if 4 in found else max(found, default=0)
    meanings = [
        f"{_NAMES[component]} in {schema.name}"
        for schema in _SCHEMAS
        if (component := schema.meaning(asked)) is not None
    ]
    meant = f"{asked} means {', '.join(meanings)}" if meanings else f"{asked} has no meaning in any"
    return UnnamedSchemaError(
        f"The label map holds values {_listed(found)} and names no label schema: {meant}. "
        f"Say which it is (--schema NAME in the shell, schema in Python), one of {', '.join(names())}."
    )


def _present(label_map: NDArray[Any]) -> list[int]:
    """Distinct values; raises InputError where they are not whole numbers."""
    if label_map.dtype == np.bool_ or label_map.dtype == np.uint8:
        return [int(v) for v in np.flatnonzero(np.bincount(label_map.reshape(-1).astype(np.uint8), minlength=1))]
    if label_map.dtype.kind not in "iuf":
        raise InputError(f"A label map holds whole numbers; found type {label_map.dtype}.")
    distinct = np.unique(label_map)
    if label_map.dtype.kind == "f" and not (np.isfinite(distinct).all() and np.array_equal(distinct, distinct.round())):
        raise InputError(
            f"A label map holds whole numbers; found {len(distinct)} distinct values such as {_fractions(distinct)}. "
            "This is an image or was interpolated; give the label map itself."
        )
    return [int(value) for value in distinct]


def _fractions(distinct: NDArray[Any]) -> str:
    odd = distinct[~np.isfinite(distinct) | (distinct != np.round(distinct))]
    return ", ".join(str(value) for value in odd[:3])


def _listed(values: list[int]) -> str:
    shown = ", ".join(str(value) for value in values[:12])
    return shown if len(values) <= 12 else f"{shown}, ... ({len(values)} values)"
