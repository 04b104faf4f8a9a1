"""Test of the walk in docs/adding_an_attack.md: its files are written into a copy of the package and checked there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FILE = re.compile(r"`((?:uap|tests)/[\w/]+\.py)`:\n\n```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A file of the walk: its path, and its content in the block below."""

IMPORT = re.compile(r"^(from uap\.[\w.]+ import (\w+))  # in (uap/\w+/__init__\.py)$", re.MULTILINE)
ROW = re.compile(r"^NamedAttack\(.*\)$", re.MULTILINE)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Follow the walk in a copy of the package and its tests."""
    for name in ("uap", "tests", "configs", "checkpoints", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    page = (ROOT / "docs" / "adding_an_attack.md").read_text()
    for path, content in FILE.findall(page):
        (tmp_path / path).write_text(content)
    for line, name, path in IMPORT.findall(page):
        package = tmp_path / path
        package.write_text(package.read_text().replace("__all__ = [", f'{line}\n\n__all__ = ["{name}", '))
    (row,) = ROW.findall(page)
    names = tmp_path / "uap" / "attacks" / "names.py"
    text = names.read_text().replace("_ROWS = (\n", f"_ROWS = (\n    {row},\n")
    names.write_text(
        text.replace("from uap.attacks.base", "from uap.attacks.l2_steps import L2Steps\nfrom uap.attacks.base")
    )
    return tmp_path


def run(folder: Path, *command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_walk_passes_its_tests_and_checks(copy: Path) -> None:
    new = [path for path, _ in FILE.findall((ROOT / "docs" / "adding_an_attack.md").read_text())]
    assert [Path(path).stem for path in new] == [
        *("replace_class", "logit", "l2_steps", "feature_squeezing"),
        "test_l2_steps",
    ]
    run(copy, "pytest", "-q", "-p", "no:cacheprovider", *new, "tests/test_imports.py", "tests/test_doctests.py")
    run(copy, "ruff", "check", "--fix", "--quiet", ".")
    run(copy, "ruff", "format", "--check", *new)
    run(copy, "mypy", *new)
    run(copy, "uap", "robustness", "--help")
    program = "from uap.attacks import named_attack; print(named_attack('L2Steps').build().rms)"
    done = subprocess.run([sys.executable, "-c", program], cwd=copy, capture_output=True, text=True, check=True)
    assert done.stdout == "2.0\n"
