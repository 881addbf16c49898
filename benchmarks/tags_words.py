"""Do words matter? Synthetic studies with tumours of two kinds, asked for one of them in the right and the wrong word.

    python benchmarks/tags_words.py [--model tags-compact] [--brains 8] [--abdomens 6] [--threads N] [--markdown FILE]

No training run drew its people from these seeds. Every kind of a study is asked for in turn; scored is the Dice of the
asked kind alone, so that a model that ignores words finds both and is wrong.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from oncoprompt.evaluation.statistics import bootstrap_interval, mean
from oncoprompt.experiments.cases import SYNTHETIC, Case
from oncoprompt.experiments.encodings import EncodedOnce
from oncoprompt.experiments.engine import Outcome, Setting, dice_of, run
from oncoprompt.experiments.guidance import Guidance
from oncoprompt.experiments.guided_cases import SYNTHETIC_CT, GuidedStudy
from oncoprompt.experiments.table import markdown
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.study import LabelMap, schemas
from oncoprompt.synthesis.kinds import WORDS, StudyOfKinds, abdomen_of_kinds, brain_of_kinds
from oncoprompt.synthesis.two_kinds import KINDS

SEED = 980_000
PAIRS = (
    ("high-grade glioma", "meningioma"),
    ("metastases", "meningioma"),
    ("high-grade glioma", "metastases"),
    ("meningioma", "low-grade glioma"),
)
"""Families of the brains in turn, the first the one that pushes the brain."""
ORGAN_PAIRS = (("liver", "kidney"), ("kidney", "pancreas"), ("pancreas", "liver"))
ASKED = (
    Guidance("right word", clicks=0, anatomy=None),
    Guidance("wrong word", clicks=0, anatomy=None, word="wrong"),
    Guidance("no word", clicks=0, anatomy=None, word=None),
    Guidance("right word, 1 click", clicks=1, anatomy=None),
    Guidance("wrong word, 1 click", clicks=1, anatomy=None, word="wrong"),
    Guidance("no word, 1 click", clicks=1, anatomy=None, word=None),
)
"""A click lies in the asked kind, also where the word is the other kind's."""


@lru_cache(maxsize=1)
def study_of(source: str, seed: int, pair: tuple[str, str]) -> StudyOfKinds:
    """A study with tumours of two families of brain tumours, or of two organs; its cases come one after the other."""
    return (abdomen_of_kinds if source == SYNTHETIC_CT else brain_of_kinds)(seed, pair)


def read(source: str, seed: int, pair: tuple[str, str], word: str, other: str) -> GuidedStudy:
    """The study as a case of one of its kinds; raises InputError where it lacks that one."""
    found = study_of(source, seed, pair)
    mask = found.kinds.get(word, np.zeros(found.study.grid.shape, bool))
    truth = LabelMap(mask.astype(np.uint8), found.study.grid, schemas.get("tumour"))
    return GuidedStudy(found.study, truth, found.anatomy.get(word, ~mask), word, other)


def cases_of(source: str, count: int, pairs: Sequence[tuple[str, str]], words_of: Mapping[str, str]) -> Iterator[Case]:
    """Every study once for each of its kinds."""
    for n in range(count):
        seed, pair = SEED + n, pairs[n % len(pairs)]
        first, second = (words_of[name] for name in pair)
        for word, other in ((first, second), (second, first)):
            name = f"{seed} {word}"
            yield Case(name, name, source, partial(read, source, seed, pair, word, other))


def settings(study: GuidedStudy, model: Method) -> Iterator[Setting]:
    """The model asked in each way."""
    once = EncodedOnce(model)
    for guidance in ASKED:
        yield Setting(guidance.name, once, guidance.protocol(study, 1))


def table(outcome: Outcome, source: str) -> str:
    """Mean Dice of the asked kind, for each kind and for all."""
    found = {guidance.name: outcome.per_case(source, guidance.name, dice_of("WT")) for guidance in ASKED}
    words = sorted({case.split(" ", 1)[1] for case in outcome.cases(source)})
    rows = []
    for word in [*words, ""]:
        cases = [case for case in outcome.cases(source) if case.endswith(word)]
        means = [mean([values[case] for case in cases]) for values in found.values()]
        rows.append([word or "**all**", str(len(cases)), *(f"{value:.3f}" for value in means)])
    return markdown(("asked for", "cases", *found), rows)


def gain(outcome: Outcome, source: str) -> str:
    """What the right word gives over the wrong one, a sentence."""
    right, wrong = (outcome.per_case(source, ASKED[row].name, dice_of("WT")) for row in (0, 1))
    differences = [right[case] - wrong[case] for case in right]
    interval = bootstrap_interval(differences)
    spread = f" (95 % bootstrap interval {interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"The right word against the wrong one, no other prompt: {mean(differences):+.3f} Dice{spread}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tags-compact")
    parser.add_argument("--brains", type=int, default=8)
    parser.add_argument("--abdomens", type=int, default=6)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = load_model(options.model)
    outcome = run(
        [
            *cases_of(SYNTHETIC, options.brains, PAIRS, KINDS),
            *cases_of(SYNTHETIC_CT, options.abdomens, ORGAN_PAIRS, WORDS),
        ],
        partial(settings, model=model),
    )
    parts = [
        f"Model {model.name} ({model.weights_sha256[:12]}). Held-out synthetic studies with tumours of two kinds; mean "
        "Dice of the asked kind alone. The wrong word is that of the other kind in the study; a click lies in the "
        "asked kind whatever the word."
    ]
    for source in outcome.sources:
        parts += [f"### {source.capitalize()}", table(outcome, source), gain(outcome, source)]
    text = "\n\n".join([*parts, *outcome.problems]) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
