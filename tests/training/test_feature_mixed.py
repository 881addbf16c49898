"""Features of a partner mixed in while training: absent when off, learnt when on, never needed by what is exported."""

import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.errors import InputError
from oncoprompt.methods.msm_seg import MSMSeg, MSMSegConfig, msm_seg_loss
from oncoprompt.methods.msm_seg.checkpoint import load_own
from oncoprompt.mixing.feature_mixing import GATE_BIAS
from oncoprompt.training.config import MixingSection, TrainingConfig
from oncoprompt.training.feature_mixed import (
    PartneredItem,
    PartneredItems,
    complementary_views,
    mix_features,
    resized,
)
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import Recipe, msm_seg_step
from training.adaptation_items import ROLES, SHAPE, BlobItems, small_network

WEIGHTS = "msm-seg-compact.safetensors"


def config(kind: str, steps: int = 2, **section: object) -> TrainingConfig:
    return TrainingConfig.from_mapping(
        {
            "data": {"workers": 0},
            "optimisation": {"steps": steps, "warmup_steps": 0},
            "mixing": {"kind": kind, "share": 1.0, **section},
            "run": {"accelerator": "cpu", "seed": 5, "log_every": 1},
        }
    )


def recipe() -> Recipe:
    return Recipe(small_network(), BlobItems(1.0), partial(msm_seg_step, recall=0.5))


def train(settings: TrainingConfig, folder, resume=None, stops: bool = False) -> Recipe:
    made = mix_features(recipe(), settings)
    items = Stops(made.items) if stops else made.items
    fit(settings, made.model, items, made.loss, folder, resume)
    return made


class Stops:
    """Items of which the first asks this process to stop."""

    def __init__(self, items) -> None:
        self.items = items

    def item(self, index):
        if index == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.items.item(index)


def partnered(kind: str, **section: object) -> PartneredItem:
    settings = config(kind, **section)
    return PartneredItems(BlobItems(1.0), settings.mixing, 5).item(0)


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    other = second.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.state_dict().items())


def test_kind_none_trains_to_the_bit_as_if_there_were_no_mixing(tmp_path):
    settings = config("none", contrast=5.0, alone_weight=0.0)
    made = recipe()
    assert mix_features(made, settings) is made
    off = train(settings, tmp_path / "off")
    bare = recipe()
    without = replace(settings, mixing=MixingSection())
    fit(without, bare.model, bare.items, bare.loss, tmp_path / "bare")
    assert same_weights(off.model, bare.model)


def test_without_a_partner_an_item_is_learnt_from_to_the_bit_as_in_plain_training(tmp_path):
    plain = train(config("none"), tmp_path / "plain")
    alone = train(config("complementary", share=0.0), tmp_path / "alone")
    assert same_weights(plain.model, alone.model)
    rare = PartneredItems(BlobItems(1.0), config("complementary", share=0.25).mixing)
    assert 3 <= sum(rare.item(index).pairing is not None for index in range(40)) <= 17


@pytest.mark.parametrize("kind", ["complementary", "mixing"])
def test_a_run_resumes_to_the_bit_and_exports_the_network_alone(tmp_path, kind):
    whole = train(config(kind), tmp_path / "whole")
    train(config(kind), tmp_path / "parts", stops=True)
    again = train(config(kind), tmp_path / "parts", resume=tmp_path / "parts" / "state.pt")
    assert same_weights(whole.model, again.model)
    assert same_weights(whole.loss, again.loss)

    exported = load_file(tmp_path / "whole" / WEIGHTS)
    fresh = MSMSeg(MSMSegConfig(backbone=whole.model.config.backbone))
    load_own(fresh, exported, WEIGHTS)
    item = BlobItems(1.0).item(0)
    assert bool(torch.isfinite(msm_seg_step(fresh, item).total))


def test_a_state_of_another_stage_is_refused(tmp_path):
    train(config("complementary"), tmp_path)
    with pytest.raises(InputError, match=r"mixing\.stage = 'block8', the configuration has 'block16'"):
        train(config("complementary", stage="block16"), tmp_path, resume=tmp_path / "state.pt")


@pytest.mark.parametrize("stage", ["block4", "block16"])
def test_any_stage_of_the_network_can_be_mixed(stage):
    made = mix_features(recipe(), config("complementary", stage=stage))
    made.loss(made.model, partnered("complementary")).total.backward()
    assert float(made.loss.mixer.gate.weight.grad.abs().sum()) > 0


def test_a_complementary_partner_trains_every_part_of_the_mixer_and_lowers_the_loss():
    made = mix_features(recipe(), config("complementary"))
    loss, item = made.loss, partnered("complementary")
    start = {name: value.clone() for name, value in loss.mixer.state_dict().items()}
    optimiser = torch.optim.AdamW([*made.model.parameters(), *loss.parameters()], 3e-3)
    totals = []
    for _ in range(6):
        optimiser.zero_grad()
        total = loss(made.model, item).total
        total.backward()
        optimiser.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.95 * totals[0]
    assert float(loss.mixer.gate.bias.detach()) != GATE_BIAS
    assert [name for name, value in loss.mixer.state_dict().items() if torch.equal(value, start[name])] == []
    assert [len(module._forward_hooks) for module in made.model.modules() if module._forward_hooks] == []


