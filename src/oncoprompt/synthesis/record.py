"""Everything that was drawn for a synthetic study, as plain data from which it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.synthesis.appearance import Appearance
from oncoprompt.synthesis.atlases import Atlases, load_atlases
from oncoprompt.synthesis.contrast import CLASSES, Contrast
from oncoprompt.synthesis.relaxometry import CHANNELS, HealthyTissue
from oncoprompt.synthesis.scanner import Scanner
from oncoprompt.synthesis.stripping import Stripping
from oncoprompt.synthesis.subject import Subject

_NEEDED = ("seed", "family", "atlas", "whole_head", "form", "tissue", "appearance", "scanners", "stripping")
_ORIGIN = "The record"


def describe(subject: Subject) -> dict[str, Any]:
    """Every random variable of a person as numbers, texts and lists, in the units of the dataclasses they belong to.

    Smooth random fields (anatomy, texture) follow from the seed.
    """
    atlas = subject.anatomy.atlas
    appearance = {
        member.name: _plain(getattr(subject.appearance, member.name))
        for member in fields(subject.appearance)
        if member.name != "lesion"
    }
    return {
        "seed": subject.seed,
        "family": subject.family,
        "atlas": {"name": atlas.name, "identity": atlas.identity},
        "whole_head": subject.stripping is None,
        "form": _plain(dict(subject.lesion.drawn)),
        "tissue": _plain(subject.lesion.tissue),
        "appearance": appearance,
        "scanners": {name: _plain(scanner) for name, scanner in zip(CHANNELS, subject.scanners, strict=True)},
        "stripping": None if subject.stripping is None else _plain(subject.stripping),
    }


def replay(record: Mapping[str, Any], atlases: Atlases | None = None, device: str | torch.device = "cpu") -> Subject:
    """The person of a record; what it says of tissue, contrast, scanners and stripping is taken from the record.

    Raises InputError for a record that lacks an entry, whose anatomy is not among ``atlases`` (the bundled one if
    None) or is another one under the same name, and whose form of the tumour is not what its seed gives.
    """
    missing = [name for name in _NEEDED if name not in record]
    if missing:
        raise InputError(f"The record has no {', '.join(missing)}. Give the -record.json that synthesize wrote.")
    seed, whole_head = record["seed"], record["whole_head"]
    if not isinstance(seed, int) or seed < 0 or not isinstance(whole_head, bool):
        raise InputError("The record is damaged: 'seed' must be a whole number and 'whole_head' true or false.")
    known = atlases or load_atlases(None, device)
    wanted = _table(record["atlas"], "atlas", "name", "identity")
    atlas = known[wanted["name"]]
    if atlas.identity != wanted["identity"]:
        raise InputError(
            f"Anatomy '{atlas.name}' is not the one of the record ({atlas.identity} instead of "
            f"{wanted['identity']}). Give the folder of label maps the record was made with."
        )
    drawn = Subject.random(seed, record["family"], device, atlas, whole_head)
    if _plain(dict(drawn.lesion.drawn)) != _plain(record["form"]):
        raise InputError(
            "The record's form of the tumour is not what its seed gives: another version made it, or an edit."
        )
    tissue = updated(drawn.lesion.tissue, _table(record["tissue"], "tissue"), _ORIGIN, "tissue")
    if (tissue.mass, tissue.collapse) != (drawn.lesion.tissue.mass, drawn.lesion.tissue.collapse):
        raise InputError(
            "The record's tissue.mass or tissue.collapse was edited; what a tumour pushes is part of its form."
        )
    scanners = _table(record["scanners"], "scanners", *CHANNELS)
    tables = {name: _table(scanners[name], f"scanners.{name}") for name in CHANNELS}
    stripping = drawn.stripping
    if stripping is not None:
        stripping = updated(Stripping(), _table(record["stripping"], "stripping"), _ORIGIN, "stripping")
    return replace(
        drawn,
        lesion=replace(drawn.lesion, tissue=tissue),
        appearance=replace(_appearance(record["appearance"], drawn.appearance), lesion=tissue),
        scanners=tuple(updated(Scanner(), tables[name], _ORIGIN, f"scanners.{name}") for name in CHANNELS),
        stripping=stripping,
    )


def _appearance(told: Any, base: Appearance) -> Appearance:
    rest = dict(_table(told, "appearance", "healthy", "contrast"))
    healthy = _table(rest.pop("healthy"), "appearance.healthy", "r1", "r2", "density", "field_tesla")
    contrast = _table(rest.pop("contrast"), "appearance.contrast", "offsets")
    offsets = _table(contrast["offsets"], "appearance.contrast.offsets", *CHANNELS)
    return replace(
        updated(base, rest, _ORIGIN, "appearance"),
        healthy=HealthyTissue(
            _tensor(healthy["r1"], base.healthy.r1, "appearance.healthy.r1"),
            _tensor(healthy["r2"], base.healthy.r2, "appearance.healthy.r2"),
            _tensor(healthy["density"], base.healthy.density, "appearance.healthy.density"),
            float(_tensor(healthy["field_tesla"], base.healthy.r1[0], "appearance.healthy.field_tesla")),
        ),
        contrast=Contrast(
            _tensor([offsets[name] for name in CHANNELS], base.contrast.offsets, "appearance.contrast.offsets")
        ),
    )


def _table(told: Any, where: str, *needed: str) -> Mapping[str, Any]:
    """A part of a record that is a table with the entries ``needed``."""
    if not isinstance(told, Mapping):
        raise InputError(f"The record is damaged: '{where}' is {told!r}, but it is a table of names and values.")
    missing = [name for name in needed if name not in told]
    if missing:
        raise InputError(f"The record is damaged: '{where}' has no {', '.join(missing)}.")
    return told


def _tensor(told: Any, like: Tensor, where: str) -> Tensor:
    """Numbers of a record as a tensor of the shape of another."""
    try:
        values = torch.tensor(told, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError) as error:
        raise InputError(f"The record is damaged: '{where}' must hold numbers only ({error}).") from error
    if values.shape != like.shape:
        raise InputError(f"The record is damaged: '{where}' must hold {tuple(like.shape)} numbers.")
    return values


def _plain(value: Any) -> Any:
    """Dataclasses, tensors and tuples as dicts, lists and numbers."""
    if isinstance(value, Contrast):
        return {"classes": list(CLASSES), "offsets": dict(zip(CHANNELS, value.offsets.tolist(), strict=True))}
    if is_dataclass(value) and not isinstance(value, type):
        if any(isinstance(getattr(value, member.name), Tensor) for member in fields(value)):
            return {member.name: _plain(getattr(value, member.name)) for member in fields(value)}
        return _plain(asdict(value))
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
