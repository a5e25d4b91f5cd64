"""The shipped configurations are valid; an error in a configuration is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aoi.errors import ConfigError
from aoi.experiment.config import config_folder, dump_config, load_config, parse_change, parse_config


@pytest.mark.parametrize("path", sorted(config_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_load_and_round_trip(path: Path) -> None:
    config = load_config(path)
    assert parse_config(yaml.safe_load(dump_config(config)), "dump") == config
    assert config.name == path.stem


def test_overrides_reach_nested_values() -> None:
    texts = ["training.epochs=3", "network.layers.0.neurons=7", "data.source='a b'"]
    config = load_config(config_folder() / "digits.yaml", map(parse_change, texts))
    assert config.training.epochs == 3
    assert config.network.layers[0].neurons == 7  # type: ignore[union-attr]
    assert config.data.source == "a b"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=3", "unknown key 'training.epoch'"),
        ("training.epochs=many", "'training.epochs' = 'many'"),
        ("training.epochs=-1", "'training.epochs' = -1"),
        ("network.readout=loud", "'network.readout' = 'loud'"),
        ("network.neuron.threshold=64", "'network.neuron.threshold' = 64"),
        ("training.epochs", "expected key=value"),
        ("name.first=x", "has no keys below it"),
        ("training.epochs=[", "is not a YAML value"),
        ("data.splits.validation=0.9", "leaves nothing to train on"),
        ("training.regulariser.target=[0.1, 0.2]", "training.regulariser.target: 2 targets for 1 hidden layers"),
    ],
)
def test_error_names_key_and_value(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(config_folder() / "digits.yaml", [parse_change(override)])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "- a list", "a: [", "\x00", "&a [*a]", "name: x"])
def test_invalid_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"x\.yaml"):
        load_config(path)
    with pytest.raises(ConfigError):
        load_config(tmp_path)
