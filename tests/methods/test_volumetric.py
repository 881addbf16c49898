"""Plain volumetric networks: fixed channels, prompts as channels, nesting, learning, MONAI's own results."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets.dynunet import DynUNet
from torch import Tensor

from oncoprompt.errors import InputError, WeightsError
from oncoprompt.geometry import Grid
from oncoprompt.inference import Session
from oncoprompt.methods.msm_seg import PromptMaps
from oncoprompt.methods.msm_seg.loss import dice_focal
from oncoprompt.methods.msm_seg.region import RegionPolicy
from oncoprompt.methods.region_method import RegionMethod
from oncoprompt.methods.registry import build_network, load_model
from oncoprompt.methods.volumetric.config import CHANNELS, CORES, DynUNetConfig, SegResNetConfig, VolumetricConfig
from oncoprompt.methods.volumetric.cores import DynUNetCore
from oncoprompt.methods.volumetric.loss import volumetric_loss
from oncoprompt.methods.volumetric.network import VolumetricNetwork, VolumetricOutput
from oncoprompt.prompts import Box
from oncoprompt.study import Study

SIZE = (24, 16, 8)
SMALL = {"dynunet": {"filters": [8, 16, 16, 16]}, "segresnet": {"filters": 8, "blocks_down": [1, 1, 1]}}
WIDE = {
    "dynunet": {"filters": [32, 32, 32], "supervised": 1},
    "segresnet": {"filters": 32, "blocks_down": [1, 1], "blocks_up": [1]},
}
every_core = pytest.mark.parametrize("core", CORES)


def network(core: str, **options: bool) -> VolumetricNetwork:
    torch.manual_seed(0)
    built = build_network(core, {"core": SMALL[core], **options}, "test")
    assert isinstance(built, VolumetricNetwork)
    return built


def noise(channels: int = 4, size: tuple[int, int, int] = SIZE) -> Tensor:
    return torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(1))


def prompt(box: bool = True, click: bool = True) -> PromptMaps:
    shading, clicks = torch.zeros(1, 1, *SIZE), torch.zeros(1, 2, *SIZE)
    shading[..., 4:18, 3:12, 2:6] = box
    clicks[:, 0, 10:12, 7:9, 3:5] = click
    return PromptMaps(shading, clicks)


def answer(model: VolumetricNetwork, maps: PromptMaps | None, roles: tuple[str, ...] = CHANNELS) -> Tensor:
    with torch.no_grad():
        output: VolumetricOutput = model.eval()(noise()[:, : len(roles)], roles, maps)
    return output.logits


@every_core
def test_the_default_sizes_are_those_of_the_compact_network(core: str) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in VolumetricNetwork(VolumetricConfig(CORES[core])).parameters())
    assert 4_000_000 <= count <= 6_000_000


@every_core
def test_regions_are_nested_and_have_the_size_of_images_the_core_cannot_halve(core: str) -> None:
    logits = answer(network(core), prompt())
    assert logits.shape == (1, 3, *SIZE)
    assert (logits[:, 2] <= logits[:, 1]).all()
    assert (logits[:, 1] <= logits[:, 0]).all()


@every_core
@pytest.mark.parametrize(("box", "clicks"), [(True, True), (True, False), (False, True), (False, False)])
def test_prompts_change_the_answer_exactly_where_they_are_input_channels(core: str, box: bool, clicks: bool) -> None:
    model = network(core, box=box, clicks=clicks)
    without = answer(model, None)
    assert torch.equal(answer(model, prompt(click=False)), without) != box
    assert torch.equal(answer(model, prompt(box=False)), without) != clicks


def test_the_anatomy_changes_the_answer_exactly_where_it_is_an_input_channel() -> None:
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 4:18, 3:12, 2:6] = 1
    for anatomy in (True, False):
        model = network("segresnet", anatomy=anatomy).eval()
        with torch.no_grad():
            without, given = (model(noise(), CHANNELS, prompt(), a).logits for a in (None, mask))
        assert torch.equal(without, given) != anatomy


def test_a_network_of_other_channels_reads_them_and_no_others() -> None:
    torch.manual_seed(0)
    model = build_network("segresnet", {"core": SMALL["segresnet"], "channels": [*CHANNELS, "ct"]}, "test")
    assert isinstance(model, VolumetricNetwork)
    assert torch.equal(model.encode(noise(1), ("ct",))[:, 4], noise(1)[:, 0])
    assert not model.encode(noise(1), ("ct",))[:, :4].any()
    with pytest.raises(InputError, match="at least one of t1n, t1c, t2w, t2f, ct"):
        model.encode(noise(1), ("pet",))


@settings(max_examples=10)
@given(st.permutations(CHANNELS), st.integers(1, 4))
def test_the_order_of_channels_does_not_matter_and_missing_ones_are_zero(order: list[str], kept: int) -> None:
    model, images = network("segresnet"), noise()
    subset = order[:kept]
    index = [CHANNELS.index(name) for name in subset]
    zeroed = torch.zeros_like(images)
    zeroed[:, index] = images[:, index]
    assert torch.equal(model.encode(images[:, index], tuple(subset)), zeroed)
    assert torch.equal(model.encode(torch.cat([images[:, index], images[:, :1]], 1), (*subset, "pet")), zeroed)


def test_channels_it_cannot_read_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least one of t1n, t1c, t2w, t2f.*ct"):
        network("dynunet").encode(noise(1), ("ct",))


def test_more_supervised_levels_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="at most 1"):
        DynUNetConfig(filters=(8, 8, 8), supervised=2)
    with pytest.raises(InputError, match="one number of blocks up fewer"):
        SegResNetConfig(blocks_down=(1, 2, 2), blocks_up=(1,))


def test_the_core_gives_what_monais_dynunet_gives() -> None:
    torch.manual_seed(0)
    theirs = DynUNet(
        3, 5, 2, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[8, 8, 16, 16], deep_supervision=True, deep_supr_num=2
    )
    mine = DynUNetCore(5, 2, DynUNetConfig((8, 8, 16, 16), supervised=2))
    names = {"first": "input_block", "down": "downsamples", "bottom": "bottleneck", "up": "upsamples"}
    names |= {"head": "output_block", "coarser_heads": "deep_supervision_heads"}
    state = theirs.state_dict()
    mine.load_state_dict({name: state[names[(p := name.split(".", 1))[0]] + "." + p[1]] for name in mine.state_dict()})
    x = noise(5, (16, 16, 8))
    with torch.no_grad():
        stacked, outputs = theirs.train()(x), mine.train()(x)
        assert len(outputs) == 3
        for level, output in enumerate(outputs):
            s = 2**level
            torch.testing.assert_close(output, stacked[:, level, :, ::s, ::s, ::s])
        assert len(mine.eval()(x)) == 1


@every_core
def test_the_gradient_reaches_every_parameter(core: str) -> None:
    model, regions = network(core).train(), torch.zeros(1, 3, *SIZE)
    regions[..., 8:16, 4:12, 2:6] = 1
    volumetric_loss(model(noise(), CHANNELS, prompt()), regions).total.backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]


def test_the_loss_weighs_coarser_levels_half_as_much_each_and_a_perfect_answer_costs_nothing() -> None:
    regions = torch.zeros(1, 3, *SIZE)
    regions[:, :, 8:16, 0:8, :] = 1
    perfect = 40 * regions - 20
    coarser = tuple(torch.nn.functional.avg_pool3d(perfect, cell) for cell in (4, 8))
    assert volumetric_loss(VolumetricOutput(perfect, coarser), regions).total < 1e-3
    wrong = volumetric_loss(VolumetricOutput(-perfect, (-coarser[0], coarser[1])), regions, recall=0.7)
    fine, middle = dice_focal(-perfect, regions, 0.7), dice_focal(-coarser[0], regions[..., ::4, ::4, ::4], 0.7)
    torch.testing.assert_close(wrong.total, (fine + middle / 2) / 1.75, atol=1e-3, rtol=1e-3)


@every_core
def test_a_few_steps_on_one_item_lower_the_loss(core: str) -> None:
    torch.manual_seed(0)
    model = build_network(core, {"core": WIDE[core]}, "test").train()
    regions = torch.zeros(1, 3, *SIZE)
    regions[:, 0, 4:18, 3:12, 2:6] = 1
    regions[:, 1:, 8:14, 5:9, 3:5] = 1
    images = 0.3 * noise(2) + torch.stack([regions[:, 0], regions[:, 2]], dim=1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = volumetric_loss(model(images, ("t2f", "t1c"), prompt()), regions)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(loss.total.item())
    assert losses[-1] < 0.6 * losses[0]


@every_core
def test_a_session_answers_on_the_grid_of_the_scan(core: str) -> None:
    method = RegionMethod(network(core), core, "0" * 64, torch.device("cpu"), RegionPolicy(most_voxels=24))
    image = np.random.default_rng(0).normal(100, 10, (20, 22, 18)).astype(np.float32)
    study = Study({"t2f": image}, Grid(image.shape, np.diag([-2.0, 2.0, 2.0, 1.0])))
    session = Session(study, model=method)
    result = session.segment(Box.from_voxels([[6, 14], [5, 15], [4, 12]], study.grid))
    whole, core_, enhancing = (result.probability(region) for region in ("WT", "TC", "ET"))
    assert whole.shape == study.grid.shape
    assert whole.any()
    assert (enhancing <= core_).all()
    assert (core_ <= whole).all()


@every_core
def test_a_name_without_weights_says_how_to_get_them(core: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOPROMPT_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=rf"model\.name = \"{core}\""):
        load_model(core)
