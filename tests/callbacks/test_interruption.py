"""Tests that a run interrupted by a signal saves a checkpoint, and that the resumed run equals an uninterrupted one."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule

from tests.helpers import attack_args, learned, make_camvid, trainer_between_steps
from uap.cli.entry import run_command
from uap.fit import main
from uap.universal.callbacks.interruption import Interruption, check_processes
from uap.universal.callbacks.results import Results
from uap.utils.errors import InputError
from uap.utils.run_folder import LAST
from uap.utils.slurm import requeue

TERM, INT, USR1 = int(signal.SIGTERM), int(signal.SIGINT), int(signal.SIGUSR1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def signalled(batch: int, number: int = TERM, **changes: Any) -> dict[str, Any]:
    """Run three epochs of three batches with a signal at a batch (from 1) of the second epoch."""
    sender = {"callbacks+": "tests.helpers.Signal", "callbacks.batch": batch, "callbacks.number": number}
    return {f"trainer.{name}": value for name, value in sender.items()} | {"trainer.max_epochs": 3} | changes


def resume(folder: Path, **changes: Any) -> None:
    arguments = {"config": folder / "config.yaml", "ckpt_path": folder / LAST, **changes}
    main([f"--{name}={value}" for name, value in arguments.items()])


WORKERS = {"data.num_workers": 2}
OTHERS: list[dict[str, Any]] = [
    {"model.random_shift": True},
    {"trainer.accumulate_grad_batches": 2},
    {"model.optimizer": "torch.optim.Adam", "model.optimizer.lr": 5},
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "changes"), [(batch, WORKERS) for batch in (1, 4, 5, 9, 0)] + [(5, changes) for changes in OTHERS]
)
def test_interrupted_and_resumed_run_equals_uninterrupted_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, changes: dict[str, Any]
) -> None:
    changes = signalled(batch, **changes)
    main(attack_args(root, tmp_path / "whole", **changes))
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit) as ended:
        main(attack_args(root, tmp_path / "ended", **changes))
    monkeypatch.delenv("UAP_SIGNAL")
    assert ended.value.code == 143
    assert not (tmp_path / "ended" / "perturbation.safetensors").exists()
    steps = torch.load(tmp_path / "ended" / LAST, weights_only=True)["global_step"]
    resume(tmp_path / "ended")

    assert steps == (batch or 3) or "trainer.accumulate_grad_batches" in changes
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))
    csv = [(tmp_path / name / "metrics.csv").read_text() for name in ("ended", "whole")]
    assert csv[0] == csv[1]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a SLURM job with one task; return the file with the arguments of `scontrol`."""
    calls, programs = tmp_path / "calls", tmp_path / "bin"
    programs.mkdir()
    for name in ("scontrol", "srun"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    task = {"JOB_ID": "4711", "JOB_NAME": "attack", "NTASKS": "1", "NTASKS_PER_NODE": "1", "PROCID": "0"}
    for name, value in (task | {"LOCALID": "0", "NODEID": "0", "NODELIST": "localhost"}).items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("batch", [5, 3])  # within an epoch, and at its end
def test_slurm_requeues_the_command_after_usr1(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Path, batch: int
) -> None:
    changes = signalled(batch, USR1)
    main(attack_args(root, tmp_path / "whole", **changes))
    command = attack_args(root, tmp_path / "ended", **changes)
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit) as ended:
        main(command)
    monkeypatch.delenv("UAP_SIGNAL")
    assert ended.value.code == 128 + USR1
    assert job.read_text() == "scontrol requeue 4711\n"
    assert not list(tmp_path.rglob("hpc_ckpt*"))
    main(command)

    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))
    csv = [(tmp_path / name / "metrics.csv").read_text() for name in ("ended", "whole")]
    assert csv[0] == csv[1]


def test_other_signals_do_not_requeue(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Path) -> None:
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit) as ended:
        main(attack_args(root, tmp_path / "ended", **signalled(5)))
    assert ended.value.code == 128 + TERM
    assert not job.exists()


