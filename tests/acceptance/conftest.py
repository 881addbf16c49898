"""Fixtures of the acceptance tests."""

import pytest

from acceptance.threshold import Threshold


@pytest.fixture
def threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads, checks, prompts and writes is the program's; what looks at voxels is a threshold."""
    import oncoprompt.inference.session as session

    monkeypatch.setattr(session, "load_model", lambda *_: Threshold())
