"""Tests of the universal attack against closed forms, and of its invariants."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import SIZE, Contrast, KeepSteps, attack_args, learned, make_camvid, refuses, save
from uap.fit import main
from uap.objectives import Goal
from uap.universal.module import UniversalAttack
from uap.utils.errors import InputError, Kind

CONTRAST: dict[str, Any] = {
    "model.victim.network": "tests.helpers.Contrast",
    "model.objective.labels": "ones.png",
    "model.objective.image": "null",
    "model.loss": "uap.losses.CrossEntropy",
    "model.loss.confidence": "null",
    "model.epsilon": 7,
    "model.optimizer.lr": 2,
}
OTHER: dict[str, Any] = {
    "class_path": "uap.victims.Victim",
    "init_args": {
        "network": {"class_path": "tests.helpers.Brightness", "init_args": {"threshold": 90.0}},
        "classes": ["sky", "building"],
    },
}
FULL_BATCH = "uap.universal.callbacks.full_batch.FullBatchGradient"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save(tmp_path / "ones.png", np.ones(SIZE, np.uint8))
    return make_camvid(tmp_path / "camvid", train=5)


def test_perturbation_of_a_linear_network_is_epsilon_times_sign_of_weights(root: Path, tmp_path: Path) -> None:
    cli = main(attack_args(root, tmp_path / "out", **CONTRAST, **{"trainer.max_epochs": 3}))

    best = 7 * torch.tensor(Contrast.WEIGHTS).sign().view(3, 1, 1).expand(3, *SIZE)
    assert torch.equal(cli.model.perturbation.proto.detach(), best)
    assert torch.equal(learned(tmp_path / "out"), best)


def test_full_batch_step_does_not_depend_on_the_batch_size(root: Path, tmp_path: Path) -> None:
    protos = []
    for batch_size in (2, 5):
        changes = {"data.batch_size": batch_size, "trainer.callbacks+": FULL_BATCH, "model.optimizer.momentum": 0.5}
        cli = main(attack_args(root, tmp_path / str(batch_size), **changes))
        assert cli.trainer.global_step == cli.trainer.max_epochs
        protos.append(cli.model.perturbation.proto.detach())

    assert torch.equal(*protos)
    assert protos[0].abs().max() > 0


@pytest.mark.parametrize("ensemble", [[], [OTHER]])
def test_gradient_of_uneven_batches_equals_gradient_of_all_images(
    root: Path, tmp_path: Path, ensemble: list[dict[str, Any]]
) -> None:
    gradients: list[Tensor] = []
    for batch_size in (2, 5):
        attack = prepared_attack(root, tmp_path / f"out{batch_size}", batch_size, **{"model.ensemble": ensemble})
        loader = attack.trainer.datamodule.loader("train", shuffle=True)  # type: ignore[attr-defined]
        for index, batch in enumerate(loader):
            attack.training_step(batch, index).backward()  # type: ignore[no-untyped-call]
        assert attack.perturbation.proto.grad is not None
        gradients.append(attack.perturbation.proto.grad * batch_size)

    assert torch.allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-4 * float(gradients[1].abs().max()))


def test_loss_is_summed_over_pixels_and_averaged_over_images(root: Path, tmp_path: Path) -> None:
    attack = prepared_attack(root, tmp_path / "out", 5)
    (batch,) = attack.trainer.datamodule.loader("train", shuffle=False)  # type: ignore[attr-defined]
    logits = attack.victim(attack.perturbation(batch["image"]))
    pixels = attack.loss(logits, Goal(batch["target"].long()))
    assert attack.training_step(batch, 0).item() == pytest.approx(pixels.sum().item() / 5, rel=1e-5)


def prepared_attack(root: Path, out: Path, batch_size: int, **changes: Any) -> UniversalAttack:
    """Return an attack with its data set up, after a fit without steps."""
    cli = main(attack_args(root, out, **{"data.batch_size": batch_size, "trainer.max_epochs": 0, **changes}))
    attack: UniversalAttack = cli.model
    attack.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]  # outside of a loop
    return attack


def test_perturbation_is_within_epsilon_after_every_step_and_in_files(root: Path, tmp_path: Path) -> None:
    changes = {"trainer.callbacks+": "tests.helpers.KeepSteps", "model.epsilon": 3, "model.optimizer.lr": 2}
    main(attack_args(root, tmp_path / "out", **changes))

    assert len(KeepSteps.steps) == 6
    assert 0 < max(float(step.abs().max()) for step in KeepSteps.steps) <= 3
    for name in ("last.ckpt", "best.ckpt"):
        checkpoint = torch.load(tmp_path / "out" / "checkpoints" / name, weights_only=True)
        assert checkpoint["state_dict"]["perturbation.proto"].abs().max() <= 3
    assert learned(tmp_path / "out").abs().max() <= 3


def test_only_the_perturbation_is_learned_and_saved(root: Path, tmp_path: Path) -> None:
    before = Contrast().state_dict()
    cli = main(attack_args(root, tmp_path / "out", **CONTRAST))

    after = cli.model.victim.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [name for name, _ in cli.model.named_parameters()] == ["perturbation.proto"]
    path = tmp_path / "out" / "checkpoints" / "last.ckpt"
    assert list(torch.load(path, weights_only=True)["state_dict"]) == ["perturbation.proto"]
    assert path.stat().st_size < 2 * 3 * 4 * SIZE[0] * SIZE[1] + 20_000  # the proto-tile and its momentum


def test_small_proto_tile_is_repeated(root: Path, tmp_path: Path) -> None:
    cli = main(attack_args(root, tmp_path / "out", **{"model.tile": [8, 5]}))

    assert cli.model.perturbation.proto.shape == (3, 8, 5)
    image = torch.full((1, 3, *SIZE), 128, dtype=torch.uint8)
    noise = cli.model.perturbation(image).detach() - 128
    assert torch.equal(noise[..., :8, :5], noise[..., 16:24, 25:30])


def test_non_finite_gradient_stops_the_run_and_keeps_the_perturbation(root: Path, tmp_path: Path) -> None:
    changes = {"model.victim.network": "tests.helpers.NotFinite"}
    with pytest.raises(InputError, match=r"not finite at step 0: .* from frame_00., frame_00.\. .* left as it was"):
        main(attack_args(root, tmp_path / "out", **changes))


def test_non_finite_gradient_names_its_image(root: Path, tmp_path: Path) -> None:
    changes = {"model.victim.network": "tests.helpers.NotFiniteInTheDark", "trainer.accumulate_grad_batches": 3}
    save(root / "train" / "frame_004.png", np.full((*SIZE, 3), 5, np.uint8))
    with pytest.raises(InputError, match=r"entries, from frame_004\. The perturbation"):
        main(attack_args(root, tmp_path / "out", **changes))


def test_start_epsilon_falls_to_epsilon(root: Path, tmp_path: Path) -> None:
    changes = {"model.start_epsilon": 20, "trainer.callbacks+": "tests.helpers.KeepSteps", "trainer.max_epochs": 4}
    keeping = {"model.lr_scheduler": "torch.optim.lr_scheduler.ConstantLR", "model.lr_scheduler.factor": 1}
    large = {"model.optimizer.lr": 50}
    cli = main(attack_args(root, tmp_path / "out", **(CONTRAST | changes | keeping | large)))

    reached = [proto.abs().max().item() for proto in KeepSteps.steps]
    total = cli.trainer.global_step
    expected = [7 + 13 * max(0.0, 1 - (step + 1) / total / 0.6) for step in range(total)]
    assert reached == pytest.approx(expected)
    assert learned(tmp_path / "out").abs().max() == 7


def test_double_precision_applies_to_the_ensemble(root: Path, tmp_path: Path) -> None:
    changes = {"model.ensemble": [OTHER], "trainer.precision": "64-true", "trainer.max_epochs": 1}
    cli = main(attack_args(root, tmp_path / "out", **changes))
    assert {victim.mean.dtype for victim in cli.model.victims} == {torch.float64}
    assert cli.model.perturbation.proto.abs().max() > 0


def test_run_that_ends_early_is_within_epsilon(root: Path, tmp_path: Path) -> None:
    changes = {"model.start_epsilon": 20, "trainer.callbacks+": "tests.helpers.EndAt", "trainer.max_epochs": 9}
    cli = main(attack_args(root, tmp_path / "out", **(CONTRAST | changes | {"model.optimizer.lr": 50})))
    assert cli.trainer.global_step == 3
    assert cli.model.perturbation.proto.abs().max() == 7
    assert json.loads((tmp_path / "out/metrics.json").read_text())["largest_entry"] == 7


@pytest.mark.parametrize(
    ("changes", "setting", "kind", "part"),
    [
        (
            {"trainer.max_epochs": -1, "trainer.max_time": "00:00:01:00"},
            "trainer.max_epochs",
            "out_of_range",
            "-1",
        ),
        ({"trainer.precision": "bf16-true"}, "trainer.precision", "not_supported", "bf16-true"),
        (
            {"model.optimizer": "uap.universal.optim.GradientAggregation", "model.optimizer.inner_steps": 4},
            "model.optimizer.inner_steps",
            "conflict",
            "6 steps",
        ),
    ],
)
def test_invalid_run_raises_error(
    root: Path, tmp_path: Path, changes: dict[str, Any], setting: str, kind: Kind, part: str
) -> None:
    with refuses(setting, kind, part):
        main(attack_args(root, tmp_path / "out", **changes))


def test_scaler_handles_overflow_in_half_precision(root: Path, tmp_path: Path) -> None:
    attack = prepared_attack(root, tmp_path / "out", 5)
    gradient = torch.full_like(attack.perturbation.proto, float("inf"))
    attack.perturbation.proto.grad = gradient
    scaler = SimpleNamespace(get_scale=lambda: 65536.0)
    attack.trainer.strategy.precision_plugin = SimpleNamespace(scaler=scaler)  # type: ignore[assignment]
    optimizer, _ = attack.moved_by([attack.perturbation], 1)
    attack.finite_gradient.on_before_optimizer_step(attack.trainer, attack, optimizer)
    scaler.get_scale = lambda: 0.5
    with refuses(None, "not_finite"):
        attack.finite_gradient.on_before_optimizer_step(attack.trainer, attack, optimizer)


def test_tanh_is_learned_and_resumed_within_epsilon(root: Path, tmp_path: Path) -> None:
    changes = CONTRAST | {
        "model.parametrization": "tanh",
        "model.optimizer": "torch.optim.Adam",
        "model.optimizer.lr": 5,
    }
    whole = main(attack_args(root, tmp_path / "whole", **changes, **{"trainer.max_epochs": 4}))
    weights = torch.tensor(Contrast.WEIGHTS).sign().view(3, 1, 1)
    assert (whole.model.perturbation.proto * weights > 3.5).all()
    assert whole.model.perturbation.proto.abs().max() <= 7

    checkpoint = str(tmp_path / "whole/checkpoints/last.ckpt")
    main(attack_args(root, tmp_path / "whole", **changes, **{"trainer.max_epochs": 5, "ckpt_path": checkpoint}))
    with refuses("ckpt_path", "conflict", "parametrization is tanh"):
        main(attack_args(root, tmp_path / "whole", **CONTRAST, **{"trainer.max_epochs": 6, "ckpt_path": checkpoint}))


def test_tile_larger_than_the_images_raises_error(root: Path, tmp_path: Path) -> None:
    with refuses("model.tile", "out_of_range", "[8, 33]"):
        main(attack_args(root, tmp_path / "out", **{"model.tile": [8, 33]}))


@pytest.mark.parametrize(
    "changes", [{"model.start_epsilon": 5}, {"model.start_epsilon": 9, "model.parametrization": "tanh"}]
)
def test_invalid_start_epsilon_raises_error(root: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    with refuses("model.start_epsilon", "conflict"):
        main(attack_args(root, tmp_path / "out", **CONTRAST, **changes))


def test_random_shift_depends_only_on_the_position_in_the_run(root: Path, tmp_path: Path) -> None:
    attack = prepared_attack(root, tmp_path / "out", 2)
    assert attack._random_shift(0) == (0, 0)
    attack.random_shift = True
    shifts = [attack._random_shift(index) for index in range(20)]
    assert shifts == [attack._random_shift(index) for index in range(20)]
    assert len(set(shifts)) > 10
    assert max(down for down, _ in shifts) < SIZE[0] <= max(right for _, right in shifts) + 5


def test_tile_learned_with_random_shift_is_uniform(root: Path, tmp_path: Path) -> None:
    changes = {"model.random_shift": True, "model.tile": [4, 4]}
    cli = main(attack_args(root, tmp_path / "out", **(CONTRAST | changes), **{"trainer.max_epochs": 3}))
    best = 7 * torch.tensor(Contrast.WEIGHTS).sign().view(3, 1, 1).expand(3, 4, 4)
    assert torch.equal(cli.model.perturbation.proto.detach(), best)
