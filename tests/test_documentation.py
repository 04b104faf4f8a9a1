"""Tests that the Python code in README.md, docs/ and the notebook runs."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image

from uap.victims import __main__ as check_victim

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"

FENCE = re.compile(r"^([ \t]*)```python(?:[ \t]+(?!notest)[^\n]*)?\n(.*?)^\1```[ \t]*$", re.MULTILINE | re.DOTALL)
"""A block of Python code, its indentation and its code. A block that starts with ```python notest is not run."""


def fences(text: str) -> list[str]:
    """Return the code of each block after as many empty lines as in the page, so that errors show the right line."""
    found = []
    for block in FENCE.finditer(text):
        indent, code = block.groups()
        lines = [line.removeprefix(indent) for line in code.splitlines(keepends=True)]
        found.append("\n" * (text[: block.start()].count("\n") + 1) + "".join(lines))
    return found


PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if fences(path.read_text())]


def run(sources: list[str], name: str) -> None:
    """Run the sources in order as one module."""
    namespace = {"__name__": "__main__"}
    for source in sources:
        exec(compile(source, name, "exec"), namespace)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_of_pages_runs(page: Path) -> None:
    run(fences(page.read_text()), str(page))


def test_only_python_blocks_without_notest_run() -> None:
    skipped = "```python notest\na\n```\n```\nb\n```\n"
    text = f"text\n```python\nc = 3\n```\n{skipped}1. item\n   ```python\n   d = 4\n   ```\n"
    assert fences(text) == ["\n" * 2 + "c = 3\n", "\n" * 12 + "d = 4\n"]


def test_own_network_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs the blocks of "Your network", which need the files of a user."""
    section = (ROOT / "README.md").read_text().split("## Your network")[1].split("\n## ")[0]
    code, block = re.findall(r"```(?:python notest|yaml)\n(.*?)```", section, re.DOTALL)
    layers = "nn.Conv2d):\n    def __init__(self, outputs):\n        super().__init__(3, outputs, 3, padding=1)\n"
    Path("my_net.py").write_text(f"from torch import nn\n\n\nclass Net({layers}")
    Path("my_network.yaml").write_text(block)
    torch.save(torch.nn.Conv2d(3, 5, 3, padding=1).state_dict(), "net.pth")
    Image.new("RGB", (48, 32), (90, 120, 150)).save("street.png")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    run([code], "README.md")
    check_victim.main(["my_network.yaml", "--image", "street.png"])
    assert "mean confidence" in capsys.readouterr().out


@pytest.mark.slow
def test_notebook_runs_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    try:
        run(["".join(cell["source"]) for cell in cells], str(NOTEBOOK))
    finally:
        plt.close("all")
    assert list(tmp_path.iterdir()) == []
