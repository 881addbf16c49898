"""Options that take several numbers, such as `--box I0 I1 J0 J1 K0 K1`, any number of times."""

import re
from collections.abc import Sequence
from typing import Any

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


def check_once(arguments: Sequence[str], command: Any) -> None:
    """Raise `InputError` where an option that takes effect once is given twice; the parser would keep the last.

    `command` is the parser's command whose name comes before `arguments`, with its sub-commands.
    """
    options = {name: option for option in command.params for name in option.opts if name.startswith("-")}
    given: set[str] = set()
    position = 0
    while position < len(arguments) and arguments[position] != "--":
        argument = arguments[position]
        position += 1
        name, _, joined = argument.partition("=")
        if not name.startswith("--") and len(name) > 2:
            name, joined = name[:2], name[2:]
        option = options.get(name)
        if option is None:
            if argument in getattr(command, "commands", {}):
                check_once(arguments[position:], command.commands[argument])
                return
            continue
        if option.is_flag or option.count:
            continue
        position += option.nargs - bool(joined)
        if not option.multiple and option.name in given:
            raise InputError(f"{option.opts[0]} was given more than once; give it once.")
        given.add(option.name)


def whole_numbers(text: str, count: int, option: str, names: str) -> list[int]:
    """The whole numbers of an option's text; raises `InputError` unless there are `count`."""
    try:
        numbers = [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise InputError(f"{option} takes {count} whole numbers, {names}. Found: '{text}'.")
    return numbers
