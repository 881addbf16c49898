"""What happens where training within an experiment is stopped."""

from oncoprompt.errors import OncoPromptError


class UnfinishedError(OncoPromptError):
    """Training was stopped before its time; the same command goes on where it was."""
