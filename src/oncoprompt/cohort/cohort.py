"""A data set: its cases, and what was wrong with those that could not be made out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from oncoprompt.cohort.case import Case
from oncoprompt.study.channels import in_order


@dataclass(frozen=True)
class Problem:
    """What is wrong with a case: a kind that programs can tell apart, and a sentence for people."""

    case: str
    kind: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.case}: {self.sentence}"


@dataclass(frozen=True)
class Cohort:
    """Cases by name, the layout they were found in, and the problems seen while looking; no image is read yet.

    A case whose files contradict each other is left out and named in `problems`; one that merely lacks a channel or its
    label map is in both. `unused` names other scans in the folders of the cases, with the reason they are not read;
    label maps, pictures and results of ours are of kind "usual file".
    """

    layout: str
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...] = ()
    unused: tuple[Problem, ...] = ()

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases that have a label map."""
        return tuple(case for case in self.cases if case.label_map is not None)

    @property
    def left_out(self) -> tuple[Problem, ...]:
        """The problems of what is in the data set and among no case."""
        names = {case.name for case in self.cases}
        return tuple(problem for problem in self.problems if problem.case not in names)

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel that some case has, in the order in which a study holds them."""
        return tuple(in_order({channel for case in self.cases for channel in case.channels}))


def missing_channels(cases: Iterable[Case], expected: Iterable[str] | None = None) -> list[Problem]:
    """A problem for each case that lacks a channel; without `expected`, one that at least half of the cases have."""
    listed = list(cases)
    if expected is None:
        counted = [channel for case in listed for channel in case.channels]
        expected = in_order(channel for channel in set(counted) if 2 * counted.count(channel) >= len(listed))
    wanted = list(expected)
    problems = []
    for case in listed:
        missing = [channel for channel in wanted if channel not in case.channels]
        if missing:
            found = ", ".join(source.path.name for source in case.channels.values())
            sentence = f"channel {', '.join(missing)} is missing. Found: {found}."
            problems.append(Problem(case.name, "missing channel", sentence))
    return problems
