"""Real gliomas from clicks and a word: Dice of TAGS compact beside that of MSM-Seg compact with a box.

    python benchmarks/tags_real_gliomas.py [--model tags-compact] [--data DIR] [--word glioma] [--draws 3]
        [--threads N] [--markdown FILE]

Clicks are voxels drawn uniformly from the whole tumour (seeded); the mask is that of the brain, the tumour included.
Nothing here has been trained on a real scan.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from oncoprompt.evaluation.statistics import mean
from oncoprompt.experiments.cases import LABELLED
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.guidance import Guidance
from oncoprompt.experiments.guided_cases import GuidedStudy, guided_cases_of
from oncoprompt.experiments.protocol import moved_box
from oncoprompt.experiments.table import markdown
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.study import REGIONS
from real_gliomas import DATA

REFERENCE = "msm-seg-compact"
BOX = f"{REFERENCE}, box"
ASKED = (
    Guidance("3 clicks, word", anatomy=None),
    Guidance("3 clicks", word=None, anatomy=None),
    Guidance("3 clicks, word, mask"),
    Guidance("1 click, word", clicks=1, anatomy=None),
    Guidance("1 click", clicks=1, word=None, anatomy=None),
    Guidance("word", clicks=0, anatomy=None),
)
NAMES = (*(guidance.name for guidance in ASKED), BOX)


def settings(study: GuidedStudy, model: Method, reference: Method, draws: int) -> Iterator[Setting]:
    """The model asked in each way, and the reference with its box."""
    for guidance in ASKED:
        yield Setting(guidance.name, model, guidance.protocol(study, draws))
    yield Setting(BOX, reference, moved_box(0.1, draws))


def table(outcome: Outcome) -> str:
    """WT Dice of every case, and the means of all regions."""
    rows = []
    for case in outcome.cases(LABELLED):
        found = [outcome.per_case(LABELLED, name, dice_of("WT")).get(case) for name in NAMES]
        rows.append([case, *(f"{value:.3f}" for value in found if value is not None)])
    for region in REGIONS:
        means = [mean(list(outcome.per_case(LABELLED, name, dice_of(region)).values())) for name in NAMES]
        rows.append([f"**mean {region}**", *(f"**{value:.3f}**" for value in means)])
    return markdown(("WT Dice", *NAMES), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tags-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--word", default="glioma")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The real cases are missing: {options.data}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    model, reference = load_model(options.model), load_model(REFERENCE)
    cases = guided_cases_of(options.data, "brats2021", options.word, 0, 0, 0)
    outcome = run(cases, partial(settings, model=model, reference=reference, draws=options.draws))
    head = (
        f"Model {model.name} ({model.weights_sha256[:12]}): clicks drawn uniformly from the whole tumour, mean of "
        f'{options.draws} seeded draws; the word is "{options.word}", the mask that of the brain. {REFERENCE} '
        f"({reference.weights_sha256[:12]}): one box, each side moved by up to 10 % of its length, as many draws. "
        "Neither has seen a real scan."
    )
    text = "\n\n".join([head, table(outcome), *outcome.problems]) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
