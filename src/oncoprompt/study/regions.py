"""Which regions of a tumour a scan tells, by which names, and in which label schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from oncoprompt.errors import InputError
from oncoprompt.study.schemas import REGIONS, LabelSchema

_ALL = MappingProxyType({region: region for region in REGIONS})
_TUMOUR = MappingProxyType({"WT": "tumour"})


def told_regions(channels: Iterable[str]) -> Mapping[str, str]:
    """Regions that mean something in these channels, each with the name it is told by.

    MRI shows WT, TC and ET; of a CT alone the whole tumour is told, as "tumour".
    """
    return _TUMOUR if set(channels) == {"ct"} else _ALL


def usual_schema(channels: Iterable[str]) -> str:
    """Name of the label schema for a study of these channels where nobody asks for another."""
    return "tumour" if told_regions(channels) is _TUMOUR else "brats2023"


def check_told(schema: LabelSchema, channels: Iterable[str]) -> None:
    """Raise InputError where a schema numbers parts of the tumour that a study of these channels does not tell."""
    if told_regions(channels) is _TUMOUR and schema.value("TUMOUR") is None:
        raise InputError(
            f"Schema {schema.describe()} numbers parts of a brain tumour, but of a CT the tumour is told as a whole. "
            "Use schema 'tumour'."
        )
