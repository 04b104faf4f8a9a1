import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import jaccard_score
from torch import Tensor, nn

from tests.helpers import SIZE, make_camvid
from tests.scoring.runs import block_scene, bright, config, make_run, noise, perturbed
from uap.datasets.pictures import read_image
from uap.evaluation.experiment import device_trainer
from uap.evaluation.saved_perturbation import read_saved
from uap.evaluation.setup import EvaluationSetup
from uap.metrics.names import METRICS
from uap.universal.perturbation import Perturbation
from uap.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid", val=5)


def setup_of(settings: dict[str, Any], images: int | None = None) -> EvaluationSetup:
    path = Path("setup.yaml")
    path.write_text(yaml.safe_dump(settings))
    return EvaluationSetup("setup", path, images, device_trainer())


class Sized(nn.Module):
    """A perturbation that records the sizes of the images."""

    def __init__(self, seen: list[tuple[int, ...]], perturbation: Perturbation) -> None:
        super().__init__()
        self.seen, self.perturbation = seen, perturbation

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape[-2:]))
        adversarial: Tensor = self.perturbation(images)
        return adversarial


def settings_of(root: Path, **changes: Any) -> dict[str, Any]:
    return config(root, **{"classes": ["sky", "building"], **changes})


def names(setup: EvaluationSetup, size: tuple[int, int] = SIZE) -> list[str]:
    return [item.name for item in setup.data(size).datasets["scored"].items]


def test_images_are_evenly_spread(root: Path) -> None:
    everything = names(setup_of(settings_of(root)))
    assert everything == [f"frame_{i:03d}" for i in range(5)]
    assert names(setup_of(settings_of(root), 3)) == ["frame_000", "frame_002", "frame_004"]
    assert names(setup_of(settings_of(root), 7)) == everything
    configured = settings_of(root)
    configured["data"]["init_args"]["eval_images"] = 2
    setup = setup_of(configured)
    assert names(setup) == ["frame_000", "frame_004"]
    assert setup.facts()["images"] == "2 of 5"
    assert names(setup_of(configured, 1)) == ["frame_000"]


def test_perturbation_without_a_period_is_scored_at_its_size(root: Path) -> None:
    setup = setup_of(settings_of(root, size=(24, 32)))
    large = make_run(Path("large"), settings_of(root, size=(48, 40)), noise(tile=(48, 40)), block_scene((48, 40)))
    periodic = make_run(Path("tiles"), settings_of(root, size=(48, 40)), noise(tile=(8, 8)), block_scene((48, 40)))
    for folder, size in ((large, (48, 40)), (periodic, (24, 32))):
        seen: list[tuple[int, ...]] = []
        metrics, note = setup.score(read_saved(folder, folder.name), "", partial(Sized, seen))
        assert metrics is not None
        assert (set(seen), note) == ({size}, "")


def test_metrics_equal_independent_counts(root: Path) -> None:
    """The network has other classes in another order."""
    proto, scene = noise(), block_scene()
    scene[:, :4] = 255
    learned = read_saved(make_run(Path("run"), settings_of(root), proto, scene), "run")
    setup = setup_of(settings_of(root, classes=["building", "sky", "car"], threshold=140.5))
    metrics, _ = setup.score(learned, "")
    assert metrics is not None

    paths = sorted((root / "val").glob("*.png"))
    images = np.stack([read_image(path) for path in paths])
    labels = np.stack([read_image(root / "valannot" / path.name)[..., 0] for path in paths])
    clean, adversarial = bright(images, 140.5), bright(perturbed(images, proto), 140.5)
    target = np.broadcast_to(np.where(scene == 255, 255, 1 - scene), clean.shape)
    counted = target != 255

    def miou(predicted: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
        return float(np.mean(jaccard_score(truth[where], predicted[where], labels=[0, 1], average=None)))

    everywhere = np.full(clean.shape, True)
    change = (perturbed(images, proto).astype(float) - images) / 255
    expected = {
        "success_rate": (adversarial == target)[counted].mean(),
        "success_before": (clean == target)[counted].mean(),
        "miou_clean": miou(clean, 1 - labels, everywhere),
        "miou_adversarial": miou(adversarial, 1 - labels, everywhere),
        "miou_target_before": miou(clean, target, counted),
        "miou_target": miou(adversarial, target, counted),
        "perceptibility": np.sqrt((change**2).sum(-1).mean((1, 2))).mean(),
        "max_norm": 255 * np.abs(change).max(),
        "mean_change": 255 * np.abs(change).mean(),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    assert set(metrics) - set(expected) == {"rms", "psnr", "ssim"}
    assert len(set(metrics.values())) == len(metrics)  # all values differ, so that a mix-up fails the test
    assert list(metrics) == [name for name in METRICS if name in metrics]


def test_miou_target_is_the_mean_over_classes_of_the_target(root: Path) -> None:
    """The scene has one class. The other class is predicted, but is not in the mean."""
    learned = read_saved(make_run(Path("run"), settings_of(root), noise(), np.zeros(SIZE, np.uint8)), "run")
    metrics, _ = setup_of(settings_of(root)).score(learned, "")
    assert metrics is not None
    assert 0 < metrics["success_rate"] < 1
    assert metrics["miou_target"] == pytest.approx(metrics["success_rate"])  # the union is the whole image


def test_hidden_and_preserved_equal_independent_counts(root: Path) -> None:
    proto = noise(tile=(8, 8))
    settings = settings_of(root, classes=["road", "person"], hide=["person"])
    learned = read_saved(make_run(Path("run"), settings, proto), "run")
    metrics, _ = setup_of(settings_of(root, classes=["pole", "pedestrian"])).score(learned, "")
    assert metrics is not None
    images = np.stack([read_image(path) for path in sorted((root / "val").glob("*.png"))])
    clean, adversarial = bright(images), bright(perturbed(images, proto))
    assert metrics["hidden"] == pytest.approx((adversarial == 0)[clean == 1].mean())
    assert metrics["preserved"] == pytest.approx((adversarial == 0)[clean == 0].mean())
    assert 0 < metrics["hidden"] < 1
    assert "success_rate" not in metrics
    assert metrics["miou_target_before"] == pytest.approx((clean == 0).mean())  # the class of the whole target is pole


def test_identity_changes_with_everything_that_metrics_depend_on(root: Path) -> None:
    def identity(size: tuple[int, int] = SIZE, images: int | None = None, **changes: Any) -> list[Any]:
        return setup_of(settings_of(root, **changes), images).identity(size)

    same = identity()
    assert identity() == same
    assert identity(images=5) == same
    different = [
        identity((12, 16)),
        identity(images=3),
        identity(threshold=100.0),
        identity(classes=["sky", "road"]),
    ]
    os.utime(root / "valannot" / "frame_002.png", ns=(0, 0))
    different.append(identity())
    assert all(each != same for each in different)
    assert len({str(each) for each in different}) == len(different)


def test_scoring_writes_only_to_the_cache(root: Path, tmp_path: Path) -> None:
    learned = read_saved(make_run(tmp_path / "run", settings_of(root), noise(), block_scene()), "run")
    setup = setup_of(settings_of(root))
    before = sorted(tmp_path.rglob("*"))
    setup.score(learned, "")
    new = set(tmp_path.rglob("*")) - set(before)
    assert all(path.is_relative_to(tmp_path / "cache") for path in new)


def test_errors_name_the_setup(root: Path) -> None:
    setup = setup_of(settings_of(root / "nothing"))
    with pytest.raises(InputError, match=r"^setup: No images in .*nothing"):
        setup.data(SIZE)
