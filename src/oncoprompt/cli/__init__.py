"""The command line: one file a verb. Nothing heavy is imported until a verb runs."""

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code: 0 done, 1 unexpected, 2 bad input, 3 weights."""
    # Read when torch is imported. Threads that spin while they wait cost a factor of fifty where the cores are shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from oncoprompt.cli.app import app
    from oncoprompt.cli.arguments import gathered

    app(args=gathered(sys.argv[1:] if arguments is None else arguments), prog_name="oncoprompt")