def test_usr1_before_the_training_requeues(
    job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"ARRAY_JOB_ID": "47", "ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: os.kill(os.getpid(), USR1))
    assert ended.value.code == 128 + USR1
    assert job.read_text() == "scontrol requeue 47_3\n"

    monkeypatch.setenv("SLURM_PROCID", "1")  # of all processes the first one speaks for the job
    assert requeue() == ""
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("PATH", "")
    assert "by hand: scontrol requeue 47_3" in requeue()
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    assert requeue() == ""
    assert job.read_text().count("\n") == 1


REAL_GRADIENTS: dict[str, Any] = {
    "model.victim.network": "uap.networks.ESPNet",
    "model.victim.network.classes": 11,
    "model.victim.network.q": 1,
    "model.victim.classes": "camvid",
}
"""Settings of a network with a gradient at every pixel."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "together"),
    [
        (2, "--trainer.callbacks+=uap.universal.callbacks.full_batch.FullBatchGradient"),
        (5, "--trainer.callbacks+=uap.universal.callbacks.full_batch.FullBatchGradient"),
        (4, "--trainer.accumulate_grad_batches=2"),
    ],
)
def test_accumulated_gradient_is_continued(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, together: str
) -> None:
    changes = signalled(batch, **REAL_GRADIENTS)
    main([*attack_args(root, tmp_path / "whole", **changes), together])
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit):
        main([*attack_args(root, tmp_path / "ended", **changes), together])
    monkeypatch.delenv("UAP_SIGNAL")
    (summed,) = torch.load(tmp_path / "ended" / LAST, weights_only=True)["callbacks"]["Interruption"]["summed"]
    assert summed.count_nonzero() > 1000
    resume(tmp_path / "ended")
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))


@pytest.mark.slow
def test_interrupted_run_prints_its_results(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = signalled(5, INT)
    main(attack_args(root, tmp_path / "whole", **changes))
    monkeypatch.setenv("UAP_SIGNAL", "0")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(attack_args(root, tmp_path / "ended", **changes))
    monkeypatch.delenv("UAP_SIGNAL")
    printed = capsys.readouterr().out
    assert ended.value.code == 130
    assert re.search(r"SIGINT: the run saves .*success rate .*stopped after 5 steps; continue with", printed, re.DOTALL)
    assert (tmp_path / "ended" / "metrics.json").is_file()
    assert not torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))
    resume(tmp_path / "ended")
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))


def test_second_signal_ends_the_run_immediately(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit) as ended:
        main(attack_args(root, tmp_path / "ended", **signalled(2, **{"trainer.callbacks.times": 2})))
    assert ended.value.code == 143
    assert not (tmp_path / "ended" / LAST).exists()


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "uap.fit", *command],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        start_new_session=True,
    )


@pytest.mark.slow
def test_workers_continue_after_a_signal_to_all_processes(root: Path, tmp_path: Path) -> None:
    changes = signalled(5, **{"trainer.callbacks.group": True, "data.num_workers": 2})
    ended = run(attack_args(root, tmp_path / "ended", **changes), UAP_SIGNAL="0")
    assert ended.returncode == 143, ended.stderr
    assert "stopped after 5 steps" in ended.stdout
    assert "Traceback" not in ended.stderr
    main(attack_args(root, tmp_path / "whole", **changes))
    resume(tmp_path / "ended")
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))


@pytest.mark.slow
def test_signal_to_one_rank_ends_all(root: Path, tmp_path: Path) -> None:
    changes = signalled(3, **{"trainer.devices": 2, "data.batch_size": 1, "trainer.accumulate_grad_batches": 2})
    whole = run(attack_args(root, tmp_path / "whole", **changes))
    assert whole.returncode == 0, whole.stderr
    ended = run(attack_args(root, tmp_path / "ended", **changes), UAP_SIGNAL="1")
    assert ended.returncode == 143, ended.stderr
    checkpoint = f"--ckpt_path={tmp_path / 'ended' / LAST}"
    resumed = run([f"--config={tmp_path / 'ended' / 'config.yaml'}", checkpoint])
    assert resumed.returncode == 0, resumed.stderr
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))


@pytest.mark.slow
def test_interrupted_run_does_not_count_as_finished(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = signalled(5, INT)
    main(attack_args(root, tmp_path / "whole", **changes))
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit):
        main(attack_args(root, tmp_path / "ended", **changes))
    monkeypatch.delenv("UAP_SIGNAL")
    with monkeypatch.context() as killed:
        killed.setattr(Results, "on_train_end", fail)
        with pytest.raises(RuntimeError, match="killed"):
            resume(tmp_path / "ended")
    resume(tmp_path / "ended")
    assert torch.equal(learned(tmp_path / "ended"), learned(tmp_path / "whole"))


def fail(*args: Any) -> None:
    raise RuntimeError("killed")


def test_checkpoint_within_an_epoch_needs_the_same_number_of_processes() -> None:
    checkpoint = {"callbacks": {"Interruption": {"summed": [], "ranks": 2}}}
    check_processes(checkpoint, 2)
    check_processes({"callbacks": {"Interruption": {"summed": [], "ranks": 0}}}, 1)
    with pytest.raises(InputError, match=r"within an epoch of 2 processes, here there are 1\. Resume with"):
        check_processes(checkpoint, 1)


def test_invalid_resume_does_not_change_the_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit):
        main(attack_args(root, tmp_path / "out", **signalled(5, TERM)))
    monkeypatch.delenv("UAP_SIGNAL")
    last = tmp_path / "out/checkpoints/last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint["callbacks"]["Interruption"]["ranks"] == 1
    checkpoint["callbacks"]["Interruption"]["ranks"] = 2
    torch.save(checkpoint, last)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="within an epoch of 2 processes"):
        resume(tmp_path / "out")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_accumulated_gradients_are_restored_to_their_parameters() -> None:
    module: Any = LightningModule()
    module.unused, module.used = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    module.used.weight.grad = torch.full((1, 1), 3.0)
    strategy = SimpleNamespace(
        reduce_boolean_decision=lambda flag, all: flag, reduce=lambda gradient, reduce_op: gradient
    )
    trainer = trainer_between_steps(1, strategy)
    stopped, resumed = Interruption(), Interruption()
    stopped.received = TERM
    stopped.on_train_batch_end(trainer, module, None, None, 0)
    module.used.weight.grad = None
    resumed.load_state_dict(stopped.state_dict())
    resumed.on_train_batch_start(trainer, module, None, 0)
    assert module.unused.weight.grad is None
    assert float(module.used.weight.grad) == 3.0


def test_closed_output_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", broken)
    interruption = Interruption()
    interruption._waits = True
    interruption._note(INT, None)
    assert interruption.received == INT
