"""Examples in docstrings run in an empty folder, so that those that write files leave nothing behind."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def empty_folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change into an empty folder for a docstring's example."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(tmp_path)
