"""Fixtures for all tests: each test has its own folder, cache and W&B settings."""

import contextlib
import logging
import os
import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # a thread for each process of pytest; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from safetensors import SafetensorError, safe_open

from uap.utils.progress import LIGHTNING

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background lets pytest ignore it
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

SHARED = Path(os.environ.get("UAP_SHARED", Path(__file__).parents[2] / "shared"))
"""The folder of real images and networks, `camvid/` and `victims/`."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test in its own folder, and check afterwards that every perturbation in it is within its epsilon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # a configuration adds to it
    monkeypatch.setattr("uap.configuration.config_paths._added", [])
    monkeypatch.setattr("uap.utils.paths._folders", [])
    monkeypatch.setattr(sys, "argv", ["uap"])  # LightningCLI warns of arguments beside those of a test
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for name in ("UAP_RUN_FOLDER", "UAP_QUIET", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    levels = {name: logging.getLogger(name).level for name in LIGHTNING}
    yield
    for name, level in levels.items():  # a quiet run turns them down
        logging.getLogger(name).setLevel(level)
    for largest, epsilon, file in [*perturbations(tmp_path), *checkpoints(tmp_path)]:
        assert largest <= epsilon, file


def perturbations(folder: Path) -> Iterator[tuple[float, float, Path]]:
    """Return the largest entry and the epsilon of each perturbation file, without the check of `load_perturbation`."""
    for file in folder.rglob("perturbation.safetensors"):
        with contextlib.suppress(SafetensorError), safe_open(file, "pt") as opened:  # some tests damage it
            epsilon = (opened.metadata() or {}).get("epsilon")
            if epsilon is not None and "proto" in opened.keys():  # noqa: SIM118
                yield float(opened.get_tensor("proto").abs().max()), float(torch.tensor(float(epsilon))), file


def checkpoints(folder: Path) -> Iterator[tuple[float, float, Path]]:
    """Return the same for each checkpoint of a run with clipping; with `start_epsilon`, that bound."""
    for file in folder.rglob("checkpoints/*.ckpt"):
        try:
            found = torch.load(file, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # some tests damage it
            continue
        if isinstance(found, dict) and found.get("uap", {}).get("parametrization") == "clip":
            epsilon = found["uap"].get("start_epsilon") or found["uap"]["epsilon"]
            bound = float(torch.tensor(float(epsilon)))
            yield float(found["state_dict"]["perturbation.proto"].abs().max()), bound, file


@pytest.fixture
def shared() -> Path:
    if not (SHARED / "camvid").is_dir():
        pytest.skip(f"no real images and networks in {SHARED}; set UAP_SHARED to a folder with camvid/ and victims/")
    return SHARED
