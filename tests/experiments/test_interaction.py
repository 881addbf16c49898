"""What annotations cost: actions are counted, corrections help, and nothing is spent past the goal or the budget."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from experiments.studies import case_of, labelled
from methods.medsam.bright_slices import BrightInBox, ellipsoid
from oncoprompt.cli import main
from oncoprompt.errors import InputError
from oncoprompt.experiments.cases import LABELLED, SYNTHETIC
from oncoprompt.experiments.interaction import Course, InteractionConfig, annotated, interaction, usual_workflows
from oncoprompt.experiments.interaction_drawing import Annotator, Drawing, correct
from oncoprompt.experiments.interaction_page import write_interaction
from oncoprompt.experiments.interaction_workflows import (
    box_on_every_slice,
    key_slice_box,
    sparse_axes,
    sparse_boxes,
    volume_box,
)
from oncoprompt.experiments.slice_answers import AnsweredOnce
from oncoprompt.experiments.slice_targets import SliceCase, SliceTarget, slice_cases_of, target_of
from oncoprompt.methods.medsam.slice_model import SlicePrompt

TRUTH = ellipsoid(radii=(7, 12, 14))
SHOWN = 15
EXACT = InteractionConfig(jitter=0.0)


def target(name: str = "T1", clutter: bool = False) -> SliceTarget:
    """Slices that show a bright target, with something else as bright beside it or not."""
    image = TRUTH.astype(np.float32)
    if clutter:
        image[:, 30:, :20] = 1.0
    return SliceTarget(name, image, TRUTH)


def steps_of(workflow, model=None, shown=None, config=EXACT):
    shown = shown or target()
    return annotated(AnsweredOnce(model or BrightInBox(), shown.slices), shown, LABELLED, workflow, config)


@pytest.mark.parametrize(
    ("workflow", "actions"),
    [
        (box_on_every_slice(), SHOWN),
        (sparse_boxes(5), 4),
        (sparse_boxes(3), 6),
        (sparse_axes(5), 8),
        (volume_box(), 2),
        (key_slice_box(), 1),
    ],
)
def test_what_is_drawn_first_is_counted_in_drags(workflow, actions) -> None:
    assert steps_of(workflow).first[0] == actions


def test_a_model_that_is_right_in_its_box_needs_no_correction() -> None:
    for workflow in (box_on_every_slice(), volume_box(), key_slice_box()):
        course = steps_of(workflow)
        assert course.dice == 1.0
        assert len(course.steps) == 1


@pytest.mark.parametrize("workflow", [sparse_boxes(5), sparse_axes(5), volume_box()])
def test_corrections_cost_one_action_each_and_reach_the_goal(workflow) -> None:
    course = steps_of(workflow, shown=target(clutter=True), config=InteractionConfig(goal=0.95, budget=60, jitter=0.1))
    taken = [actions for actions, _ in course.steps]
    assert taken == list(range(taken[0], taken[-1] + 1))
    assert course.dice >= 0.95 > course.steps[-2][1]


def test_nothing_is_spent_past_the_budget() -> None:
    blind = BrightInBox(level=2.0)
    course = steps_of(volume_box(), model=blind, config=InteractionConfig(budget=7, clicks=False))
    assert course.actions == 7
    assert course.dice == 0.0
    dear = steps_of(sparse_boxes(3), config=InteractionConfig(budget=5))
    assert dear.steps == ()
    assert (dear.actions, dear.dice, dear.first) == (0, 0.0, (0, 0.0))


def test_without_clicks_it_ends_when_every_slice_has_its_box() -> None:
    blind = BrightInBox(level=2.0)
    course = steps_of(key_slice_box(), model=blind, config=InteractionConfig(budget=100, clicks=False))
    assert course.actions == SHOWN


def test_a_slice_with_its_box_is_corrected_by_clicks_in_the_middle_of_the_error() -> None:
    annotator = Annotator(TRUTH, 0.0, 0)
    drawing = Drawing(1, 16, boxes={index: annotator.box(index) for index in range(1, 16)}, actions=15)
    answer = TRUTH.copy()
    answer[8] = False
    assert correct(drawing, answer, annotator)
    assert drawing.clicks == {8: [((25.0, 20.0), True)]}
    assert drawing.actions == 16
    prompt = drawing.prompt(8, drawing.boxes[8])
    assert prompt.points is not None
    assert prompt.points.tolist() == [[25.0, 20.0]]


def test_slices_past_the_end_are_clicked_away_together_and_holes_alone() -> None:
    truth = TRUTH.copy()
    truth[10] = False
    annotator = Annotator(truth, 0.0, 0)
    drawing = Drawing(0, 17, boxes={8: annotator.box(8)}, key=8)
    answer = truth.copy()
    answer[16] = True
    assert correct(drawing, answer, annotator)
    assert (drawing.first, drawing.last) == (0, 16)
    answer[16], answer[10] = False, True
    assert correct(drawing, answer, annotator)
    assert drawing.empty == {10}
    answer[10], answer[0] = False, True
    assert correct(drawing, answer, annotator)
    assert (drawing.first, drawing.last, drawing.actions) == (1, 16, 3)
    answer[0] = False
    assert not correct(drawing, answer, annotator)


def test_axes_are_redrawn_as_a_box_where_they_are_worst() -> None:
    annotator = Annotator(TRUTH, 0.0, 0)
    drawing = Drawing(1, 16, boxes={8: annotator.axes(8)}, rough={8})
    answer = TRUTH.copy()
    answer[8] = False
    assert correct(drawing, answer, annotator)
    assert drawing.boxes[8] == annotator.box(8)
    assert not drawing.rough


def test_the_same_slice_is_drawn_alike_in_every_workflow_and_otherwise_with_another_seed() -> None:
    one, same, other = Annotator(TRUTH, 0.1, 3), Annotator(TRUTH, 0.1, 3), Annotator(TRUTH, 0.1, 4)
    one.volume_box()
    assert one.box(8) == same.box(8)
    assert any(one.box(index) != other.box(index) for index in range(3, 13))


def test_no_answer_is_computed_twice_and_no_slice_encoded_twice() -> None:
    class Counting(BrightInBox):
        encoded = 0

        def encode(self, image):
            self.encoded += 1
            return super().encode(image)

    model = Counting()
    once = AnsweredOnce(model, target().slices)
    boxed = SlicePrompt(box=(10, 8, 40, 33))
    clicked = SlicePrompt(box=boxed.box, points=np.array([[1.0, 2.0]]), positive=np.array([True]))
    for prompt in (boxed, clicked, SlicePrompt(box=boxed.box)):
        assert np.array_equal(once.decode(8, [prompt])[0] > 0, model.decode(target().slices[8], [prompt])[0] > 0)
    assert model.encoded == 1
    assert len(model.asked) == 2 + 3


def test_a_course_is_as_good_within_a_hundredth_of_a_box_on_every_slice() -> None:
    found = interaction(BrightInBox(), [SliceCase("T1", LABELLED, lambda: [target()])], lambda: None, EXACT)
    whole = Course("T1", LABELLED, "box on every slice", 15, ((15, 0.85),))
    found = type(found)(found.model, "", EXACT, found.workflows, (whole,), ())
    course = Course("T1", LABELLED, "other", 15, ((2, 0.6), (3, 0.845), (4, 0.85)))
    assert found.as_good(course) == 3
    assert course.saved(3) == pytest.approx(0.8)
    assert found.as_good(Course("T1", LABELLED, "other", 15, ((2, 0.6),))) is None


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """All workflows on two targets, with a case that is torn."""

    def torn():
        raise InputError("it is torn")

    cases = [
        SliceCase("T1", LABELLED, lambda: [target("T1"), target("T2", clutter=True)]),
        SliceCase("torn", LABELLED, torn),
        SliceCase("S1", SYNTHETIC, lambda: [target("S1", clutter=True)]),
    ]
    began = []
    found = interaction(BrightInBox(), cases, lambda: began.append(1), InteractionConfig(jitter=0.1))
    assert len(began) == 3
    return write_interaction(found, tmp_path_factory.mktemp("out") / "new", "interaction", "oncoprompt experiment")


def test_the_numbers_are_valid_json_with_every_step(written) -> None:
    content = json.loads(written[1].read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (content["model"], content["weights_sha256"]) == ("bright-in-box", "2" * 64)
    assert len(content["targets"]) == 3 * len(usual_workflows())
    assert content["problems"] == ["Case 'torn' is left out: it is torn"]
    means = content["means"][LABELLED]["box on every slice"]
    assert (means["targets"], means["first_actions"], means["saved"]) == (2, SHOWN, 0.0)
    assert all(step[0] <= SHOWN for course in content["targets"] for step in course["steps"])


def test_the_page_says_how_actions_are_counted_and_keeps_sources_apart(written) -> None:
    page = written[0].read_text()
    for said in (
        "two axes are two",
        "up to 10% of their length",
        "## Labelled cases: 2 targets",
        "## Synthetic studies: 1 target",
        "| key slice | 1.0 |",
        "Case 'torn' is left out",
        "weights 222222222222",
    ):
        assert said in page


def test_the_figure_is_a_picture_with_something_in_it(written) -> None:
    picture = imread(written[2])
    assert np.unique(picture[::5, ::5, :3].reshape(-1, 3), axis=0).shape[0] > 20


def test_no_case_left_and_settings_without_sense_are_told() -> None:
    def torn():
        raise InputError("it is torn")

    with pytest.raises(InputError, match="it is torn"):
        interaction(BrightInBox(), [SliceCase("torn", LABELLED, torn)], lambda: None)
    with pytest.raises(InputError, match="goal"):
        InteractionConfig(goal=1.5)


def test_a_region_of_a_study_is_a_target_on_the_slices_of_one_channel() -> None:
    study = labelled()
    found = target_of(study, "ET", "t2f")
    assert found.shown == 4
    assert found.slices.shape == found.truth.shape
    assert found.slices[found.truth].min() > found.slices[~target_of(study, "WT", "t2f").truth].max()
    with pytest.raises(InputError, match="no region ED"):
        target_of(study, "ED", "t2f")
    assert case_of(study).name == "P1"


def test_every_label_of_a_challenge_file_is_a_target(tmp_path) -> None:
    labels = np.zeros((5, 12, 14), np.uint8)
    labels[1:4, 2:6, 3:9] = 1
    labels[2, 8:10, 8:12] = 4
    images = (40 * labels + 20).astype(np.uint8)
    np.savez_compressed(tmp_path / "CT_1.npz", imgs=images, gts=labels, spacing=np.array([1.0, 1.0, 5.0]))
    np.savez_compressed(tmp_path / "CT_2.npz", imgs=images, spacing=np.array([1.0, 1.0, 5.0]))
    first, second = slice_cases_of(tmp_path, None, 0, 0, "WT", "t2f")
    targets = first.read()
    assert [one.name for one in targets] == ["CT_1 label 1", "CT_1 label 4"]
    assert np.array_equal(targets[1].truth, labels == 4)
    assert np.array_equal(targets[0].slices, images)
    with pytest.raises(InputError, match="no labels"):
        second.read()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "oncoprompt experiment interaction --data"),
        ([], 2, "Give --data FOLDER"),
        (["--synthetic", "1", "--goal", "2"], 2, "The goal is a Dice"),
        (["--synthetic", "1", "--model", "unet"], 2, "There is no slice model 'unet'"),
    ],
)
def test_the_command_has_an_example_and_tells_what_cannot_be_done(tmp_path, capsys, arguments, code, said) -> None:
    with pytest.raises(SystemExit) as left:
        main(["experiment", "interaction", *arguments, "-o", str(tmp_path / "out")])
    assert int(left.value.code or 0) == code
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).replace("│", " ").split())
    assert not (tmp_path / "out").exists()
