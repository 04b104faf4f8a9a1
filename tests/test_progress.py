"""Tests of the output of a run: a bar on a terminal, a line per epoch in a log, only results in quiet mode."""

import io
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import attack_args, make_camvid
from uap import fit
from uap.universal.callbacks.progress import EpochLines, ProgressBar, progress_callbacks
from uap.utils.progress import filter_lightning_messages, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", trainer__enable_progress_bar="true")


def test_log_has_a_line_per_epoch(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fit.main(arguments)
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("epoch")]
    assert re.fullmatch(r"epoch 1 of 2: step 3, .*val/success_rate 0\.\d{3}.*, 0:\d\d left", lines[0])
    assert re.fullmatch(r"epoch 2 of 2: step 6, [^:]*", lines[1])
    assert "\r" not in printed
    assert "\x1b" not in printed


def test_quiet_mode_prints_only_results(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UAP_QUIET", "")  # restored after the test
    monkeypatch.setenv("WANDB_SILENT", "")
    levels = {name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning_fabric")}
    fit.main([*arguments, "--quiet"])
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    printed = capsys.readouterr()
    assert re.match(r"\n +training +validation\nsuccess rate", printed.out)
    assert printed.err == ""
    assert "\nquiet" not in (tmp_path / "out" / "config.yaml").read_text()


def test_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert [type(callback) for callback in progress_callbacks()] == [ProgressBar]
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert [type(callback) for callback in progress_callbacks()] == [EpochLines]


@pytest.mark.parametrize(("quiet", "terminal", "shown"), [("", True, True), ("1", True, False), ("", False, False)])
def test_bars_appear_only_on_terminals(
    quiet: str, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UAP_QUIET", quiet)
    stream: Any = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress(iter([1, 2]), "Counting", "thing", 2)) == [1, 2]
    assert ("Counting" in stream.getvalue()) == shown


def test_only_irrelevant_messages_of_lightning_are_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    before = list(logger.filters)
    filter_lightning_messages()
    with caplog.at_level(logging.INFO, logger.name):
        logger.info("💡 Tip: buy this")
        logger.info("TPU available: False, using: 0 TPU cores")
        logger.info("GPU available: False, used: False")
    logger.filters = before
    assert [record.getMessage() for record in caplog.records] == ["GPU available: False, used: False"]
