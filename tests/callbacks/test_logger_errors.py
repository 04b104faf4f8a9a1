"""Tests that errors of loggers do not stop a run."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import wandb
from pytorch_lightning.loggers import CSVLogger

from tests.helpers import attack_args, make_camvid
from uap.data import CamVid
from uap.fit import main
from uap.universal.callbacks import wandb_run
from uap.universal.callbacks.wandb_run import keep_within

WANDB = ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")


class Failing(CSVLogger):
    """A logger that raises an error in one of its methods, as without a connection."""

    def __init__(self, save_dir: str, method: str) -> None:
        super().__init__(save_dir)
        self.method = method

    def _fail(self, name: str) -> None:
        if name == self.method:
            raise ConnectionError(f"no way to the server of {name}")

    def log_metrics(self, *args: Any, **kwargs: Any) -> None:
        self._fail("log_metrics")

    def save(self) -> None:
        self._fail("save")

    def finalize(self, status: str) -> None:
        self._fail("finalize")


@pytest.mark.parametrize("method", ["log_metrics", "save", "finalize"])
def test_errors_of_loggers_are_warnings(tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    logger = {"logger": "tests.callbacks.test_logger_errors.Failing", "logger.save_dir": tmp_path / "logs"}
    changes = {f"trainer.{name}": value for name, value in (logger | {"logger.method": method}).items()}
    main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **changes))
    printed = capsys.readouterr().out
    assert (tmp_path / "out" / "metrics.json").exists()
    assert f"warning: Failing failed, and its data is incomplete: no way to the server of {method}" in printed
    assert (printed.rindex("warning: Failing") > printed.index("success rate")) == (method != "save")


def test_error_of_an_artifact_is_a_warning_after_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any) -> None:
        raise PermissionError("Unable to write staging files")

    monkeypatch.setattr("uap.universal.callbacks.dashboard.log_artifact", fail)
    main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"trainer.logger": "null"}))
    wandb.finish()
    printed = capsys.readouterr().out
    assert printed.index("Unable to write staging files") > printed.index("success rate")


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a home folder that cannot be created."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(wandb_run, "OWN", set())
    for name in WANDB:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_wandb_needs_no_home_folder_and_prints_one_line(
    tmp_path: Path, no_home: None, capsys: pytest.CaptureFixture[str]
) -> None:
    main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"trainer.logger": "null"}))
    wandb.finish()
    wandb.teardown()
    printed = "".join(capsys.readouterr()).splitlines()
    assert list((tmp_path / "out" / "wandb" / "artifacts" / "staging").iterdir())
    lines = [line for line in printed if line.startswith(("wandb", "\33[1;34mwandb")) and "netrc" not in line]
    assert len(lines) == 1
    assert f"wandb sync {tmp_path / 'out' / 'wandb' / 'offline-run-'}" in lines[-1]


def test_wandb_folders_are_in_the_run_unless_set_by_the_user(
    tmp_path: Path, no_home: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_CACHE_DIR", "mine")
    keep_within(tmp_path / "one")
    keep_within(tmp_path / "two")
    assert [os.environ[name] for name in WANDB] == [
        str(tmp_path / "two" / "wandb"), "mine", str(tmp_path / "cache" / "wandb"),
    ]  # fmt: skip


def test_existing_wandb_configuration_is_read(tmp_path: Path, no_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "wandb").mkdir(parents=True)
    (tmp_path / ".config" / "wandb" / "settings").touch()
    keep_within(tmp_path)
    assert "WANDB_CONFIG_DIR" not in os.environ


@pytest.mark.parametrize("cores", [1, 2])
def test_number_of_workers_is_limited_to_the_cores(cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    data = CamVid(str(make_camvid(tmp_path / "camvid")), size=(24, 32), num_workers=4)
    data.setup("fit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaders = data.loader("train", shuffle=True), data.loader("scored", shuffle=False)
    assert [loader.num_workers for loader in loaders] == [cores, cores]
