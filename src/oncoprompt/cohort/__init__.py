"""Data sets as they lie on disk: their cases in any known layout, split by patient, and checked."""

from oncoprompt.cohort.case import Case, Source
from oncoprompt.cohort.cohort import Cohort, Problem
from oncoprompt.cohort.read import LAYOUTS, read_cohort
from oncoprompt.cohort.split import Split, folds, split_cohort

__all__ = ["LAYOUTS", "Case", "Cohort", "Problem", "Source", "Split", "folds", "read_cohort", "split_cohort"]
