"""Frozen dataclasses changed by nested mappings, such as the tables of a TOML file."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from oncoprompt.errors import InputError

T = TypeVar("T")


def updated(base: T, mapping: Mapping[str, Any], origin: str, where: str = "") -> T:
    """Copy of a dataclass instance with the values of `mapping`; nested dataclasses take nested mappings.

    Raises `InputError` for names the dataclass does not have, with those it has, and for values of another type.
    `origin` is what the mapping was read from, `where` the path to it inside.
    """
    if not is_dataclass(base) or isinstance(base, type):
        raise TypeError(f"updated() takes an instance of a dataclass, not {base!r}.")
    hints = get_type_hints(type(base))
    accepted = [member.name for member in fields(base)]
    changes: dict[str, Any] = {}
    for name, value in mapping.items():
        path = f"{where}.{name}" if where else name
        if name not in accepted:
            raise InputError(f"{origin}: unknown name '{path}'. Accepted names: {', '.join(accepted)}.")
        present = getattr(base, name)
        if is_dataclass(present):
            if not isinstance(value, Mapping):
                raise InputError(f"{origin}: '{path}' is {value!r}, but it is a table of names and values.")
            changes[name] = updated(present, value, origin, path)
        else:
            changes[name] = _checked(hints[name], value, f"{origin}: '{path}' is {value!r}")
    return replace(base, **changes)


def _checked(hint: Any, value: Any, told: str) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise InputError(f"{told}: {reason[0].lower()}{reason[1:]}.") from error
