"""What an annotation costs: actions until a Dice is reached, for each way of annotating a target on slices."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oncoprompt.errors import InputError, OncoPromptError, WeightsError
from oncoprompt.evaluation import dice
from oncoprompt.experiments.interaction_drawing import Annotator
from oncoprompt.experiments.interaction_workflows import (
    EVERY_SLICE,
    Workflow,
    box_on_every_slice,
    key_slice_box,
    sparse_axes,
    sparse_boxes,
    volume_box,
)
from oncoprompt.experiments.slice_answers import AnsweredOnce
from oncoprompt.experiments.slice_targets import SliceCase, SliceTarget
from oncoprompt.methods.medsam.slice_model import SliceModel

ALIKE = 0.01
"""Two Dice that differ by less count as equally good."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InteractionConfig:
    """What is asked for and how people draw.

    ``goal``: the Dice to reach. ``budget``: actions a target may cost, by default its number of slices, as a box on
    each would. ``jitter``: sides of boxes and ends of axes move by up to this share of their length. ``clicks``:
    whether a slice with a box is corrected by clicks; the model must read them.
    """

    goal: float = 0.9
    budget: int | None = None
    jitter: float = 0.05
    clicks: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 < self.goal <= 1 and (self.budget is None or self.budget >= 1) and 0 <= self.jitter < 0.5):
            raise InputError(
                f"The goal is a Dice in (0, 1], the budget at least 1, the jitter in [0, 0.5); found {self.goal}, "
                f"{self.budget}, {self.jitter}."
            )


@dataclass(frozen=True)
class Course:
    """How annotating a target went: Dice after so many actions, until the goal or the budget.

    ``shown`` is the number of slices that show the target, the actions that a box on each takes.
    """

    target: str
    source: str
    workflow: str
    shown: int
    steps: tuple[tuple[int, float], ...]

    @property
    def first(self) -> tuple[int, float]:
        """Actions and Dice of the first answer; (0, 0) where the budget is too small for it."""
        return self.steps[0] if self.steps else (0, 0.0)

    @property
    def actions(self) -> int:
        """Actions that were taken."""
        return self.steps[-1][0] if self.steps else 0

    @property
    def dice(self) -> float:
        """Dice in the end."""
        return self.steps[-1][1] if self.steps else 0.0

    def until(self, level: float) -> int | None:
        """Actions until a Dice, None where it is not reached."""
        return next((actions for actions, score in self.steps if score >= level), None)

    def saved(self, actions: int) -> float:
        """Share of the actions of a box on every slice that is saved: 1 - actions / shown."""
        return 1.0 - actions / self.shown


@dataclass(frozen=True)
class Interaction:
    """An experiment that was run: its model, workflows and courses, and a sentence for each case left out."""

    model: str
    weights_sha256: str
    config: InteractionConfig
    workflows: tuple[Workflow, ...]
    courses: tuple[Course, ...]
    problems: tuple[str, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the targets come from."""
        return tuple(dict.fromkeys(course.source for course in self.courses))

    def of(self, source: str, workflow: str) -> list[Course]:
        """The courses of one workflow over the targets of a source."""
        return [course for course in self.courses if (course.source, course.workflow) == (source, workflow)]

    def as_good(self, course: Course) -> int | None:
        """Actions until a target is within ALIKE of a box on every slice, or at the goal; None where it never is."""
        whole = next((c for c in self.of(course.source, EVERY_SLICE) if c.target == course.target), None)
        return None if whole is None else course.until(min(self.config.goal, whole.dice - ALIKE))


def usual_workflows() -> tuple[Workflow, ...]:
    """A box on every slice, boxes on every 3rd, 5th and 10th, axes on every 5th, one 3-D box, one slice."""
    sparse = [sparse_boxes(step) for step in (3, 5, 10)]
    return (box_on_every_slice(), *sparse, sparse_axes(5), volume_box(), key_slice_box())


def interaction(
    model: SliceModel,
    cases: Sequence[SliceCase],
    begin: Callable[[], None],
    config: InteractionConfig = InteractionConfig(),
    workflows: Sequence[Workflow] | None = None,
) -> Interaction:
    """Annotate every target of every case in each way; ``begin`` is called when the next case begins.

    A case that cannot be read or asked about is told by name, left out wholly, and the others go on. Raises InputError
    where no case is left, WeightsError at once.
    """
    ways = tuple(usual_workflows() if workflows is None else workflows)
    courses: list[Course] = []
    problems: list[str] = []
    for case in cases:
        begin()
        try:
            courses += _annotated(model, case, ways, config)
        except WeightsError:
            raise
        except (OncoPromptError, OSError, MemoryError, RuntimeError) as error:
            problems.append(f"Case '{case.name}' is left out: {error}")
            _log.warning(problems[-1])
    if not courses:
        raise InputError(f"None of the {len(cases)} cases could be asked about. {' '.join(problems[:1])}".strip())
    return Interaction(model.name, model.weights_sha256, config, ways, tuple(courses), tuple(problems))


def annotated(
    model: AnsweredOnce, target: SliceTarget, source: str, workflow: Workflow, config: InteractionConfig
) -> Course:
    """Annotate one target in one way; what is drawn depends on the target's name and the seed alone."""
    seed = zlib.crc32(f"{target.name} {config.seed}".encode())
    annotator = Annotator(target.truth, config.jitter, seed, config.clicks)
    budget = config.budget or target.shown
    steps: list[tuple[int, float]] = []
    for actions, answer in workflow.steps(model, annotator):
        if actions > budget:
            break
        steps.append((actions, dice(answer, target.truth)))
        if steps[-1][1] >= config.goal or actions == budget:
            break
    return Course(target.name, source, workflow.name, target.shown, tuple(steps))


def _annotated(
    model: SliceModel, case: SliceCase, workflows: Sequence[Workflow], config: InteractionConfig
) -> list[Course]:
    courses = []
    for target in case.read():
        once = AnsweredOnce(model, target.slices)
        courses += [annotated(once, target, case.source, workflow, config) for workflow in workflows]
    return courses
