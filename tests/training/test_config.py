"""Training configurations: read from TOML, nothing misspelt gets through."""

from pathlib import Path

import pytest

from oncoprompt.errors import InputError
from oncoprompt.training.config import OptimisationSection, TrainingConfig
from oncoprompt.training.schedule import completed_fraction, learning_rate

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("msm-seg-*.toml")), ids=lambda path: path.stem)
def test_every_committed_configuration_builds_a_network_and_its_items(path):
    from oncoprompt.methods.registry import network_config

    config = TrainingConfig.read(path)
    assert network_config(config.model.name, config.model.options, "Training configuration")


def test_values_of_the_file_replace_defaults_and_others_stay(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[optimisation]\nsteps = 7\nbetas = [0.8, 0.9]\n[data.options]\nleast_voxels = 64\n")
    config = TrainingConfig.read(path)
    assert config.optimisation == OptimisationSection(steps=7, betas=(0.8, 0.9))
    assert config.data.options == {"least_voxels": 64}


def test_a_configuration_survives_the_way_through_a_mapping():
    config = TrainingConfig.from_mapping({"run": {"seed": 3}, "optimisation": {"max_minutes": 5}})
    assert TrainingConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[optimisation]\nstep = 7\n", "unknown name 'optimisation.step'. Accepted names: steps, max_minutes"),
        ("[optimiser]\nsteps = 7\n", "unknown name 'optimiser'. Accepted names: model, data, optimisation, run"),
        ("[optimisation]\nsteps = 'many'\n", "'optimisation.steps' is 'many'"),
        ("[run]\nprecision = 'half'\n", "'run.precision' is 'half'"),
        ("model = 'msm-seg-compact'\n", "'model' is 'msm-seg-compact', but it is a table"),
        ("[optimisation]\naccumulate = 0\n", "optimisation.accumulate is 0. It must be at least 1"),
        ("[optimisation]\nmax_minutes = -1.0\n", "optimisation.max_minutes is -1.0"),
        ("[optimisation]\nema_decay = 1.0\n", "optimisation.ema_decay is 1.0"),
        ("[run]\nprecision = '16-mixed'\n", "'run.precision' is '16-mixed'"),
        ("[run]\ndevices = 0\n", "run.devices is 0. It must be at least 1"),
        ("[run]\nstrategy = 'fsdp'\n", "'run.strategy' is 'fsdp'"),
        ("[validation]\nevery_steps = 0\n", "validation.every_steps is 0. It must be at least 1"),
        ("[data]\ncohort = 'a'\npool = 'b'\n", "data.cohort and data.pool are both given"),
        ("[data]\nsplit = 'split.json'\n", "data.split is given without data.cohort"),
        ("[data]\nsynthetic_share = 0.5\n", "data.synthetic_share is given without data.cohort"),
        ("[data]\ncohort = 'a'\nsynthetic_share = 1.5\n", "data.synthetic_share is 1.5. It must be in [0, 1]"),
        ("[run\n", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong(tmp_path, text, told):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        TrainingConfig.read(path)
    assert told in str(caught.value)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml' cannot be read"):
        TrainingConfig.read(tmp_path / "none.toml")


def test_misspelt_options_of_the_network_are_refused_with_the_names_it_has():
    from oncoprompt.methods.registry import network_config

    config = TrainingConfig.from_mapping({"model": {"options": {"memory": {"slice": 5}}}})
    with pytest.raises(InputError, match=r"unknown name 'model.options.memory.slice'. Accepted names: slices"):
        network_config(config.model.name, config.model.options, "Training configuration")


def test_options_of_the_network_reach_it():
    from oncoprompt.methods.registry import network_config

    config = TrainingConfig.from_mapping({"model": {"options": {"memory": {"slices": 5}, "dim": 64}}})
    network = network_config(config.model.name, config.model.options, "Training configuration")
    assert (network.memory.slices, network.dim) == (5, 64)


def test_the_learning_rate_warms_up_linearly_and_ends_at_its_floor():
    settings = OptimisationSection(steps=100, warmup_steps=10, learning_rate=2.0, final_learning_rate_fraction=0.1)
    rates = [learning_rate(settings, step, completed_fraction(settings, step, 0.0)) for step in range(101)]
    assert rates[0] == pytest.approx(0.2, rel=0.01)
    assert max(rates) == pytest.approx(2.0, rel=0.05)
    assert rates[100] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_greater_of_steps_and_minutes_says_how_far_the_run_is():
    settings = OptimisationSection(steps=100, max_minutes=10.0)
    assert completed_fraction(settings, 50, 60.0) == 0.5
    assert completed_fraction(settings, 50, 450.0) == 0.75
    assert completed_fraction(settings, 50, 4500.0) == 1.0
