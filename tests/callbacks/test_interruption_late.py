"""Tests of interruptions after the last epoch, and of accumulated gradients of several ranks."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule

from tests.helpers import attack_args, make_camvid, trainer_between_steps
from uap.fit import main
from uap.universal.callbacks.interruption import Interruption, check_processes
from uap.utils.run_folder import LAST


def test_ranks_resume_from_the_mean_of_accumulated_gradients() -> None:
    """The mean of the gradients of the ranks in the next step stays the same."""
    module: Any = LightningModule()
    module.used = torch.nn.Linear(1, 1, bias=False)
    module.used.weight.grad = torch.full((1, 1), 1.0)
    others = torch.full((1, 1), 5.0)
    strategy = SimpleNamespace(
        reduce_boolean_decision=lambda flag, all: flag if all else True,  # the other rank received a signal
        reduce=lambda gradient, reduce_op: getattr(torch.stack([gradient, others]), reduce_op)(0),
    )
    trainer = trainer_between_steps(2, strategy)
    stopped, resumed = Interruption(), Interruption()
    stopped.on_train_batch_end(trainer, module, None, None, 0)
    resumed.load_state_dict(stopped.state_dict())
    resumed.on_train_batch_start(trainer, module, None, 0)
    assert float(module.used.weight.grad) == 3.0
    module.used.weight.grad += 1
    resumed.on_train_batch_start(trainer, module, None, 1)
    assert float(module.used.weight.grad) == 4.0  # the gradient is restored only once


@pytest.mark.parametrize(
    "changes",
    [{"trainer.max_epochs": 1}, {"trainer.max_steps": 3}, {"trainer.callbacks+": "tests.helpers.EndAt"}],
)
def test_signal_after_the_last_epoch_ends_the_run_immediately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """No further step follows after which the run could end, and SLURM would kill it before its metrics exist."""
    root = make_camvid(tmp_path / "camvid")
    arguments = [*attack_args(root, tmp_path / "out", **changes), "--trainer.callbacks+=tests.helpers.SignalAtEnd"]
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    monkeypatch.delenv("UAP_SIGNAL")
    assert ended.value.code == 143
    assert torch.load(tmp_path / "out" / LAST, weights_only=True)["global_step"] == 3
    main([f"--config={tmp_path / 'out/config.yaml'}", f"--ckpt_path={tmp_path / 'out' / LAST}"])
    assert (tmp_path / "out/metrics.json").is_file()


def test_checkpoint_between_epochs_fits_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = {"callbacks+": "tests.helpers.Signal", "callbacks.batch": 3, "callbacks.number": int(signal.SIGTERM)}
    changes = {f"trainer.{name}": value for name, value in sender.items()}
    monkeypatch.setenv("UAP_SIGNAL", "0")
    with pytest.raises(SystemExit):  # in the last batch of the first epoch
        main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **changes))
    checkpoint = torch.load(tmp_path / "out" / LAST, weights_only=True)
    assert checkpoint["global_step"] == 3
    for processes in (1, 2, 8):
        check_processes(checkpoint, processes)
