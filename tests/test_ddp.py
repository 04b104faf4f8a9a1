"""Tests that two processes learn the same perturbation as one with the same global batch."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

from tests.helpers import attack_args, learned, make_camvid, one_thread
from uap.fit import main
from uap.universal.callbacks.ranks import Ranks, _digest


@pytest.mark.slow
def test_two_ranks_learn_the_perturbation_of_one_process(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=7, val=3)  # odd: one rank is filled up, none counts twice
    changes = {
        "trainer.callbacks+": "tests.helpers.SaveRank",
        "data.batch_size": 1,
        "trainer.devices": 2,
        "trainer.logger": "null",
    }
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "two", **changes)]
    environment = one_thread() | {"WANDB_MODE": "offline"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    one = main(attack_args(root, tmp_path / "one", **{"data.batch_size": 2}))

    ranks = [torch.load(f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(*ranks)
    assert torch.equal(ranks[0], learned(tmp_path / "two"))
    same = (learned(tmp_path / "two") == one.model.perturbation.proto).float().mean()
    assert same > 0.999
    metrics = [(tmp_path / name / "metrics.json").read_text().splitlines()[1:3] for name in ("one", "two")]
    assert metrics[0] == metrics[1]  # success on training and validation images: no image is counted twice
    one_process, two_ranks = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert [run["clean_images_predicted"] for run in (two_ranks, one_process)] == [7 + 3, 0]  # shared out, and kept
    for details in ("per_image", "by_class"):
        assert one_process[details] == two_ranks[details]
    (offline,) = (tmp_path / "two" / "wandb").glob("offline-run-*")
    assert offline.name.endswith((tmp_path / "two" / "wandb_id.txt").read_text().strip())  # resuming finds this run
    checkpoint = torch.load(tmp_path / "two" / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.equal(checkpoint["state_dict"]["perturbation.proto"], ranks[0])


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_unreadable_image_of_one_rank_is_named(tmp_path: Path, split: str) -> None:
    root = make_camvid(tmp_path / "camvid")
    picture = root / split / "frame_001.png"
    picture.write_bytes(picture.read_bytes()[:400])  # its size can be read, its pixels cannot
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "two", **{"trainer.devices": 2})]
    run = subprocess.run(command, env=one_thread(), capture_output=True, text=True, timeout=120, check=False)
    # predictions on what is scored come before the training, and all ranks end alike; later the others see one go
    assert run.returncode == (2 if split == "val" else 1)
    assert f"{split}/frame_001.png" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_accumulating_ranks_equal_one_process_with_the_whole_batch(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=7, val=2)  # the last step of an epoch has 3 images and a filler
    summed = {"data.batch_size": 1, "trainer.devices": 2, "trainer.accumulate_grad_batches": 2}
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "two", **summed)]
    subprocess.run(command, env=one_thread(), capture_output=True, timeout=240, check=True)
    one = main(attack_args(root, tmp_path / "one", **{"data.batch_size": 4}))
    same = (learned(tmp_path / "two") == one.model.perturbation.proto).float().mean()
    assert same > 0.999


@pytest.mark.slow
def test_two_torchrun_nodes_learn_the_perturbation_of_one_process(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=4, val=2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    changes = {"data.batch_size": 1, "trainer.num_nodes": 2, "trainer.devices": 1, "trainer.accelerator": "cpu"}
    nodes = []
    for node in (0, 1):
        torchrun = ["torch.distributed.run", "--nnodes=2", f"--node-rank={node}", "--nproc-per-node=1"]
        place = ["--master-addr=127.0.0.1", f"--master-port={port}", "-m", "uap.fit"]
        command = [sys.executable, "-m", *torchrun, *place, *attack_args(root, tmp_path / "two", **changes)]
        nodes.append(subprocess.Popen(command, env=one_thread(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    for process in nodes:
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 0, printed.decode()
    one = main(attack_args(root, tmp_path / "one", **{"data.batch_size": 2}))
    same = (learned(tmp_path / "two") == one.model.perturbation.proto).float().mean()
    assert same > 0.999


@pytest.mark.slow
def test_killed_rank_is_named_and_ends_the_run(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid")
    changes = {"trainer.devices": 2, "data.batch_size": 1, "trainer.max_epochs": 500}
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "out", **changes)]
    run = subprocess.Popen(command, env=one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    checkpoint = tmp_path / "out" / "checkpoints" / "last.ckpt"
    while not checkpoint.exists() and run.poll() is None:
        time.sleep(0.1)
    (child,) = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(child), signal.SIGKILL)
    begin = time.monotonic()
    _, errors = run.communicate(timeout=120)

    assert time.monotonic() - begin < 60
    assert run.returncode in (1, -signal.SIGKILL)  # Lightning's own watch, every five seconds, may come first
    assert f"error: rank 1 was ended by SIGKILL, which has ended the run. Continue with --config {tmp_path}" in errors
    assert "Traceback" not in errors.split("error: rank 1")[1]
    epoch = torch.load(checkpoint, weights_only=True)["epoch"]
    given = [f"--config={tmp_path / 'out' / 'config.yaml'}", f"--ckpt_path={checkpoint}"]
    same = ["--trainer.devices=1", "--trainer.accumulate_grad_batches=2"]
    assert main([*given, *same, f"--trainer.max_epochs={epoch + 2}"]).trainer.current_epoch == epoch + 2


def test_ended_rank_is_named_before_lightning_kills_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    child.wait()
    strategy = SimpleNamespace(launcher=SimpleNamespace(procs=[child]))
    trainer: Any = SimpleNamespace(strategy=strategy, local_rank=0, default_root_dir=tmp_path, world_size=2)
    printed_at_kill = []
    monkeypatch.setattr(os, "kill", lambda *_: printed_at_kill.append(capsys.readouterr().err))
    ranks, module = Ranks(), cast(Any, None)
    ranks.on_fit_start(trainer, module)
    _ChildProcessObserver(main_pid=os.getpid(), child_processes=[child])._run()
    assert [err.count("error: rank 1 was ended by SIGKILL") for err in printed_at_kill] == [1]

    with pytest.raises(SystemExit):
        ranks.on_exception(trainer, module, RuntimeError("Connection closed by peer"))
    assert "error" not in capsys.readouterr().err
    ranks.teardown(trainer, module, "fit")


@pytest.mark.slow
def test_different_ranks_stop_the_run_before_the_checkpoint(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=4, val=2)
    changes = {"trainer.devices": 2, "trainer.max_epochs": 4, "trainer.callbacks+": "tests.helpers.Differ"}
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "out", **changes)]
    run = subprocess.run(command, env=one_thread(), capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 1
    assert "After epoch 1 rank 1 has another perturbation than rank 0. The last checkpoint is of the" in run.stderr
    assert torch.load(tmp_path / "out/checkpoints/last.ckpt", weights_only=True)["epoch"] == 0
    assert not (tmp_path / "out/perturbation.safetensors").exists()


@pytest.mark.parametrize(("other", "differs"), [(torch.zeros(3), False), (torch.tensor([0.0, 0.0, 1e-7]), True)])
def test_different_ranks_are_detected(monkeypatch: pytest.MonkeyPatch, other: torch.Tensor, differs: bool) -> None:
    def gather(hashes: list[str], own: str) -> None:
        hashes[:] = [own, _digest(other)]

    monkeypatch.setattr(torch.distributed, "all_gather_object", gather)
    attack: Any = SimpleNamespace(perturbation=SimpleNamespace(parameter=torch.zeros(3)))
    trainer: Any = SimpleNamespace(world_size=2, current_epoch=3, default_root_dir="runs/a")
    message = "After epoch 3 rank 1 has another perturbation than rank 0. The last .* runs/a/checkpoints"
    with pytest.raises(RuntimeError, match=message) if differs else contextlib.nullcontext():
        Ranks().on_train_epoch_end(trainer, attack)
