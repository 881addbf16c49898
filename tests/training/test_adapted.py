"""Training with unlabelled scans: each way adds its term, keeps what it learns and leaves the export alone."""

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from oncoprompt.adaptation.cyclegan import CycleGANConfig, ResNetGenerator
from oncoprompt.adaptation.self_training import VolumeLimits
from oncoprompt.errors import InputError
from oncoprompt.geometry import Grid
from oncoprompt.methods.interface import Encoding, RegionProbabilities
from oncoprompt.study import write_nifti
from oncoprompt.training.adapted import (
    AdaptedLoss,
    AdversarialLoss,
    CoralLoss,
    MeanTeacherLoss,
    PrototypeLoss,
    TranslationLoss,
    View,
    adapt,
)
from oncoprompt.training.config import TrainingConfig
from oncoprompt.training.feed import feed
from oncoprompt.training.fit import fit
from oncoprompt.training.recipe import build
from oncoprompt.training.translator import Patches, train_translator
from oncoprompt.training.unlabelled import pseudo_labelled, read_unlabelled
from training.adaptation_items import BlobItems, config, pairs, small_network

SMALL_GAN = CycleGANConfig(width=4, blocks=1, edge_kernel=3, discriminator_width=4, steps=2)


def _loss(kind: str, **section: object) -> AdaptedLoss:
    settings = config(kind, **section).adaptation
    network = small_network()
    torch.manual_seed(3)
    return {
        "adversarial": lambda: AdversarialLoss(settings, 0.5, network.config.dim),
        "coral": lambda: CoralLoss(settings, 0.5),
        "prototypes": lambda: PrototypeLoss(settings, 0.5, network.config.fine_dim),
        "mean-teacher": lambda: MeanTeacherLoss(settings, 0.5, network),
        "cyclegan": lambda: TranslationLoss(settings, 0.5, ResNetGenerator(SMALL_GAN)),
    }[kind]()


class Stops:
    """Pairs of which the first asks this process to stop, so that one of two steps is done."""

    def item(self, index):
        if index == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return pairs().item(index)


