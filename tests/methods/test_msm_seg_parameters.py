from collections.abc import Callable

import pytest
import torch

from oncoprompt.methods.msm_seg import HieraConfig, MSMSeg, MSMSegConfig
from oncoprompt.methods.msm_seg.config import HieraSize
from oncoprompt.methods.msm_seg.parameters import analytic_parameter_count


def counted(config: MSMSegConfig) -> dict[str, int]:
    with torch.device("meta"):
        model = MSMSeg(config)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    return {**parts, "total": sum(p.numel() for p in model.parameters())}


def test_hiera_small_has_the_number_of_parameters_its_formulas_give(
    record_property: Callable[[str, object], None],
) -> None:
    analytic = analytic_parameter_count(MSMSegConfig.hiera("small"))
    record_property("hiera_small_parameters", analytic)
    assert counted(MSMSegConfig.hiera("small")) == analytic
    assert analytic["total"] == 51_811_129


@pytest.mark.parametrize("size", ["tiny", "base-plus", "large"])
def test_other_sizes_agree_with_their_formulas(size: HieraSize) -> None:
    config = MSMSegConfig.hiera(size)
    assert isinstance(config.backbone, HieraConfig)
    assert counted(config) == analytic_parameter_count(config)


def test_compact_agrees_with_its_formulas() -> None:
    assert counted(MSMSegConfig.compact()) == analytic_parameter_count(MSMSegConfig.compact())
