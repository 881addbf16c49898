"""`oncoprompt train`: a configuration file in, weights with their manifest out."""

from pathlib import Path
from typing import Annotated

import typer

from oncoprompt.cli.console import Talk, say
from oncoprompt.cli.given import check_readable
from oncoprompt.cli.options import Overwrite, Quiet, Verbose
from oncoprompt.errors import InputError
from oncoprompt.training.process_settings import prepare_process

EXAMPLE = "Example: oncoprompt train -c configs/msm-seg-compact.toml -o runs/first"


def train(
    config: Annotated[Path, typer.Option("--config", "-c", help="Training configuration (TOML).")],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder for state, log, weights and manifest.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from state.pt in the output folder.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train a model; Ctrl-C saves the state, and --resume goes on from it as if it had never stopped.

    The configuration says on what: synthetic people, or a data set of labelled cases; and on how many processes, which
    torchrun or SLURM may start.
    """
    talk = Talk(quiet, max(1, verbose))
    prepare_process()
    with talk.errors_told(overwrite):
        check_readable(config, "--config", folder=False)
        if out.exists() and not out.is_dir():
            raise InputError(f"--output '{out}' is a file; give a folder.")
        from oncoprompt.cli.validation import validator
        from oncoprompt.training.adapted import adapt
        from oncoprompt.training.config import TrainingConfig
        from oncoprompt.training.feature_mixed import mix_features
        from oncoprompt.training.fit import BEST_FOLDER, STATE_FILE, fit
        from oncoprompt.training.processes import is_first
        from oncoprompt.training.recipe import build

        settings = TrainingConfig.read(config)
        validate = validator(settings)
        with talk.step("Building the network"):
            recipe = build(settings)
        if settings.adaptation.kind != "none":
            with talk.step("Preparing the unlabelled scans"):
                recipe = adapt(recipe, settings, out)
        recipe = mix_features(recipe, settings)
        state = out / STATE_FILE if resume else None
        done = fit(settings, recipe.model, recipe.items, recipe.loss, out, state, validate)
        if quiet or not is_first():
            return
        say(f"{done.step} steps, {done.index} items, {done.elapsed_s / 60.0:.1f} minutes: {out}")
        if done.best_score is not None:
            say(f"best mean Dice {done.best_score:.3f}, after step {done.best_step}: {out / BEST_FOLDER}")
