"""What the command line says is said to a person at a shell: it names flags and files, and no Python."""

import ast
import re
from pathlib import Path

import pytest

import oncoprompt
from cli.shell import write_labels
from oncoprompt.cli import main
from oncoprompt.methods.names import MODELS
from oncoprompt.methods.registry import list_models

SOURCE = Path(oncoprompt.__file__).parent
PYTHON = re.compile(r"\w\(|\boncoprompt\.\w|=\s?None\b|\b[A-Z][a-z]+[A-Z]?[a-z]*Session\b|\w+=\[|\w+=\{\{?'")
"""A call, a module, a keyword's list or mapping: ways of writing Python."""
ERRORS = re.compile(r"\w*(Input|Weights|Training|Output)Error")
QUOTED = re.compile(r"'oncoprompt [^']*'|'hf [^']*'|'pip [^']*'")
"""Commands of a shell, as messages quote them."""


def raised() -> list[tuple[str, str]]:
    """Place and text of every message of an error that this package raises on purpose."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.fullmatch(
                r"\w*(Input|Weights|Training|Output)Error", _name(node.func)
            ):
                shell = [keyword.value for keyword in node.keywords if keyword.arg == "in_shell"]
                text = " ".join(_text(argument) for argument in shell or node.args)
                found.append((f"{path.relative_to(SOURCE)}:{node.lineno}", text))
    return found


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _text(node: ast.expr) -> str:
    """The literal text of a message; a value that is put in stands as X."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "X"


def test_no_message_tells_a_person_to_write_python() -> None:
    messages = raised()
    assert len(messages) > 200
    python = [f"{place}: {text}" for place, text in messages if PYTHON.search(QUOTED.sub("", text))]
    assert python == []


def test_the_pattern_finds_python() -> None:
    for text in ("Use Study.read(path)", "see oncoprompt.training.item_pool", "Use it with SliceSession.", "X=['t2f']"):
        assert PYTHON.search(text)
    assert not PYTHON.search("Give one (--channel t1c=FILE), 3 of 4 files.")


def test_the_names_known_without_torch_are_those_of_the_registry() -> None:
    assert list(MODELS) == [card.name for card in list_models()]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one sentence on standard error of a verb that exits with 2."""
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    told = capsys.readouterr()
    assert left.value.code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("oncoprompt: ")
    return told.err


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        ("segment -i {0}/nowhere -o {0}/x.nii.gz", "--input"),
        ("segment --channel t1c={0}/nowhere -o {0}/x.nii.gz", "--channel t1c"),
        ("segment -i {0} -o {0}/x.nii.gz --anatomy {0}/nowhere", "--anatomy"),
        ("segment -i {0} -o {0}/x.nii.gz --click 1", "--click"),
        ("segment -i {0} -o {0}/x.nii.gz --no-click 1 2 3.5", "--no-click"),
        ("segment -i {0} -o {0}/x.nii.gz --click nan 2 3", "--click"),
        ("segment -i {0} -o {0}/x.nii.gz --click 1 2 3 --no-click 1,2,3", "--no-click 1 2 3 contradict"),
        ("segment -i {0} -o {0}/x.nii.gz --box 1 2 3 4 5", "--box"),
        ("segment -i {0} -o {0}/x.nii.gz --box 4 2 3 4 5 6", "--box"),
        ("segment -i {0} -o {0}/x.nii.gz --box 1 2 3 4 5 inf", "--box"),
        ("segment -i {0} -o {0}/x.nii.gz --model unet", "--model"),
        ("segment -i {0} -o {0}/x.nii.gz --text glioma", "--text"),
        ("segment -i {0} -o {0}/x.nii.gz --text= --model tags-compact", "--text"),
        ("segment -i {0} -o {0}/x.nii.gz --device abacus", "--device"),
        ("segment -i {0} -o {0}/x.nii.gz --schema brats1999", "--schema"),
        ("segment -i {0} -o {0}/nowhere/x.nii.gz", "--output"),
        ("segment -i {0} -o {0}/x.nii.gz --overlay {0}/nowhere/x.png", "--overlay"),
        ("evaluate --truth {0}/nowhere --prediction {0} --profile brats2023-gli", "--truth"),
        ("evaluate --truth {0} --prediction {0}/nowhere --profile brats2023-gli", "--prediction"),
        ("evaluate --truth {0} --prediction {0} --profile unheard", "--profile"),
        ("evaluate --truth {0} --prediction {0} --profile brats2023-gli --schema unheard", "--schema"),
        ("mix {0}/nowhere -o {0}/out", "DATASET"),
        ("finetune --data {0}/nowhere -o {0}/out", "--data"),
        ("finetune --data {0} -o {0}/out --minutes 0", "--minutes"),
        ("finetune --data {0} -o {0}/out --model unet", "--model"),
        ("train -c {0}/nowhere -o {0}/out", "--config"),
        ("train -c {0} -o {0}/out", "--config"),
        ("synthesize -o {0}/out --anatomy {0}/nowhere", "--anatomy"),
        ("synthesize -o {0}/out --replay {0}", "--replay"),
        ("demo -o {0}/out --model unet", "--model"),
        ("data list {0}/nowhere", "DATA"),
        ("data check {0} --schema unheard", "--schema"),
        ("segment -o {0}/x.nii.gz --colour red", "--colour"),
        ("synthesize -o {0}/out -n 0", "--number"),
        ("evaluate --truth {0}", "--prediction"),
    ],
)
def test_what_is_wrong_is_told_by_its_flag_and_nothing_is_made(tmp_path, capsys, arguments: str, flag: str) -> None:
    given = [part.replace("{0}", str(tmp_path)) for part in arguments.split()]
    assert flag in refused(capsys, *given)
    assert list(tmp_path.iterdir()) == []


def test_a_usage_error_comes_with_an_example(capsys) -> None:
    assert "Example: oncoprompt synthesize -n 4" in refused(capsys, "synthesize")
    assert "See oncoprompt data --help." in refused(capsys, "data", "lst")


def test_a_scan_that_names_no_channel_is_told_with_the_flag_that_names_it(tmp_path, capsys) -> None:
    write_labels(tmp_path / "data" / "scan.nii.gz")
    told = refused(capsys, "segment", "-i", tmp_path / "data" / "scan.nii.gz", "-o", tmp_path / "x.nii.gz")
    assert "--channel t1c=scan.nii.gz" in told
    assert "Study" not in told