KINDS = ("adversarial", "coral", "prototypes", "mean-teacher", "cyclegan")


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_trains_and_resumes_to_the_bit_and_exports_the_network_alone(tmp_path, kind):
    whole, parts = small_network(), small_network()
    fit(config(kind), whole, pairs(), _loss(kind, confidence=0.5), tmp_path / "whole")

    fit(config(kind), parts, Stops(), _loss(kind, confidence=0.5), tmp_path / "parts")
    again = small_network()
    state = tmp_path / "parts" / "state.pt"
    fit(config(kind), again, pairs(), _loss(kind, confidence=0.5), tmp_path / "parts", resume=state)
    exported = load_file(tmp_path / "whole" / "msm-seg-compact.safetensors")
    assert set(exported) == set(whole.state_dict())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    first, second = (torch.load(tmp_path / p / "state.pt", weights_only=True)["loss"] for p in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def _term(loss: AdaptedLoss, network=None, index: int = 0) -> float:
    return float(loss(network or small_network(), pairs().item(index)).parts["adaptation"])


@pytest.mark.parametrize("kind", ["adversarial", "coral", "prototypes", "mean-teacher"])
def test_the_term_counts_from_its_start_only(kind):
    loss = _loss(kind, start=0.5, confidence=0.5)
    loss.limits = VolumeLimits(most_change=1e9)
    loss.before_step(0.4)
    assert _term(loss) == 0
    loss.before_step(0.5)
    assert _term(loss) > 0


@pytest.mark.parametrize("kind", ["coral", "prototypes"])
def test_descending_the_term_lowers_it(kind):
    loss, network = _loss(kind, confidence=0.5), small_network()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    item = pairs().item(0)
    loss(network, item)
    terms = []
    for _ in range(8):
        optimiser.zero_grad()
        view = View.of(network, item.synthetic)
        term = loss.term(network, view, item)
        term.backward()
        optimiser.step()
        terms.append(float(term.detach()))
    assert terms[-1] < 0.8 * terms[0]


def test_the_network_works_against_the_discriminators_that_the_same_pass_trains(monkeypatch):
    loss, network, item = _loss("adversarial"), small_network(), pairs().item(0)
    loss.before_step(1.0)
    view = View.of(network, item.synthetic)
    loss.term(network, view, item).backward()
    parameters = dict(network.named_parameters())
    name = "backbone.to_coarse.weight"
    reversed_gradient = parameters[name].grad.clone()
    network.zero_grad()
    monkeypatch.setattr("oncoprompt.training.adapted.reversal_strength", lambda _: -0.1)
    loss.term(network, View.of(network, item.synthetic), item).backward()
    assert float(reversed_gradient.abs().max()) > 0
    assert torch.allclose(parameters[name].grad, -reversed_gradient, rtol=1e-2, atol=1e-9)


def test_the_teacher_follows_the_student_slowly(tmp_path):
    loss, network = _loss("mean-teacher", teacher_decay=0.9), small_network()
    loss.after_step(network)
    before = loss.teacher.module.backbone.stem.clone()
    with torch.no_grad():
        network.backbone.stem.add_(1.0)
    loss.after_step(network)
    assert torch.allclose(loss.teacher.module.backbone.stem, before + 0.1, atol=1e-5)


def test_a_teacher_whose_volume_has_run_away_teaches_nothing(monkeypatch):
    loss, item, network = _loss("mean-teacher", confidence=0.5), pairs().item(0), small_network()
    view = View.of(network, item.synthetic)
    with torch.no_grad():
        volume = int((View.of(network, item.real).output.logits[0, 0] > 0).sum())
    shape = item.real.regions.shape
    for share, taught in ((1.0, True), (0.2, False), (0.0, False)):
        earlier = torch.zeros(shape).flatten(1)
        earlier[:, : int(share * volume)] = 1
        real = replace(item.real, regions=earlier.view(shape))
        assert (float(loss.term(network, view, replace(item, real=real)).detach()) > 0) is taught


def test_the_share_of_items_asked_for_is_translated_and_keeps_its_labels():
    loss = _loss("cyclegan", translated_share=0.5)
    changed = []
    for index in range(40):
        item = pairs().item(index)
        seen = loss.prepared(item)
        assert seen.regions is item.synthetic.regions
        changed.append(not torch.equal(seen.images, item.synthetic.images))
    assert 10 < sum(changed) < 30
    assert not any(p.requires_grad for p in loss.parameters())


def test_a_translator_is_trained_once_and_goes_on_from_its_file(tmp_path):
    def train(folder: Path, until: int | None) -> ResNetGenerator:
        patches = Patches(BlobItems(1.0), BlobItems(2.0, seed=1), small_network(), 24, 4)
        return train_translator(patches, SMALL_GAN, folder, until)

    whole = train(tmp_path / "whole", None)
    train(tmp_path / "parts", 1)
    again = train(tmp_path / "parts", None)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    (tmp_path / "parts" / "translator.pt").write_bytes(b"no state")
    with pytest.raises(InputError, match=r"translator\.pt"):
        train(tmp_path / "parts", None)


def _write_scans(folder: Path, shape: tuple[int, int, int] = (40, 48, 40)) -> None:
    """A ball of a brain with a brighter ball in it, two channels at 4 mm, and a label map nobody should open."""
    folder.mkdir(parents=True)
    grid = Grid(shape, np.diag([4.0, 4.0, 4.0, 1.0]))
    distance = np.sqrt(sum((a - n / 2) ** 2 for a, n in zip(np.indices(shape), shape, strict=True)))
    rng = np.random.default_rng(0)
    for name in ("t1c", "t2f"):
        image = ((distance < 15) * (100 + rng.normal(0, 5, shape)) + (distance < 4) * 60).astype(np.float32)
        write_nifti(folder / f"case-{name}.nii.gz", image, grid)
    (folder / "case-seg.nii.gz").write_bytes(b"not a label map")


def test_scans_are_read_without_their_label_maps(tmp_path, caplog):
    _write_scans(tmp_path / "cases" / "a")
    (tmp_path / "cases" / "empty").mkdir()
    cases = read_unlabelled(tmp_path / "cases")
    assert [case.channels for case in cases] == [("t1c", "t2f")]
    assert int(cases[0].labels.max()) == 0
    assert "'empty'" in caplog.text
    with pytest.raises(InputError, match="no folder"):
        read_unlabelled(tmp_path / "elsewhere")


class Seer:
    """A method that sees a cube of so many voxels in the middle of any study."""

    name, weights_sha256 = "seer", ""

    def __init__(self, side: int) -> None:
        self.side = side

    def encode(self, study, region):
        return Encoding(study.grid, None)

    def decode(self, encoding, prompts, study, previous=None):
        values = np.full((3, self.side, self.side, self.side), 0.9, np.float32)
        values[2, self.side // 2 :] = 0.1
        return RegionProbabilities(values, (70, 80, 70))


@pytest.mark.parametrize(("side", "labelled"), [(20, True), (3, False), (75, False)])
def test_what_is_seen_becomes_pseudo_labels_unless_its_volume_is_absurd(tmp_path, caplog, side, labelled):
    _write_scans(tmp_path / "cases" / "a")
    case = pseudo_labelled(read_unlabelled(tmp_path / "cases"), Seer(side))[0]
    assert case.labels.dtype == torch.uint8
    if labelled:
        assert int((case.labels > 0).sum()) == side**3
        assert int((case.labels == 3).sum()) == side**3 // 2
        assert int(case.labels[75, 85, 72]) == 3
    else:
        assert int(case.labels.max()) == 0
        assert "no plausible volume" in caplog.text


def test_a_folder_of_scans_in_the_configuration_is_all_that_adapting_needs(tmp_path):
    _write_scans(tmp_path / "cases" / "a")
    settings = TrainingConfig.from_mapping(
        {
            "model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}},
            "data": {"workers": 0, "options": {"least_voxels": 16, "least_voxels_unboxed": 16, "most_voxels": 16}},
            "optimisation": {"steps": 2},
            "adaptation": {"kind": "coral", "real": str(tmp_path / "cases")},
            "run": {"accelerator": "cpu", "threads": 1},
        }
    )
    recipe = build(settings)
    adapted = adapt(replace(recipe, items=BlobItems(1.0)), settings, tmp_path / "run")
    first, again = (next(feed(adapted.items, 1, 1, settings.data)).item for _ in range(2))
    assert torch.equal(first.real.images, again.real.images)
    assert max(first.real.images.shape) == 16
    fit(settings, adapted.model, adapted.items, adapted.loss, tmp_path / "run")
    with (tmp_path / "run" / "log.csv").open() as file:
        assert all(float(row["adaptation"]) > 0 for row in csv.DictReader(file))


def test_without_adaptation_the_recipe_is_left_as_it_is(tmp_path):
    settings = TrainingConfig.from_mapping({"model": {"options": {"backbone": {"widths": [8, 8, 16, 16]}}}})
    recipe = build(settings)
    assert adapt(recipe, settings, tmp_path) is recipe


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"kind": "coral"}, r"needs adaptation\.real"),
        ({"kind": "magic", "real": "x"}, "kind"),
        ({"confidence": 0.3}, r"adaptation\.confidence is 0\.3"),
        ({"patch": 8}, r"adaptation\.patch is 8"),
    ],
)
def test_a_section_that_cannot_work_is_refused_when_it_is_read(section, told):
    with pytest.raises(InputError, match=told):
        TrainingConfig.from_mapping({"adaptation": section})


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs" / "adaptation").glob("*.toml")))
def test_the_committed_example_is_of_the_kind_its_name_says(path):
    settings = TrainingConfig.read(path)
    assert settings.adaptation.kind == path.stem
    assert (Path(__file__).parents[2] / str(settings.model.weights)).is_file()
