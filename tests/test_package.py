"""The package as a stranger meets it: names, versions, typing marker, what importing it costs."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import oncoprompt

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert project["version"] == oncoprompt.__version__ == importlib.metadata.version("oncoprompt")
    assert f"version: {oncoprompt.__version__}\n" in citation
    assert f"## {oncoprompt.__version__}" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["Anatomy", "Box", "Click", "Segmentation", "Session", "Study", "Text"])
def test_the_public_names_are_there(name):
    assert getattr(oncoprompt, name).__name__ == name
    assert name in dir(oncoprompt)


def test_a_name_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(AttributeError, match=r"no attribute 'Scan'.*Study"):
        _ = oncoprompt.Scan


def test_importing_the_package_imports_neither_torch_nor_numpy():
    code = "import sys, oncoprompt; print({'torch', 'numpy', 'nibabel'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_package_says_that_it_is_typed():
    assert (Path(oncoprompt.__file__).parent / "py.typed").is_file()


def test_every_dependency_is_pinned_in_the_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    assert all("==" in line and "/" not in line for line in lines)
    assert {need.split(">=")[0].lower().replace("_", "-") for need in needed} <= pinned


def test_bundled_weights_match_their_manifests():
    import hashlib
    import json

    manifests = list((Path(oncoprompt.__file__).parent / "weights").rglob("*.json"))
    if not manifests:
        pytest.skip("no bundled weights: src/oncoprompt/weights")
    for path in manifests:
        manifest = json.loads(path.read_text())
        content = path.with_suffix(".safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == manifest["sha256"]
        assert manifest["licence"] == "Apache-2.0"
        assert len(content) <= 20_000_000  # docs/decisions/0011-companion.md
