"""Two processes learn what one learns with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.helpers import attack_args, learnt, make_camvid
from uap.fit import main


def test_two_ranks_end_with_the_perturbation_of_one_process(tmp_path: Path) -> None:
    root = make_camvid(tmp_path / "camvid", train=7, val=3)  # odd: one rank is filled up, none counts twice
    changes = {
        "trainer.callbacks+": "tests.helpers.SaveRank",
        "data.batch_size": 1,
        "trainer.devices": 2,
        "trainer.logger": "null",
    }
    command = [sys.executable, "-m", "uap.fit", *attack_args(root, tmp_path / "two", **changes)]
    environment = os.environ | {
        "WANDB_MODE": "offline",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
    }
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    one = main(attack_args(root, tmp_path / "one", **{"data.batch_size": 2}))

    ranks = [torch.load(f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(*ranks)
    assert torch.equal(ranks[0], learnt(tmp_path / "two"))
    same = (learnt(tmp_path / "two") == one.model.perturbation.proto).float().mean()
    assert same > 0.999
    metrics = [(tmp_path / name / "metrics.json").read_text().splitlines()[1:3] for name in ("one", "two")]
    assert metrics[0] == metrics[1]  # success on training and validation images: no image is counted twice
    one_process, two_ranks = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    for details in ("per_image", "by_class"):
        assert one_process[details] == two_ranks[details]
    (offline,) = (tmp_path / "two" / "wandb").glob("offline-run-*")
    assert offline.name.endswith((tmp_path / "two" / "wandb_id.txt").read_text().strip())  # resuming finds this run
    checkpoint = torch.load(tmp_path / "two" / "checkpoints" / "last.ckpt", weights_only=True)
    assert torch.equal(checkpoint["state_dict"]["perturbation.proto"], ranks[0])
