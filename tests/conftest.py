"""Every test keeps to its own folder: no cache, no W&B run and no run folder of the user's is touched."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from uap.errors import InputError
from uap.perturbation import load_perturbation

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

SHARED = Path(os.environ.get("UAP_SHARED", Path(__file__).parents[2] / "shared"))
"""Real images and networks: `camvid/` and `victims/`."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep to a folder of the test's own, and hold every perturbation in it to its epsilon when the test is over."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["uap"])  # LightningCLI warns of arguments beside those of a test
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("UAP_RUN_FOLDER", "UAP_QUIET", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    yield
    for file in tmp_path.rglob("perturbation.safetensors"):
        with contextlib.suppress(InputError):  # some tests damage it
            perturbation = load_perturbation(file)[0]
            assert float(perturbation.proto.detach().abs().max()) <= float(torch.tensor(perturbation.epsilon)), file


@pytest.fixture
def shared() -> Path:
    if not (SHARED / "camvid").is_dir():
        pytest.skip(f"no real images and networks in {SHARED}; set UAP_SHARED to a folder with camvid/ and victims/")
    return SHARED
