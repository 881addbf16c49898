"""Checking a data set before it is trained on: every problem of every case, to the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from oncoprompt.cohort.case import Case
from oncoprompt.cohort.cohort import Cohort, Problem
from oncoprompt.cohort.inspection import Inspection, inspect_case
from oncoprompt.cohort.split import Split

_MOST_THREADS = 8


def check_cohort(
    cohort: Cohort, split: Split | None = None, begin: Callable[[], None] = lambda: None
) -> Iterator[Problem]:
    """Problems of a cohort: those seen while it was read, those of `split`, then case by case those of the files.

    Every file is read once; `begin` is called before each case is told about. Found are channels, label maps or files
    that are missing, unreadable or on other grids, values that are not finite, constant channels, labels outside the
    schema or without one, empty label maps, the same case or the same image twice, and patients in several parts.
    """
    yield from cohort.problems
    yield from _same_names(cohort)
    if split is not None:
        yield from _of_split(cohort, split)
    copies = _Copies(split.sides() if split is not None else {})
    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        # a bounded look ahead: an interruption waits for a few cases, not for all of them
        upcoming = [threads.submit(inspect_case, case) for case in cohort.cases[: 2 * _MOST_THREADS]]
        for number, case in enumerate(cohort.cases):
            begin()
            inspection = upcoming.pop(0).result()
            yield from inspection.problems
            yield from copies.of(case, inspection)
            following = number + 2 * _MOST_THREADS
            if following < len(cohort.cases):
                upcoming.append(threads.submit(inspect_case, cohort.cases[following]))


def _same_names(cohort: Cohort) -> Iterator[Problem]:
    seen: dict[str, Case] = {}
    for case in cohort.cases:
        first = seen.setdefault(case.name, case)
        if first is not case:
            sentence = f"the name occurs twice, in '{first.files()[0].parent}' and in '{case.files()[0].parent}'."
            yield Problem(case.name, "duplicate case", sentence)


def _of_split(cohort: Cohort, split: Split) -> Iterator[Problem]:
    for patient, parts in split.leaks(cohort).items():
        yield Problem(patient, "split", f"the split has cases of this patient in parts {' and '.join(parts)}.")
    sides, names = split.sides(), {case.name for case in cohort.cases}
    for case in cohort.labelled:
        if case.name not in sides:
            yield Problem(case.name, "split", "it is labelled, but in no part of the split.")
    for name in sides:
        if name not in names:
            yield Problem(name, "split", f"part '{sides[name]}' of the split names it; the data set has no such case.")


@dataclass
class _Copies:
    """Images seen so far, by the digest of their content, and the part of each case."""

    sides: dict[str, str]
    seen: dict[str, tuple[Case, str]] = field(default_factory=dict)

    def of(self, case: Case, inspection: Inspection) -> Iterator[Problem]:
        """A problem for each case, this one included, that holds an image of this case under another name."""
        shared: dict[int, tuple[Case, list[str]]] = {}
        for channel, digest in inspection.digests.items():
            first, first_channel = self.seen.setdefault(digest, (case, channel))
            if first is case and first_channel != channel:
                sentence = f"channels {first_channel} and {channel} are the same image."
                yield Problem(case.name, "duplicate image", sentence)
            elif first is not case:
                shared.setdefault(id(first), (first, []))[1].append(channel)
        for first, channels in shared.values():
            yield Problem(case.name, "duplicate image", self._sentence(case, first, channels))

    def _sentence(self, case: Case, first: Case, channels: list[str]) -> str:
        what = "every channel" if len(channels) == len(case.channels) else f"channel {', '.join(channels)}"
        sentence = f"{what} holds the same image as case '{first.name}'"
        if first.patient != case.patient:
            sentence += f" of another patient, '{first.patient}'"
        here, there = self.sides.get(case.name), self.sides.get(first.name)
        if here is not None and there is not None and here != there:
            sentence += f", and the split has one in part {here}, the other in part {there}"
        return f"{sentence}."
