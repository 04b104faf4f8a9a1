"""Every test keeps to its own folder: no cache, no W&B run and no run folder of the user's is touched."""

import os
import sys
from pathlib import Path

import pytest

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

SHARED = Path(os.environ.get("UAP_SHARED", Path(__file__).parents[2] / "shared"))
"""Real images and networks: `camvid/` and `victims/`."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["uap"])  # LightningCLI warns of arguments beside those of a test
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("UAP_RUN_FOLDER", "UAP_QUIET", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared() -> Path:
    if not (SHARED / "camvid").is_dir():
        pytest.skip(f"no real images and networks in {SHARED}; set UAP_SHARED to a folder with camvid/ and victims/")
    return SHARED
