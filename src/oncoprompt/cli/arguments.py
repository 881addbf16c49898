"""Options that take several numbers, such as `--box I0 I1 J0 J1 K0 K1`, any number of times."""

import re
from collections.abc import Sequence

from oncoprompt.errors import InputError

SEVERAL = ("--box", "--click", "--no-click")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?(e[-+]?\d+)?|\.\d+|nan|inf),?", re.IGNORECASE)


def gathered(arguments: Sequence[str]) -> list[str]:
    """Arguments with the numbers after such an option joined to it, `--box=1 2 3 4 5 6`.

    The parser below has no options that both repeat and take several values.
    """
    joined: list[str] = []
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument == "--":
            return [*joined, argument, *arguments[position:]]
        if argument in SEVERAL:
            first = position
            while position < len(arguments) and _NUMBER.fullmatch(arguments[position]):
                position += 1
            if position > first:
                argument = f"{argument}={' '.join(arguments[first:position])}"
        joined.append(argument)
    return joined


def whole_numbers(text: str, count: int, option: str, names: str) -> list[int]:
    """The whole numbers of an option's text; raises `InputError` unless there are `count`."""
    try:
        numbers = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise InputError(f"{option} takes {count} whole numbers, {names}. Found: '{text}'.")
    return numbers
