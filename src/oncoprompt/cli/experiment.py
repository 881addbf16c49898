"""`oncoprompt experiment`: the paper's questions, asked of a model on one's own labelled cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oncoprompt.cli.experiment_run import Asked, command_of
from oncoprompt.cli.given import check_model
from oncoprompt.cli.options import DEFAULT_MODEL, Overwrite, Quiet, Verbose
from oncoprompt.errors import InputError

if TYPE_CHECKING:
    from oncoprompt.cli.experiment_run import Begin
    from oncoprompt.experiments.arms import ArmTraining
    from oncoprompt.experiments.cases import Case
    from oncoprompt.experiments.fair_comparison import Comparison
    from oncoprompt.experiments.interaction import Interaction
    from oncoprompt.experiments.slice_targets import SliceCase
    from oncoprompt.methods.interface import Method

app = typer.Typer(
    help="Ask what prompts, channels, memories, parts and cases of one's own are worth; writes a page (.md), all "
    "numbers (.json) and a figure (.png).",
    no_args_is_help=True,
)

Out = Annotated[Path, typer.Option("--output", "-o", help="Folder for page, numbers, figure, and what is trained.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data set of labelled cases; see 'oncoprompt data list'.")]
Schema = Annotated[str | None, typer.Option(help="Label schema of the label maps, such as brats2021.")]
Synthetic = Annotated[int, typer.Option(min=0, help="Score so many synthetic studies, too.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of synthetic studies and of everything that is drawn.")]


def _known(name: str) -> str:
    """The name of a model, as the parser should tell where there is none of that name."""
    try:
        check_model(name)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error
    return name


ModelName = Annotated[
    str, typer.Option("--model", callback=_known, help="Model to ask: a name or the path of weights.")
]
Network = Annotated[str, typer.Option("--model", help="Network to train; its weights are not used.")]
Minutes = Annotated[float, typer.Option(min=0.01, help="Minutes of training for each.")]
Items = Annotated[int, typer.Option(min=1, help="Synthetic items that all are trained on, drawn once.")]


@app.command("prompts", epilog="Example: oncoprompt experiment prompts --data BraTS2021/ --schema brats2021 -o out/")
def prompts(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: ModelName = DEFAULT_MODEL,
    draws: Annotated[int, typer.Option(min=1, help="Draws of each prompt that is random.")] = 3,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Boxes from tight to loose, clicks, a box and a correction, or nothing."""
    from oncoprompt.experiments.prompt_sweep import prompt_sweep

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, verbose)
    asked.run(lambda cases, begin: prompt_sweep(_loaded(model), cases, begin, draws))


@app.command("missing-channels", epilog="Example: oncoprompt experiment missing-channels --synthetic 4 -o out/")
def missing_channels(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: ModelName = DEFAULT_MODEL,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Every subset of the four MRI channels, and the loss where one is left out."""
    from oncoprompt.experiments.missing_channels import missing_channels as experiment

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, verbose)
    asked.run(lambda cases, begin: experiment(_loaded(model), cases, begin))


@app.command("channel-order", epilog="Example: oncoprompt experiment channel-order --synthetic 4 -o out/")
def channel_order(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: ModelName = DEFAULT_MODEL,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Every order of the channels; the answers should agree."""
    from oncoprompt.experiments.channel_order import channel_order as experiment

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, verbose)
    asked.run(lambda cases, begin: experiment(_loaded(model), cases, begin))


@app.command("memory", epilog="Example: oncoprompt experiment memory --data BraTS2021/ --schema brats2021 -o out/")
def memory(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: ModelName = DEFAULT_MODEL,
    train_minutes: Annotated[
        float, typer.Option(min=0.0, help="Train a network for each instead, so long; 0 changes the given weights.")
    ] = 0.0,
    items: Items = 200,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """How many earlier slices and channels to remember: in given weights, or trained anew for each number."""
    from oncoprompt.experiments.memory import memory_given, memory_trained

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, max(1, verbose))
    if train_minutes > 0:
        asked.run(lambda cases, begin: memory_trained(_training(out, train_minutes, model, items, seed), cases, begin))
    else:
        asked.run(lambda cases, begin: memory_given(model, cases, begin))


