"""Tests of targets that are computed from clean predictions."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.predicting import DARK, Counting, data_in, make_root, trainer, victim_of
from tests.helpers import SIZE, refuses, save
from uap.data import CamVid, ImageFolder
from uap.data.predictions import attach_targets, predict_missing
from uap.objectives import HideClasses, PredictionObjective, StaticTarget
from uap.objectives.hide_classes import fill_hidden
from uap.utils.errors import InputError
from uap.victims import Victim


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


def test_only_training_images_without_hidden_pixels_are_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("uap.data.predictions.rank_zero_info", said.append)
    data = data_in(root)
    attach_targets(data, [victim_of()], [HideClasses(["bright"])], trainer())
    assert [item.name for item in data.datasets["train"].items] == [f"frame_{i:03d}" for i in (0, 2, 3, 5)]
    assert len(data.datasets["scored"]) == 4
    assert not data.datasets["scored"][1]["hidden"].any()
    assert said[1:] == ["Learning from 4 of 6 images: 4 contain both hidden and other classes."]


def learned_from(data: CamVid, target: PredictionObjective, network: Counting | None = None) -> tuple[str, ...]:
    attach_targets(data, [victim_of(network)], [target], trainer())
    return tuple(item.name for item in data.datasets["train"].items)


def test_limit_samples_from_images_with_the_hidden_class(root: Path) -> None:
    sampled = {learned_from(data_in(root, limit=3, seed=seed), HideClasses(["bright"])) for seed in range(8)}
    usable = [f"frame_{i:03d}" for i in range(6) if i not in DARK]
    assert len(sampled) > 1
    for names in sampled:
        assert len(names) == 3
        assert list(names) == [name for name in usable if name in names]
    again = [learned_from(data_in(root, limit=3, seed=0), HideClasses(["bright"])) for _ in range(2)]
    assert again[0] == again[1]
    assert learned_from(data_in(root, limit=4), HideClasses(["bright"])) == tuple(usable)


def test_sampled_images_keep_their_predictions(root: Path) -> None:
    data, victim = data_in(root, limit=2, seed=3), victim_of()
    attach_targets(data, [victim], [HideClasses(["bright"])], trainer())
    dataset = data.datasets["train"]
    assert len(dataset) == 2
    for i in range(2):
        assert torch.equal(dataset[i]["prediction"], victim.predict(dataset[i]["image"][None])[0])


def test_limit_above_number_of_usable_images_raises_error(root: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"data\.limit is 5, but the network predicts bright on 4 of 6 training images\. Set it to 4 or",
    ):
        learned_from(data_in(root, limit=5), HideClasses(["bright"]))


def test_static_target_predicts_only_sampled_images(root: Path) -> None:
    network = Counting()
    data = data_in(root, limit=2)
    assert len(learned_from(data, StaticTarget(image="train/frame_003.png"), network)) == 2
    assert network.seen == 1 + 4  # the scene, and the scored images
    assert predict_missing(data.datasets["train"], [victim_of(network)], trainer()) == 2
    assert network.seen == 1 + 4 + 2  # the sampled images, when they are scored
    assert predict_missing(data.datasets["train"], [victim_of(network)], trainer()) == 0


def test_static_target_needs_no_predictions_for_training(root: Path) -> None:
    data, victim = data_in(root), victim_of()
    attach_targets(data, [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    images = data.datasets["train"]
    before = images[0]
    assert "prediction" not in before
    predict_missing(images, [victim], trainer())
    after = images[0]
    assert torch.equal(after["prediction"], victim.predict(after["image"][None])[0])
    assert all(torch.equal(before[name], after[name]) for name in ("target", "hidden"))


def test_missing_target_image_raises_error_with_an_example(root: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"camvid/none\.png, does not exist.*model\.objective\.image .* train/frame_000\.png",
    ):
        learned_from(data_in(root), StaticTarget(image="none.png"))


def test_classes_without_a_counterpart_are_printed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("uap.data.predictions.rank_zero_info", said.append)
    victim = Victim(Counting(), classes=["Sky", "unicorn"])
    attach_targets(data_in(root), [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    others = "building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist"
    assert said == [
        f"Classes without a counterpart are left out of the IoU: {others} of the labels, unicorn of the network."
    ]
    said.clear()
    shutil.rmtree(root / "trainannot")
    shutil.rmtree(root / "valannot")
    attach_targets(data_in(root), [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    assert said == []


def test_images_without_labels_have_targets(root: Path) -> None:
    data = ImageFolder(str(root / "train"), size=SIZE, num_workers=0, scored_share=0)
    data.setup("fit")
    attach_targets(data, [victim_of()], [HideClasses(["bright"])], trainer())
    assert [item.name for item in data.datasets["train"].items] == [f"frame_{i:03d}" for i in (0, 2, 3, 5)]
    assert data.datasets["train"][1]["hidden"].any()
    assert (data.datasets["train"][1]["labels"] == 255).all()


@pytest.mark.parametrize("role", ["train", "scored"])
def test_items_have_prediction_and_target_of_their_image(root: Path, role: Any) -> None:
    data, victim = data_in(root), victim_of()
    attach_targets(data, [victim], [HideClasses(["bright"])], trainer())
    dataset = data.datasets[role]
    for i, source in enumerate(dataset.items):
        item = dataset[i]
        image = torch.from_numpy(data.dataset("train").read_image(source.image).transpose(2, 0, 1).copy())
        prediction = victim.predict(image[None])[0]
        assert torch.equal(item["image"], image)
        assert torch.equal(item["prediction"], prediction)
        assert torch.equal(item["hidden"], prediction == 1)
        np.testing.assert_array_equal(item["target"], fill_hidden(prediction.numpy(), (prediction == 1).numpy()))
        assert {name: item[name].dtype for name in ("prediction", "target", "hidden")} == {
            "prediction": torch.uint8,
            "target": torch.uint8,
            "hidden": torch.bool,
        }


def test_batches_of_a_worker_have_targets(root: Path) -> None:
    alone, helped = data_in(root), data_in(root, num_workers=1)
    for data in (alone, helped):
        attach_targets(data, [victim_of()], [HideClasses(["bright"])], trainer())
    for ours, theirs in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert ours.keys() == theirs.keys() == {"image", "labels", "index", "weight", "prediction", "target", "hidden"}
        assert torch.equal(ours["index"], theirs["index"])
        assert torch.equal(ours["prediction"], theirs["prediction"])
        assert torch.equal(ours["target"], theirs["target"])
        assert torch.equal(ours["hidden"], theirs["hidden"])


def test_static_target_is_the_prediction_on_the_target_image(root: Path) -> None:
    data, victim = data_in(root), victim_of()
    attach_targets(data, [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    predict_missing(data.datasets["train"], [victim], trainer())
    scene = data.datasets["train"][3]["prediction"]
    assert scene.any()
    assert len(data.datasets["train"]) == 6
    for dataset in data.datasets.values():
        for i in range(len(dataset)):
            assert torch.equal(dataset[i]["target"], scene)
            assert not dataset[i]["hidden"].any()


def test_static_target_of_labels_is_translated_to_victim_classes(root: Path) -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 10:] = 1
    labels[:, 20:] = 3
    save(root / "target.png", labels)
    data = data_in(root)
    victim = Victim(Counting(), classes=["building", "sky"])
    attach_targets(data, [victim], [StaticTarget(labels="target.png")], trainer())
    expected = torch.from_numpy(np.array([1, 0, 99, 255], np.uint8)[labels])
    assert torch.equal(data.datasets["scored"][0]["target"], expected)


def test_hidden_class_that_is_never_predicted_raises_error(root: Path) -> None:
    victim = victim_of(Counting(threshold=250.0))
    with refuses("model.objective.hide", "not_supported", "bright"):
        attach_targets(data_in(root), [victim], [HideClasses(["bright"])], trainer())


def test_hidden_class_unknown_to_the_victim_raises_error(root: Path) -> None:
    with pytest.raises(InputError, match="no class 'person': the classes are dark, bright"):
        attach_targets(data_in(root), [victim_of()], [HideClasses(["person"])], trainer())


def predicted(data: CamVid, victim: Victim, target: StaticTarget) -> int:
    """Return the number of clean images that a whole run predicts."""
    at_first = attach_targets(data, [victim], [target], trainer())
    return at_first + sum(predict_missing(dataset, [victim], trainer()) for dataset in data.datasets.values())


def test_second_run_predicts_no_clean_image(root: Path) -> None:
    network = Counting()
    victim, target = victim_of(network), StaticTarget(image="train/frame_003.png")
    assert predicted(data_in(root), victim, target) == 10
    assert network.seen == 11  # the clean images and the target image
    again = StaticTarget(image="train/frame_003.png")
    assert predicted(data_in(root), victim, again) == 0
    assert network.seen == 11
    assert target.scene is not None
    assert again.scene is not None
    assert np.array_equal(target.scene, again.scene)
