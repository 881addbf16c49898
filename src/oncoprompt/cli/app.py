"""The application: its verbs, in the order in which a person meets them."""

from typing import Annotated

import typer

from oncoprompt import __version__
from oncoprompt.cli import (
    data,
    demo,
    evaluate,
    experiment,
    finetune,
    info,
    mix,
    model_files,
    models,
    segment,
    synthesize,
    train,
)
from oncoprompt.cli.console import say


def _show_version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


app = typer.Typer(
    name="oncoprompt",
    help="One box over a tumour, or nothing: every sub-region of it, in three dimensions, on the grid of the scan.",
    epilog="Exit codes: 0 done, 1 unexpected error, 2 bad input, 3 weights missing or damaged, "
    "4 done but for cases that are named, 130 stopped by Ctrl-C. "
    "For research; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


app.command("segment", epilog=segment.EXAMPLE)(segment.segment)
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("synthesize", epilog=synthesize.EXAMPLE)(synthesize.synthesize)
app.command("train", epilog=train.EXAMPLE)(train.train)
app.command("finetune", epilog=finetune.EXAMPLE)(finetune.finetune)
app.command("mix", epilog=mix.EXAMPLE)(mix.mix)
app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.add_typer(data.app, name="data")
app.add_typer(experiment.app, name="experiment")
models.app.command("verify", epilog=model_files.VERIFY_EXAMPLE)(model_files.verify)
models.app.command("convert", epilog=model_files.CONVERT_EXAMPLE)(model_files.convert)
models.app.command("join-ct", epilog=model_files.JOIN_EXAMPLE)(model_files.join_ct)
app.add_typer(models.app, name="models")
app.command("info", epilog=info.EXAMPLE)(info.info)
