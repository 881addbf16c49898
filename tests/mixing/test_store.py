"""The store of fields: who is paired, what is fitted once, what is read back."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mixing.heads import ball_case, random_field, texture_head
from oncoprompt.errors import InputError
from oncoprompt.mixing.mix import Mixture, mix
from oncoprompt.mixing.store import FieldStore, choose_pairs, random_mix
from oncoprompt.mixing.velocity_field import FitSettings

QUICK = FitSettings(iterations=2, windows=8)


@pytest.fixture(scope="module")
def heads():
    return [texture_head(f"case-{seed}", seed=seed) for seed in range(1, 7)]


def test_in_a_small_set_everyone_is_paired_with_everyone(heads):
    pairs = choose_pairs(heads[:3], np.random.default_rng(0))
    assert sorted(pairs) == sorted((a.name, b.name) for a in heads[:3] for b in heads[:3] if a is not b)


def test_a_larger_set_keeps_to_its_budget_and_everyone_has_as_many_partners(heads):
    rng = np.random.default_rng(0)
    pairs = choose_pairs(heads, rng, most_pairs=18)
    assert len(pairs) == len(set(pairs)) == 18
    assert all(source != target for source, target in pairs)
    assert all(sum(source == head.name for source, _ in pairs) == 3 for head in heads)
    assert len(choose_pairs(heads, rng, most_partners=2)) == 12
    assert len(choose_pairs(heads, rng, most_pairs=1)) == 6


def test_the_head_most_alike_is_always_a_partner(heads):
    twin = replace(heads[0], name="twin")
    pairs = choose_pairs([*heads, twin], np.random.default_rng(0), most_partners=2)
    assert (heads[0].name, "twin") in pairs
    assert ("twin", heads[0].name) in pairs


def test_only_cases_that_share_a_channel_are_paired(heads):
    other = replace(heads[2], channels=("t1c", "t2f"))
    assert sorted(choose_pairs([*heads[:2], other], np.random.default_rng(0))) == [
        ("case-1", "case-2"),
        ("case-2", "case-1"),
    ]
    assert choose_pairs([heads[0], other], np.random.default_rng(0)) == []


def test_a_field_is_fitted_once_and_again_only_if_it_is_damaged_or_was_fitted_for_less_long(heads, tmp_path, caplog):
    store = FieldStore(tmp_path / "fields")
    first = store.fit(heads[0], heads[1], QUICK)
    path = store.path("case-1", "case-2")
    written = path.stat().st_mtime_ns
    assert torch.equal(store.fit(heads[0], heads[1], QUICK).velocity, first.velocity)
    assert path.stat().st_mtime_ns == written
    assert store.fit(heads[0], heads[1], replace(QUICK, iterations=3)).iterations == 3
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(store.fit(heads[0], heads[1], QUICK).velocity, first.velocity)
    assert "Fitted again" in caplog.text
    assert store.partners("case-1") == ["case-2"]
    assert store.partners("case-2") == []


def test_missing_and_swapped_fields_are_refused(tmp_path):
    store = FieldStore(tmp_path)
    with pytest.raises(InputError, match="no velocity field from 'a' to 'b1'"):
        store.field("a", "b1")
    random_field(1).save(store.path("a", "b2"))
    with pytest.raises(InputError, match="from 'a' to 'b1'"):
        store.field("a", "b2")


def test_a_random_mix_can_be_made_again_from_what_it_is_made_of(tmp_path):
    store, case = FieldStore(tmp_path), ball_case()
    for seed in (1, 2):
        random_field(seed).save(store.path("a", f"b{seed}"))
    mixed, mixture = random_mix([replace(case, name="without fields"), case], store, np.random.default_rng(4))
    assert mixed.name == "a-mix"
    again = Mixture(mixture.anchor, tuple(mixture.partners), tuple(mixture.weights), mixture.time)
    fields = [store.field("a", name) for name in again.partners]
    assert torch.equal(mix(case, fields, again.weights, again.time).images, mixed.images)
    with pytest.raises(InputError, match="No velocity field"):
        random_mix([replace(case, name="other")], store, np.random.default_rng(0))
    with pytest.raises(InputError, match="moves case 'a'"):
        store.mix(replace(case, name="other"), mixture)
