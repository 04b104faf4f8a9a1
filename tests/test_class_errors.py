"""Tests of the messages for errors of the classes of a configuration and of the trainer."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback
from torch import nn

from tests.helpers import fit_refusal, make_camvid, refusal
from tests.scoring.runs import block_scene, config, make_run, noise
from uap import transfer
from uap.configuration.class_errors import as_input_error
from uap.utils.errors import InputError


class Broken(Callback):
    """A class that raises an error other than an InputError."""

    def __init__(self, settings: str = "none") -> None:
        self.settings: Any = {"a": 1}[settings]


class NeedsLibrary(Callback):
    """A class that needs a library that is not installed."""

    def __init__(self) -> None:
        import no_such_library.part  # type: ignore[import-not-found]  # noqa: F401


class BrokenNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a callback that raises a KeyError": (
        {"trainer.callbacks": "tests.test_class_errors.Broken"},
        ["trainer.callbacks", "Broken", "KeyError: 'none'", "test_class_errors.py, line"],
    ),
    "a callback without its library": (
        {"trainer.callbacks": "[{class_path: tests.test_class_errors.NeedsLibrary}]"},
        ["trainer.callbacks", "NeedsLibrary", "pip install no_such_library"],
    ),
    "a strategy without its library": ({"trainer.strategy": "deepspeed"}, ["trainer cannot be built", "deepspeed"]),
    "a plugin": (
        {
            "trainer.plugins": "lightning_fabric.plugins.environments.SLURMEnvironment",
            "trainer.plugins.requeue_signal": "SIGNONE",
        },
        ["trainer.plugins"],
    ),
    "a network": (
        {"model.victim.network": "tests.test_class_errors.BrokenNetwork"},
        ["model.victim.network", "BrokenNetwork", "mat1 and mat2"],
    ),
    "a profiler": ({"trainer.profiler": "nope"}, ["trainer cannot be built", "profiler"]),
}

LOGGERS = {"tensorboard": "TensorBoardLogger", "mlflow": "MLFlowLogger", "comet-ml": "CometLogger"}


@pytest.mark.parametrize("name", CASES)
def test_errors_of_classes_print_a_message(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings, parts = CASES[name]
    said = fit_refusal(settings, tmp_path, capsys)
    assert said.count("\n") == 1, said
    for part in parts:
        assert part in said


@pytest.mark.parametrize("library", LOGGERS)
def test_missing_logger_library_is_named(library: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec(library.replace("-", "_")) is not None:
        pytest.skip(f"{library} is installed")
    settings = {"trainer.logger": LOGGERS[library]}
    if library == "tensorboard":
        settings["trainer.logger.save_dir"] = "logs"
    said = fit_refusal(settings, tmp_path, capsys)
    assert said.startswith("error: trainer.logger: ")
    assert said.count("\n") == 1
    assert LOGGERS[library] in said
    assert f"pip install {library}" in said


def test_error_of_lightning_about_the_environment_prints_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert "ntasks-per-node" in fit_refusal({}, tmp_path, capsys)
    root = make_camvid(tmp_path / "camvid")
    run = make_run(tmp_path / "run", config(root, classes=["sky", "building"]), noise(), block_scene())
    assert "ntasks-per-node" in refusal(lambda: transfer.main([str(run)]), capsys)


def test_memory_errors_and_input_errors_are_unchanged() -> None:
    with pytest.raises(MemoryError), as_input_error("Something"):
        raise MemoryError
    with pytest.raises(InputError, match=r"^a sentence$"), as_input_error("Something"):
        raise InputError("a sentence")
