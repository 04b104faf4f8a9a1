import logging
import os
import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from torch import Tensor

from tests.data.zips import make_zips
from tests.helpers import SIZE, Brightness, make_camvid, save
from uap.data import CamVid, Cityscapes, ImageFolder
from uap.data.clean_predictions import make_predictions, place_of
from uap.data.dataset import SegmentationDataset
from uap.data.predictions import attach_targets, predict_missing
from uap.errors import InputError
from uap.targets import DynamicTarget, StaticTarget, Target, fill_hidden
from uap.victims import FrozenVictim

DARK = (1, 4)
"""The training images without a bright pixel."""


class Counting(Brightness):
    """Counts the images it is shown; fails at the image `fails_at`."""

    def __init__(self, threshold: float = 128.0) -> None:
        super().__init__(threshold)
        self.seen = 0
        self.fails_at: int | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        if self.fails_at is not None and self.seen >= self.fails_at:
            raise RuntimeError("out of memory")
        return super().forward(x)


def victim_of(network: Counting | None = None, **settings: Any) -> FrozenVictim:
    return FrozenVictim(network or Counting(), classes=["dark", "bright"], **settings)


def trainer() -> Trainer:
    strategy = SimpleNamespace(barrier=lambda name: None)
    alone = {"local_rank": 0, "num_devices": 1, "node_rank": 0, "world_size": 1}
    return cast(Trainer, SimpleNamespace(**alone, strategy=strategy))


def kept(dataset: SegmentationDataset, victim: FrozenVictim, trainer: Trainer) -> Path:
    path = place_of(dataset, victim)
    make_predictions(dataset, victim, path, trainer)
    return path