@app.command(
    "ablation",
    epilog="Example: oncoprompt experiment ablation --data BraTS2021/ --schema brats2021 --train-minutes 60 -o out/",
)
def ablation(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: Network = DEFAULT_MODEL,
    train_minutes: Minutes = 60.0,
    items: Items = 200,
    seeds: Annotated[int, typer.Option(min=1, help="Train each with so many seeds.")] = 1,
    arms: Annotated[
        str | None, typer.Option(help="Arms to train, with commas between; all of them by default.")
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """The whole network beside networks without a part, each trained from scratch on the same items."""
    from oncoprompt.experiments.ablation import ablation as experiment
    from oncoprompt.experiments.ablation import chosen

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, max(1, verbose))
    asked.run(
        lambda cases, begin: experiment(
            _training(out, train_minutes, model, items, seed), range(seed, seed + seeds), chosen(arms), cases, begin
        )
    )


@app.command(
    "few-shot", epilog="Example: oncoprompt experiment few-shot --data mine/ --counts 1,2,4 --minutes 20 -o out/"
)
def few_shot(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: ModelName = DEFAULT_MODEL,
    counts: Annotated[str, typer.Option(help="Numbers of cases to tune on, with commas between.")] = "1,2,4",
    minutes: Minutes = 20.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Tune for so many steps instead.")] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """A model before and after being tuned on one, two, four ... labelled cases of one's own."""
    from oncoprompt.experiments.few_shot import few_shot as experiment
    from oncoprompt.experiments.few_shot import numbers
    from oncoprompt.training.finetune import FinetuneConfig

    asked = Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, max(1, verbose))
    config = FinetuneConfig(model=model, minutes=minutes, steps=steps, seed=seed)
    asked.run(lambda cases, begin: experiment(numbers(counts), config, out, cases, begin))


@app.command(
    "interaction",
    epilog="Example: oncoprompt experiment interaction --data BraTS2021/ --schema brats2021 --channel t2f -o out/",
)
def interaction(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    synthetic: Synthetic = 0,
    seed: Seed = 0,
    model: Annotated[str, typer.Option("--model", help="Slice model to ask: a name or the path of weights.")] = (
        "medsam-compact"
    ),
    region: Annotated[str, typer.Option(help="Region to annotate: WT, TC or ET.")] = "WT",
    channel: Annotated[str, typer.Option(help="Channel whose slices are shown, where a study has several.")] = "t2f",
    goal: Annotated[float, typer.Option(help="Dice to reach.")] = 0.9,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Actions a target may cost; by default one for each of its slices.")
    ] = None,
    jitter: Annotated[float, typer.Option(help="Sides of boxes move by up to this share of their length.")] = 0.05,
    clicks: Annotated[
        bool, typer.Option("--clicks/--no-clicks", help="Correct a slice that has a box by clicks; or leave it.")
    ] = True,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Actions to reach a Dice: a box on every slice, sparse markers, one 3-D box, one slice; also of .npz files."""

    def find() -> list[SliceCase]:
        from oncoprompt.experiments.slice_targets import slice_cases_of

        return slice_cases_of(data, schema, synthetic, seed, region, channel)

    def ask(cases: list[SliceCase], begin: Begin) -> Interaction:
        from oncoprompt.experiments.interaction import InteractionConfig
        from oncoprompt.experiments.interaction import interaction as experiment
        from oncoprompt.inference.device import device_named
        from oncoprompt.methods.registry import load_slice_model

        config = InteractionConfig(goal, budget, jitter, clicks, seed)
        slice_model = load_slice_model(model, device_named("auto"))
        return experiment(slice_model, cases, begin, config)

    def write(found: Interaction, name: str) -> list[Path]:
        from oncoprompt.experiments.interaction_page import write_interaction

        return write_interaction(found, out, name, command_of(context))

    Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, verbose).run_on(find, ask, write)


@app.command(
    "fair-comparison",
    epilog="Example: oncoprompt experiment fair-comparison --data BraTS2021/ --schema brats2021 -o out/",
)
def fair_comparison(
    context: typer.Context,
    out: Out,
    data: Data = None,
    schema: Schema = None,
    word: Annotated[str, typer.Option(help="Kind of the tumours of --data, which are MRI of brains.")] = "glioma",
    synthetic: Synthetic = 0,
    synthetic_ct: Annotated[int, typer.Option(min=0, help="Score so many synthetic abdomens, too.")] = 0,
    seed: Seed = 0,
    model: Annotated[
        str, typer.Option("--model", callback=_known, help="Model of words, clicks and anatomy: a name or weights.")
    ] = ("tags-compact"),
    reference: Annotated[str, typer.Option(help="Model of boxes and clicks to print beside it.")] = DEFAULT_MODEL,
    train_minutes: Annotated[
        float, typer.Option(min=0.0, help="Train a DynUNet with clicks and anatomy as inputs so long; 0: leave it out.")
    ] = 60.0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw items while it trains.")] = 1,
    draws: Annotated[int, typer.Option(min=1, help="Draws of what is random.")] = 3,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Clicks, words and masks, right, wrong or missing: the same for a model, a baseline and a reference."""

    def find() -> list[Case]:
        from oncoprompt.experiments.guided_cases import guided_cases_of

        return guided_cases_of(data, schema, word, synthetic, synthetic_ct, seed)

    def ask(cases: list[Case], begin: Begin) -> Comparison:
        from oncoprompt.experiments.anatomy_baseline import BaselineTraining
        from oncoprompt.experiments.contenders import contenders_of
        from oncoprompt.experiments.fair_comparison import fair_comparison as experiment

        training = BaselineTraining(out, train_minutes, seed, workers) if train_minutes > 0 else None
        return experiment(contenders_of(model, reference, training), cases, begin, draws)

    def write(found: Comparison, name: str) -> list[Path]:
        from oncoprompt.experiments.fair_comparison_page import write_fair_comparison

        return write_fair_comparison(found, out, name, command_of(context))

    Asked(context, out, data, schema, synthetic, seed, overwrite, quiet, max(1, verbose)).run_on(find, ask, write)


def _loaded(model: str) -> Method:
    """The model on an accelerator where there is one."""
    from oncoprompt.inference.device import device_named
    from oncoprompt.methods.registry import load_model

    return load_model(model, device_named("auto"))


def _training(out: Path, minutes: float, network: str, items: int, seed: int) -> ArmTraining:
    from oncoprompt.experiments.arms import ArmTraining

    return ArmTraining(out, minutes, network, items, seed)
