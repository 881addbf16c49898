"""The command line: one file a verb. Nothing heavy is imported until a verb runs."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 done, 1 unexpected, 2 bad input, 3 weights, 4 done but for cases that are named, 130 and 143 stopped by
    Ctrl-C and SIGTERM, 141 nobody reads on.
    """
    # Read when torch is imported. Threads that spin while they wait cost a factor of fifty where the cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from oncoprompt.cli.process import run

    given = sys.argv[1:] if arguments is None else list(arguments)
    run(lambda: _verb(given))


def _verb(arguments: Sequence[str]) -> int:
    """Exit code of the verb that arguments ask for; those that are no good are told with an example of good ones."""
    from oncoprompt.cli.app import app
    from oncoprompt.cli.arguments import gathered
    from oncoprompt.cli.process import BAD_INPUT, complain

    try:
        code = app(args=gathered(arguments), prog_name="oncoprompt", standalone_mode=False)
    except Exception as error:
        # the parser's class of errors is not the same in all versions of typer; they alone can do this
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
        else:
            complain(_told(error))
        return BAD_INPUT
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> str:
    """What is wrong with the arguments, and how the verb is used."""
    context = getattr(error, "ctx", None)
    command = "oncoprompt" if context is None else context.command_path
    _, example, usage = (getattr(context and context.command, "epilog", None) or "").partition("Example: ")
    more = f"Example: {usage}" if example else f"See {command} --help."
    return f"{error.format_message().rstrip('.')}. {more}"  # type: ignore[attr-defined]