def cached(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache" / "predictions").rglob("*") if path.is_file())


def stored(path: Path, level: int) -> None:
    """Write a grey picture whose file has the same length at any level."""
    Image.fromarray(np.full((*SIZE, 3), level, np.uint8)).save(path, compress_level=0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_camvid(tmp_path / "camvid")
    for i in DARK:
        save(root / "train" / f"frame_{i:03d}.png", np.full((*SIZE, 3), 60 + i, np.uint8))
    save(root / "val" / "frame_001.png", np.full((*SIZE, 3), 40, np.uint8))
    return root


def data_in(root: Path, **settings: Any) -> CamVid:
    data = CamVid(str(root), **{"size": SIZE, "batch_size": 4, "num_workers": 0, **settings})
    data.setup("fit")
    return data


@pytest.mark.parametrize("workers", [0, 1])
def test_clean_predictions_are_the_victims_image_by_image(root: Path, workers: int) -> None:
    dataset, victim = data_in(root, num_workers=workers).datasets["train"], victim_of()
    predictions = np.load(kept(dataset, victim, trainer()))
    assert predictions.dtype == np.uint8
    assert predictions.shape == (6, *SIZE)
    assert 0 < predictions.mean() < 1
    for i, prediction in enumerate(predictions):
        np.testing.assert_array_equal(prediction, victim.predict(dataset[i]["image"][None])[0])


def test_a_second_call_shows_the_network_nothing(root: Path) -> None:
    first, again = Counting(), Counting()
    path = kept(data_in(root).datasets["train"], victim_of(first), trainer())
    assert kept(data_in(root).datasets["train"], victim_of(again), trainer()) == path
    assert (first.seen, again.seen) == (6, 0)


@pytest.mark.parametrize(
    "changed", ["weights", "mean", "std", "channel_order", "size", "resampling", "file", "one file less"]
)
def test_a_change_of_anything_that_a_prediction_depends_on_makes_it_anew(root: Path, changed: str) -> None:
    image = root / "train" / "frame_001.png"
    stored(image, 60)
    before = kept(data_in(root).datasets["train"], victim_of(), trainer())
    network = Counting(100.0) if changed == "weights" else Counting()
    victims: dict[str, dict[str, Any]] = {
        "mean": {"mean": (1.0, 0.0, 0.0)},
        "std": {"std": (1.0, 1.0, 2.0)},
        "channel_order": {"channel_order": "bgr"},
    }
    settings: dict[str, dict[str, Any]] = {"size": {"size": (12, 16)}, "resampling": {"resampling": "opencv"}}
    if changed == "file":
        length = image.stat().st_size
        stored(image, 200)
        assert image.stat().st_size == length
        os.utime(image, ns=(0, 0))
    if changed == "one file less":
        image.unlink()
    data = data_in(root, **settings.get(changed, {}))
    after = kept(data.datasets["train"], victim_of(network, **victims.get(changed, {})), trainer())
    assert after != before
    assert network.seen == len(data.datasets["train"])
    if changed == "file":
        assert np.load(after)[1].all()


def test_images_that_are_turned_upright_have_predictions_of_their_own(root: Path) -> None:
    stored, turned = data_in(root), ImageFolder(str(root / "train"), size=SIZE, num_workers=0, scored_share=0)
    turned.setup("fit")
    datasets = [data.datasets["train"] for data in (stored, turned)]
    assert [item.image for item in datasets[0].items] == [item.image for item in datasets[1].items]
    assert len({kept(dataset, victim_of(), trainer()) for dataset in datasets}) == 2


@pytest.mark.parametrize("changed", [{"batch_size": 1}, {"seed": 3}, {"num_workers": 1}])
def test_settings_that_no_prediction_depends_on_keep_the_cache(root: Path, changed: dict[str, Any]) -> None:
    before = kept(data_in(root).datasets["train"], victim_of(), trainer())
    assert kept(data_in(root, **changed).datasets["train"], victim_of(), trainer()) == before


def test_predictions_that_were_interrupted_go_on_from_there(root: Path, tmp_path: Path) -> None:
    dataset, broken = data_in(root).datasets["train"], Counting()
    victim = victim_of(broken)
    broken.fails_at = 5
    with pytest.raises(RuntimeError, match="out of memory"):
        kept(dataset, victim, trainer())
    (part,) = cached(tmp_path)
    assert part.suffixes == [".part", ".npy"]
    network = Counting()
    path = kept(dataset, victim_of(network), trainer())
    assert network.seen == 2  # the second batch
    assert cached(tmp_path) == [path]
    for i, prediction in enumerate(np.load(path)):
        np.testing.assert_array_equal(prediction, victim_of().predict(dataset[i]["image"][None])[0])


def test_a_prediction_that_was_half_written_is_made_anew(root: Path, tmp_path: Path) -> None:
    dataset, broken = data_in(root).datasets["train"], Counting()
    victim = victim_of(broken)
    broken.fails_at = 5
    with pytest.raises(RuntimeError, match="out of memory"):
        kept(dataset, victim, trainer())
    (part,) = cached(tmp_path)
    np.load(part, mmap_mode="r+")[2] ^= 1
    network = Counting()
    prediction = np.load(kept(dataset, victim_of(network), trainer()))[2]
    assert network.seen == 3
    np.testing.assert_array_equal(prediction, victim_of().predict(dataset[2]["image"][None])[0])


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_kept(root: Path, tmp_path: Path) -> None:
    dataset = data_in(root).datasets["train"]
    (root / "train" / "frame_005.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"frame_005\.png cannot be read"):
        kept(dataset, victim_of(), trainer())
    assert [path.suffixes for path in cached(tmp_path)] == [[".part", ".npy"]]


def test_the_size_is_said_before_many_predictions_are_made(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("uap.data.clean_predictions.GIB", 6 * SIZE[0] * SIZE[1])
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        kept(data_in(root).datasets["train"], victim_of(), trainer())
    assert re.search(r"Keeping clean predictions in .*predictions: 1\.00 GiB\.", caplog.text)


def test_predictions_without_room_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = data_in(root).datasets["train"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(InputError, match=r"Clean predictions take 0\.00 GiB in .*, where 0\.00 GiB are free\. Set"):
        kept(dataset, victim_of(), trainer())


def test_two_runs_may_make_the_same_predictions_at_the_same_time(root: Path, tmp_path: Path) -> None:
    def overtake(network: Counting, inputs: Any) -> None:
        if not network.seen:
            kept(data_in(root).datasets["train"], victim_of(), trainer())

    network = Counting()
    network.register_forward_pre_hook(overtake)
    path = kept(data_in(root).datasets["train"], victim_of(network), trainer())
    assert cached(tmp_path) == [path]
    assert len(np.load(path)) == 6


def test_an_unwritable_cache_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be kept in .*file.*Set UAP_CACHE to a folder"):
        kept(data_in(root).datasets["train"], victim_of(), trainer())


def test_a_file_that_vanishes_is_named(root: Path) -> None:
    dataset = data_in(root).datasets["train"]
    (root / "train" / "frame_002.png").unlink()
    with pytest.raises(InputError, match=r"frame_002\.png does not exist"):
        kept(dataset, victim_of(), trainer())


def test_training_images_without_hidden_pixels_are_left_out_and_scored_ones_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("uap.data.predictions.rank_zero_info", said.append)
    data = data_in(root)
    attach_targets(data, [victim_of()], [DynamicTarget(["bright"])], trainer())
    assert [item.name for item in data.datasets["train"].items] == [f"frame_{i:03d}" for i in (0, 2, 3, 5)]
    assert len(data.datasets["scored"]) == 4
    assert not data.datasets["scored"][1]["hidden"].any()
    assert said[1:] == ["Learning from 4 of 6 images; 4 have something to hide and something else."]


def learnt_from(data: CamVid, target: Target, network: Counting | None = None) -> tuple[str, ...]:
    attach_targets(data, [victim_of(network)], [target], trainer())
    return tuple(item.name for item in data.datasets["train"].items)


def test_a_limit_draws_from_the_images_in_which_the_network_sees_the_class(root: Path) -> None:
    drawn = {learnt_from(data_in(root, limit=3, seed=seed), DynamicTarget(["bright"])) for seed in range(8)}
    usable = [f"frame_{i:03d}" for i in range(6) if i not in DARK]
    assert len(drawn) > 1
    for names in drawn:
        assert len(names) == 3
        assert list(names) == [name for name in usable if name in names]
    again = [learnt_from(data_in(root, limit=3, seed=0), DynamicTarget(["bright"])) for _ in range(2)]
    assert again[0] == again[1]
    assert learnt_from(data_in(root, limit=4), DynamicTarget(["bright"])) == tuple(usable)


def test_each_drawn_image_keeps_its_own_prediction(root: Path) -> None:
    data, victim = data_in(root, limit=2, seed=3), victim_of()
    attach_targets(data, [victim], [DynamicTarget(["bright"])], trainer())
    dataset = data.datasets["train"]
    assert len(dataset) == 2
    for i in range(2):
        assert torch.equal(dataset[i]["prediction"], victim.predict(dataset[i]["image"][None])[0])


def test_a_limit_above_the_number_of_usable_images_is_refused_with_both(root: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"data\.limit is 5, but the network predicts bright on 4 of 6 training images\. Set it to 4 or",
    ):
        learnt_from(data_in(root, limit=5), DynamicTarget(["bright"]))


def test_a_static_target_is_predicted_on_the_drawn_images_alone(root: Path) -> None:
    network = Counting()
    data = data_in(root, limit=2)
    assert len(learnt_from(data, StaticTarget(image="train/frame_003.png"), network)) == 2
    assert network.seen == 1 + 4  # the scene, and the scored images
    assert predict_missing(data.datasets["train"], [victim_of(network)], trainer()) == 2
    assert network.seen == 1 + 4 + 2  # the drawn ones when they are to be scored
    assert predict_missing(data.datasets["train"], [victim_of(network)], trainer()) == 0


def test_a_static_target_does_without_predictions_until_they_are_made(root: Path) -> None:
    data, victim = data_in(root), victim_of()
    attach_targets(data, [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    images = data.datasets["train"]
    before = images[0]
    assert "prediction" not in before
    predict_missing(images, [victim], trainer())
    after = images[0]
    assert torch.equal(after["prediction"], victim.predict(after["image"][None])[0])
    assert all(torch.equal(before[name], after[name]) for name in ("target", "hidden"))


def test_a_scene_that_is_not_there_is_named_with_one_that_is(root: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"camvid/none\.png does not exist, which the static .*model\.target\.image .* train/frame_000\.png",
    ):
        learnt_from(data_in(root), StaticTarget(image="none.png"))


def test_classes_that_only_one_side_has_are_named_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("uap.data.predictions.rank_zero_info", said.append)
    victim = FrozenVictim(Counting(), classes=["Sky", "unicorn"])
    attach_targets(data_in(root), [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    others = "building, pole, road, pavement, tree, sign, fence, car, pedestrian, bicyclist"
    assert said == [
        f"Classes that only one side has are left out of the IoU: {others} of the labels, unicorn of the network."
    ]
    said.clear()
    shutil.rmtree(root / "trainannot")
    shutil.rmtree(root / "valannot")
    attach_targets(data_in(root), [victim], [StaticTarget(image="train/frame_003.png")], trainer())
    assert said == []


def test_images_without_labels_and_classes_have_targets_too(root: Path) -> None:
    data = ImageFolder(str(root / "train"), size=SIZE, num_workers=0, scored_share=0)
    data.setup("fit")
    attach_targets(data, [victim_of()], [DynamicTarget(["bright"])], trainer())
    assert [item.name for item in data.datasets["train"].items] == [f"frame_{i:03d}" for i in (0, 2, 3, 5)]
    assert data.datasets["train"][1]["hidden"].any()
    assert (data.datasets["train"][1]["labels"] == 255).all()


@pytest.mark.parametrize("changed", ["the picture", "another picture"])
def test_predictions_on_pictures_in_a_zip_file_are_made_anew_when_one_of_them_changes(
    tmp_path: Path, changed: str
) -> None:
    def predict(network: Counting) -> Path:
        data = Cityscapes(str(tmp_path / "zips"), size=SIZE, num_workers=0)
        data.setup("fit")
        return kept(data.datasets["train"], victim_of(network), trainer())

    archive = make_zips(tmp_path / "zips") / "leftImg8bit_trainvaltest.zip"
    first, again, after = Counting(), Counting(), Counting()
    path = predict(first)
    assert predict(again) == path
    archive.rename("old.zip")
    split = "train" if changed == "the picture" else "val"
    with zipfile.ZipFile("old.zip") as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            replaced = name == f"leftImg8bit/{split}/aachen/aachen_000001_000019_leftImg8bit.png"
            new.writestr(name, old.read(name.replace("000001", "000000") if replaced else name))
    assert (predict(after) == path) == (split == "val")
    assert (first.seen, again.seen, after.seen) == (6, 0, 6 if split == "train" else 0)


@pytest.mark.parametrize("role", ["train", "scored"])
def test_every_item_has_the_prediction_and_target_of_its_own_image(root: Path, role: Any) -> None:
    data, victim = data_in(root), victim_of()
    attach_targets(data, [victim], [DynamicTarget(["bright"])], trainer())
    dataset = data.datasets[role]
    for i, source in enumerate(dataset.items):
        item = dataset[i]
        image = torch.from_numpy(data.read_image(source.image).transpose(2, 0, 1).copy())
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


def test_targets_come_with_the_batches_of_a_worker(root: Path) -> None:
    alone, helped = data_in(root), data_in(root, num_workers=1)
    for data in (alone, helped):
        attach_targets(data, [victim_of()], [DynamicTarget(["bright"])], trainer())
    for ours, theirs in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert ours.keys() == theirs.keys() == {"image", "labels", "index", "weight", "prediction", "target", "hidden"}
        assert torch.equal(ours["index"], theirs["index"])
        assert torch.equal(ours["prediction"], theirs["prediction"])
        assert torch.equal(ours["target"], theirs["target"])
        assert torch.equal(ours["hidden"], theirs["hidden"])


def test_a_static_target_is_the_prediction_on_its_picture(root: Path) -> None:
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


def test_a_static_target_of_labels_is_translated_to_the_victims_classes(root: Path) -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 10:] = 1
    labels[:, 20:] = 3
    save(root / "target.png", labels)
    data = data_in(root)
    victim = FrozenVictim(Counting(), classes=["building", "sky"])
    attach_targets(data, [victim], [StaticTarget(labels="target.png")], trainer())
    expected = torch.from_numpy(np.array([1, 0, 99, 255], np.uint8)[labels])
    assert torch.equal(data.datasets["scored"][0]["target"], expected)


def test_a_class_that_is_never_predicted_is_refused(root: Path) -> None:
    victim = victim_of(Counting(threshold=250.0))
    with pytest.raises(
        InputError, match=r"predicts bright on none of the 6 images that are learnt from.*Choose another class"
    ):
        attach_targets(data_in(root), [victim], [DynamicTarget(["bright"])], trainer())


def test_a_class_that_the_victim_does_not_have_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="no class 'person': the classes are dark, bright"):
        attach_targets(data_in(root), [victim_of()], [DynamicTarget(["person"])], trainer())


def predicted(data: CamVid, victim: FrozenVictim, target: StaticTarget) -> int:
    """How many clean images a whole run predicts."""
    at_first = attach_targets(data, [victim], [target], trainer())
    return at_first + sum(predict_missing(dataset, [victim], trainer()) for dataset in data.datasets.values())


def test_a_second_run_predicts_no_clean_image(root: Path) -> None:
    network = Counting()
    victim, target = victim_of(network), StaticTarget(image="train/frame_003.png")
    assert predicted(data_in(root), victim, target) == 10
    assert network.seen == 11  # and the target's
    again = StaticTarget(image="train/frame_003.png")
    assert predicted(data_in(root), victim, again) == 0
    assert network.seen == 11
    assert target.scene is not None
    assert again.scene is not None
    assert np.array_equal(target.scene, again.scene)
