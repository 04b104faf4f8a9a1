"""Tests that an epoch of many batches is one step, equal to that of one batch of all images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import SIZE, attack_args, make_camvid, save
from uap.fit import main

SETTINGS: dict[str, Any] = {
    "model.victim.network": "tests.helpers.Contrast",
    "model.objective.labels": "ones.png",
    "model.objective.image": "null",
    "model.loss": "uap.losses.CrossEntropy",
    "model.loss.confidence": "null",
    "model.optimizer": "torch.optim.SGD",  # its step depends on the magnitude of the gradient
    "model.optimizer.lr": 100,
    "trainer.max_epochs": 3,
}


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 2])
def test_epoch_of_batches_equals_one_step_on_all_images(tmp_path: Path, batch_size: int) -> None:
    root = make_camvid(tmp_path / "camvid", train=4, val=2)
    save(tmp_path / "ones.png", np.ones(SIZE, np.uint8))
    whole = main(attack_args(root, tmp_path / "whole", **SETTINGS, **{"data.batch_size": 4}))
    together = {
        "data.batch_size": batch_size,
        "trainer.callbacks+": "uap.universal.callbacks.full_batch.FullBatchGradient",
    }
    parts = main(attack_args(root, tmp_path / "parts", **SETTINGS, **together))

    assert parts.trainer.global_step == whole.trainer.global_step == 3
    assert parts.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # the end of the schedule
    expected = whole.model.perturbation.proto.detach()
    assert 1 < expected.abs().max() < 60  # below epsilon, so that nothing is clipped
    torch.testing.assert_close(parts.model.perturbation.proto.detach(), expected, rtol=1e-4, atol=1e-4)
