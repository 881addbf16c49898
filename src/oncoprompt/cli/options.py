"""Options that several verbs take."""

from typing import Annotated

import typer

DEFAULT_MODEL = "msm-seg-compact"

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, show_default=False, help="Say what happens; -vv adds tracebacks."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; auto takes an accelerator where there is one.")]
Model = Annotated[str, typer.Option(help="Model to use; see 'oncoprompt models list'.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace files that are there, also those OncoPrompt did not write."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else there.")]
