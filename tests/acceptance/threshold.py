"""A method without a network, for tests of what the program reads, checks, prompts and writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import Result
from numpy.typing import NDArray
from typer.testing import CliRunner

from oncoprompt.cli.app import app
from oncoprompt.cli.arguments import gathered
from oncoprompt.methods.interface import Encoding, Prompt, RegionProbabilities
from oncoprompt.study import Study

DARK, BRIGHT = 100.0, 200.0


class Threshold:
    """Tumour is what is brighter than halfway between dark and bright in the first channel."""

    name = "threshold"
    weights_sha256 = "0" * 64

    def encode(self, study: Study, region: NDArray[np.int64] | None) -> Encoding:
        return Encoding(study.grid, None)

    def decode(self, encoding: Encoding, prompts: Sequence[Prompt], study: Study, *_: Any) -> RegionProbabilities:
        bright = next(iter(study.channels.values())) > (DARK + BRIGHT) / 2
        return RegionProbabilities(np.repeat(np.where(bright, 0.99, 0.01)[None].astype(np.float32), 3, 0), (0, 0, 0))


def shell(*arguments: str | Path) -> Result:
    """What the command line does with arguments, in this process."""
    return CliRunner().invoke(app, gathered([str(argument) for argument in arguments]))