def test_the_loss_is_the_weighted_sum_of_its_parts():
    weights = {"alone_weight": 0.25, "consistency": 2.0, "contrast": 3.0}
    loss = mix_features(recipe(), config("complementary", **weights)).loss
    torch.nn.init.normal_(loss.memory)
    found = loss(small_network(), partnered("complementary"))
    parts = found.parts
    alone = parts["prompt"] + parts["modal"] + parts["fusion"]
    assert min(parts["mixed"], parts["consistency"], parts["contrast"]) > 0
    expected = parts["mixed"] + 0.25 * alone + 2.0 * parts["consistency"] + 3.0 * parts["contrast"]
    assert float(found.total.detach()) == pytest.approx(expected, rel=1e-5)


def test_an_open_gate_makes_the_mixture_the_item_itself():
    loss = mix_features(recipe(), config("complementary")).loss
    torch.nn.init.constant_(loss.mixer.gate.bias, 30.0)
    parts = loss(small_network(), partnered("complementary")).parts
    assert parts["mixed"] == pytest.approx(parts["prompt"] + parts["modal"] + parts["fusion"], rel=1e-4)
    assert parts["consistency"] == pytest.approx(0.0, abs=1e-6)


def test_contrast_tells_the_partner_from_those_of_earlier_items():
    loss = mix_features(recipe(), config("complementary")).loss
    network, items = small_network(), PartneredItems(BlobItems(1.0), config("complementary").mixing)
    first, second, third = (loss(network, items.item(index)).parts["contrast"] for index in range(3))
    assert first == 0 < min(second, third)
    assert int((loss.memory.abs().sum(1) > 0).sum()) == 3


def test_complementary_views_share_out_the_channels_and_show_the_same_place():
    whole, rng = BlobItems(1.0).item(0), np.random.default_rng(0)
    for _ in range(10):
        own, partner = complementary_views(whole, rng)
        assert sorted(own.roles + partner.roles) == sorted(ROLES)
        assert torch.equal(own.images[0], whole.images[ROLES.index(own.roles[0])])
        assert own.regions is partner.regions is whole.regions
        inside = whole.regions[0].bool()
        assert float(partner.images[0][inside].mean()) > float(partner.images[0][~inside].mean())
    single = replace(whole, images=whole.images[:1], roles=ROLES[:1])
    own, partner = complementary_views(single, rng)
    assert own.roles == partner.roles == ROLES[:1]
    assert not torch.equal(own.images, partner.images)


def test_mode_mixing_mixes_labels_and_prompt_as_it_mixes_features(monkeypatch):
    made = mix_features(recipe(), config("mixing"))
    item = partnered("mixing")
    share = item.pairing.partners.share[0]
    seen = []
    monkeypatch.setattr(
        "oncoprompt.training.feature_mixed.msm_seg_loss",
        lambda output, regions, recall: seen.append(regions) or msm_seg_loss(output, regions, recall),
    )
    found = made.loss(made.model, item)
    partner = BlobItems(1.0).item(1)
    expected = share * item.own.regions + (1 - share) * partner.regions
    torch.testing.assert_close(seen[1][0], expected)
    assert found.parts["contrast"] == found.parts["consistency"] == 0
    found.total.backward()
    assert float(made.loss.mixer.narrow.weight.grad.abs().sum()) > 0


def test_a_partner_of_another_size_is_stretched_to_the_items():
    item = BlobItems(1.0).item(0)
    stretched = resized(item, torch.Size((24, 16, 32)))
    assert {tuple(v.shape[1:]) for v in (stretched.images, stretched.regions, stretched.box, stretched.clicks)} == {
        (24, 16, 32)
    }
    whole, core, enhancing = stretched.regions
    assert bool((enhancing <= core).all() and (core <= whole).all())
    assert float(whole.mean()) == pytest.approx(float(item.regions[0].float().mean()), rel=0.05)
    assert torch.equal(resized(item, torch.Size(SHAPE)).images, item.images)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"kind": "magic"}, r"mixing\.kind"),
        ({"stage": "block2"}, r"mixing\.stage"),
        ({"share": 1.5}, r"mixing\.share is 1\.5\. It must be in \[0\.0, 1\.0\]"),
        ({"alone_weight": -1.0}, r"mixing\.alone_weight is -1\.0"),
        ({"contrast": float("nan")}, r"mixing\.contrast is nan"),
        ({"concentration": 0.0}, r"mixing\.concentration is 0\.0"),
        ({"kind": "mixing", "share": 1.0, "alone_weight": 0.0}, "never learns to work without a partner"),
    ],
)
def test_a_section_that_cannot_work_is_refused_when_it_is_read(section, told):
    with pytest.raises(InputError, match=told):
        TrainingConfig.from_mapping({"mixing": section})


def test_mixing_is_refused_beside_adaptation_and_for_another_network():
    with pytest.raises(InputError, match="A run takes one of them"):
        TrainingConfig.from_mapping({"adaptation": {"kind": "coral", "real": "x"}, "mixing": {"kind": "mixing"}})
    hiera = small_network()
    hiera.config = MSMSegConfig.hiera()
    with pytest.raises(InputError, match="compact network alone"):
        mix_features(Recipe(hiera, BlobItems(1.0), msm_seg_step), config("mixing"))
