"""The report of an evaluation: valid JSON, a page that needs nothing else, names that stay text."""

import json
import re
from html.parser import HTMLParser

import pytest

from oncoprompt import __version__
from oncoprompt.evaluation.cohort_scores import CaseScores, CohortScores
from oncoprompt.evaluation.profiles import profile
from oncoprompt.report.evaluation_page import EvaluationPage
from oncoprompt.report.evaluation_summary import HEADINGS, mean_table, summarise_scores

INF, NAN = float("inf"), float("nan")
GOOD = dict.fromkeys(HEADINGS, 0.75) | {"true_positives": 3, "volume_ml": 12.345}
BAD = GOOD | {"lesionwise_dice": 0.25, "hd95": INF, "f1": NAN, "true_positives": 0}


def cohort(*figures: dict[str, float], problem: str | None = None, **told) -> CohortScores:
    """Cases P1, P2 ... of brats2023-met with the same figures in every region."""
    rules = profile("brats2023-met")
    cases = (CaseScores(f"P{n}", dict.fromkeys(rules.regions, row), problem) for n, row in enumerate(figures, 1))
    return CohortScores(rules, tuple(cases), **told)


class Text(HTMLParser):
    """The words of a page, its tags, and what they refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_figures_that_are_not_numbers_are_null_and_json_stays_valid():
    summary = summarise_scores(cohort(GOOD, BAD, problem="There is no prediction."))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    figures = summary["cases"]["P2"]["ET"]
    assert (figures["hd95"], figures["f1"], figures["true_positives"]) == (None, None, 0)
    assert summary["mean"]["ET"]["lesionwise_dice"] == 0.5
    assert summary["mean"]["ET"]["hd95"] is None
    assert summary["mean"]["ET"]["f1"] == 0.75
    assert summary["interval"]["ET"]["lesionwise_dice"] == [0.25, 0.75]
    assert summary["interval"]["ET"]["hd95"] == [0.75, None]
    assert summary["interval"]["ET"]["f1"] is None
    assert (summary["profile"], summary["missing"]) == ("brats2023-met", ["P1", "P2"])
    assert summary["problems"] == dict.fromkeys(("P1", "P2"), "There is no prediction.")


def test_a_comparison_is_under_its_own_names():
    one, other = cohort(GOOD, GOOD), cohort(BAD, GOOD)
    summary = summarise_scores(one, other, one.compared(other))
    assert summary["compare"]["mean"]["ET"]["lesionwise_dice"] == 0.5
    test = summary["wilcoxon"]["ET"]["lesionwise_dice"]
    assert test == {"n": 2, "different": 1, "median_difference": 0.25, "p": 1.0}
    assert summary["wilcoxon"]["ET"]["nsd_1.0"] == {"n": 2, "different": 0, "median_difference": 0.0, "p": None}
    assert summary["wilcoxon"]["ET"]["hd95"]["median_difference"] is None
    assert not {"compare", "wilcoxon"} & set(summarise_scores(one))


def test_the_table_has_a_row_a_region_with_means_and_intervals_in_even_columns():
    lines = mean_table(cohort(GOOD, BAD)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["WT", "TC", "ET"]
    assert "0.500 [0.250, 0.750]" in lines[2]
    assert len({len(line) for line in lines}) == 1
    assert "[" not in mean_table(cohort(GOOD))


def test_the_page_needs_nothing_else_and_its_tags_are_closed():
    one, other = cohort(GOOD, BAD), cohort(BAD, GOOD)
    page = EvaluationPage(one, "ours", other, "theirs", one.compared(other), {"P2": b"\x89PNG"}).html()
    text = Text(page)
    assert text.open == []
    assert "script" not in text.tags
    assert "link" not in text.tags
    assert text.references == ["data:image/png;base64,iVBORw=="]
    assert not re.findall(r"url\(|@import|https?:", page)


def test_the_page_says_profile_rules_means_tests_worst_cases_and_version():
    one, other = cohort(GOOD, BAD), cohort(BAD, BAD)
    words = " ".join(Text(EvaluationPage(one, "ours", other, "theirs", one.compared(other), {"P2": b""}).html()).words)
    for said in (
        profile("brats2023-met").describe(),
        "1 = NETC, 2 = SNFH, 3 = ET",
        "TC = 1 + 3",
        "0.500 [0.250, 0.750]",
        "+0.25, p = 1, n = 2",
        "no case differs",
        "cannot fall below 0.05",
        "P2: mean lesion-wise Dice 0.250",
        f"OncoPrompt {__version__}",
    ):
        assert said in words


def test_problems_are_listed_with_the_names_of_their_cases():
    scores = cohort(GOOD, problem="It ends early.", without_truth=("Q7",), unusable={"P9": "It has no 4."})
    words = Text(EvaluationPage(scores).html()).words
    assert "P1: It ends early." in words
    assert "P9: It has no 4." in words
    assert "Predictions without a truth, not scored: Q7." in words
    assert any("1 case, 1 of them scored as missing" in said for said in words)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a" onerror="x', "a&amp;b", "x'><b>"])
def test_names_stay_text(name):
    rules = profile("brats2023-met")
    case = CaseScores(name, dict.fromkeys(rules.regions, GOOD), f"'{name}' is broken.")
    scores = CohortScores(rules, (case,), (name,))
    text = Text(EvaluationPage(scores, name, scores, name, scores.compared(scores), {name: b""}).html())
    assert "script" not in text.tags
    assert "b" not in text.tags
    assert text.open == []
    assert name in text.words
    assert any(f"'{name}' is broken." in said for said in text.words)


def test_the_page_is_written_whole(tmp_path):
    page = EvaluationPage(cohort(GOOD))
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith(page.html())
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
