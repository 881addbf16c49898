"""How far a run is, and the learning rate that belongs there."""

import math

from oncoprompt.training.config import OptimisationSection


def completed_fraction(optimisation: OptimisationSection, step: int, elapsed_s: float) -> float:
    """Fraction of the run that is done, `max(step / steps, minutes / max_minutes)`, at most 1."""
    fraction = step / optimisation.steps
    if optimisation.max_minutes is not None:
        fraction = max(fraction, elapsed_s / 60.0 / optimisation.max_minutes)
    return min(1.0, fraction)


def learning_rate(optimisation: OptimisationSection, step: int, fraction: float) -> float:
    """Linear warm-up over the first steps times a cosine from the peak to `final_learning_rate_fraction` of it."""
    floor = optimisation.final_learning_rate_fraction
    cosine = floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * fraction))
    warmup = min(1.0, (step + 1) / max(1, optimisation.warmup_steps))
    return optimisation.learning_rate * warmup * cosine
