"""Errors a person can act on; every message says what was wrong, what was found and what to do."""


class OncoPromptError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(OncoPromptError, ValueError):
    """Data, a prompt or an option given by the caller cannot be used; the command line exits with code 2."""


class WeightsError(OncoPromptError):
    """Weights are missing, damaged or do not fit the model; the command line exits with code 3."""
