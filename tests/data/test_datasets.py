import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer

from tests.helpers import SIZE, make_camvid, make_cityscapes, refuses, save
from uap import datasets
from uap.data import CamVid, Cityscapes, ImageFolder, SegmentationData
from uap.data.augmentation import Augmentation
from uap.data.batch import Batch
from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS
from uap.utils.errors import InputError, Kind

OFFICIAL_IDS = {
    "road": 7, "sidewalk": 8, "building": 11, "wall": 12, "fence": 13, "pole": 17, "traffic light": 19,
    "traffic sign": 20, "vegetation": 21, "terrain": 22, "sky": 23, "person": 24, "rider": 25, "car": 26, "truck": 27,
    "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33,
}  # fmt: skip
"""The label ids of the classes that are scored, in the order of their train ids (cityscapesScripts, labels.py)."""

KINDS = ["camvid", "cityscapes"]


def make(kind: str, root: Path, **settings: Any) -> SegmentationData:
    (make_camvid if kind == "camvid" else make_cityscapes)(root)
    data = CamVid if kind == "camvid" else Cityscapes
    arguments: dict[str, Any] = {"size": SIZE, "batch_size": 2, "num_workers": 0, **settings}
    made: SegmentationData = data(str(root), **arguments)
    return made


def set_up(data: SegmentationData) -> SegmentationData:
    data.setup("fit")
    return data


def as_rank(rank: int, world_size: int) -> Trainer:
    return cast(Trainer, SimpleNamespace(global_rank=rank, world_size=world_size))


def assert_equal(ours: Batch, theirs: Batch) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)  # type: ignore[literal-required]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("split", "count"), [("train", 6), ("val", 4), ("test", 2)])
def test_items_are_images_of_the_split_with_labels(tmp_path: Path, kind: str, split: str, count: int) -> None:
    items = make(kind, tmp_path).dataset(split).items  # type: ignore[arg-type]
    assert len({item.name for item in items}) == count
    assert [item.name for item in items] == sorted(item.name for item in items)
    for item in items:
        assert isinstance(item.image, Path)
        assert split in item.image.parts
        assert item.image.exists()
        assert item.image.name.startswith(item.name)
        assert isinstance(item.labels, Path)
        assert item.labels.exists()
        assert item.labels.name.startswith(item.name)


@pytest.mark.parametrize("kind", KINDS)
def test_setting_split_selects_scored_images(tmp_path: Path, kind: str) -> None:
    data = make(kind, tmp_path, split="test")
    data.setup("validate")
    assert list(data.datasets) == ["scored"]
    assert data.datasets["scored"].items == data.dataset("test").items
    data.setup("fit")
    assert data.datasets["train"].items == data.dataset("train").items


@pytest.mark.parametrize("kind", KINDS)
def test_missing_labels_are_ignored(tmp_path: Path, kind: str) -> None:
    data = make(kind, tmp_path)
    for folder in ("trainannot", "valannot", "testannot", "gtFine"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)
    item = set_up(data).datasets["train"][0]
    assert item["labels"].shape == SIZE
    assert (item["labels"] == 255).all()


@pytest.mark.parametrize("kind", KINDS)
def test_item_has_resized_image_and_labels(tmp_path: Path, kind: str) -> None:
    data = set_up(make(kind, tmp_path, size=(12, 16)))
    dataset = data.datasets["train"]
    item = dataset[3]
    assert {name: (tuple(value.shape), value.dtype) for name, value in item.items()} == {
        "image": ((3, 12, 16), torch.uint8),
        "labels": ((12, 16), torch.uint8),
        "index": ((), torch.int64),
        "weight": ((), torch.float32),
    }
    assert (int(item["index"]), float(item["weight"])) == (3, 1.0)
    path = dataset.items[3].image
    assert isinstance(path, Path)
    with Image.open(path) as picture:
        expected = np.asarray(picture.resize((16, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(item["image"].permute(1, 2, 0), expected)
    assert set(item["labels"].flatten().tolist()) == {0, 1}
    bright = item["image"].float().mean(0) > 125
    assert (bright == item["labels"]).float().mean() > 0.9


def test_resampling_setting_changes_pixels(tmp_path: Path) -> None:
    pil, opencv = (set_up(make("camvid", tmp_path, size=(9, 13), resampling=way)) for way in ("pil", "opencv"))
    assert not torch.equal(pil.datasets["train"][0]["image"], opencv.datasets["train"][0]["image"])


def test_cityscapes_label_ids_become_train_ids(tmp_path: Path) -> None:
    assert CITYSCAPES.names == tuple(OFFICIAL_IDS)
    assert tuple(OFFICIAL_IDS.values()) == CITYSCAPES_LABEL_IDS
    ids = np.array([[*range(34), 255]], np.uint8)
    expected = np.full((1, 35), 255, np.uint8)
    expected[0, list(OFFICIAL_IDS.values())] = range(19)
    np.testing.assert_array_equal(datasets.Cityscapes().label_ids(ids, tmp_path), expected)


def test_camvid_void_is_ignored(tmp_path: Path) -> None:
    ids = np.arange(12, dtype=np.uint8)[None]
    np.testing.assert_array_equal(datasets.CamVid().label_ids(ids, tmp_path), [[*range(11), 255]])


@pytest.mark.parametrize(
    ("kind", "wrong", "sentence"),
    [
        ("camvid", 12, "holds the id 12, expected 0 to 11. Is it CamVid with 11 classes?"),
        ("camvid", 255, "holds the id 255, expected 0 to 11."),
        ("cityscapes", 34, "holds the id 34, expected Cityscapes' label ids 0 to 33, or 255."),
    ],
)
def test_ids_outside_the_table_raise_error_with_file_name(tmp_path: Path, kind: str, wrong: int, sentence: str) -> None:
    data = set_up(make(kind, tmp_path))
    labels = data.datasets["train"].items[2].labels
    assert isinstance(labels, Path)
    mask = np.zeros(SIZE, np.uint8)
    mask[5, 5] = wrong
    save(labels, mask)
    with pytest.raises(InputError, match=re.escape(f"{labels} {sentence}")):
        data.datasets["train"][2]


@pytest.mark.parametrize(("kind", "line"), [("camvid", "ROOT/train/*.png"), ("cityscapes", "ROOT/leftImg8bit/")])
def test_missing_data_raises_error_with_expected_folders(tmp_path: Path, kind: str, line: str) -> None:
    data = make(kind, tmp_path)
    shutil.rmtree(tmp_path / "train", ignore_errors=True)
    shutil.rmtree(tmp_path / "leftImg8bit", ignore_errors=True)
    with pytest.raises(InputError, match=f"No images in .*train.*Set --data.root(.|\n)*{re.escape(line)}"):
        data.setup("fit")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_label_files_raise_error_with_first_name(tmp_path: Path, kind: str) -> None:
    data = make(kind, tmp_path)
    for item in make(kind, tmp_path).dataset("val").items[1:3]:
        assert isinstance(item.labels, Path)
        item.labels.unlink()
    with pytest.raises(InputError, match=r"^2 of 4 images .* have no labels in .*001\S* first(.|\n)*Expected"):
        data.setup("validate")


def chosen(data: SegmentationData) -> tuple[str, ...]:
    return tuple(item.name for item in set_up(data).datasets["train"].items)


@pytest.mark.parametrize("kind", KINDS)
def test_limit_samples_training_images_with_the_seed(tmp_path: Path, kind: str) -> None:
    everything = [item.name for item in make(kind, tmp_path).dataset("train").items]
    subsets = [chosen(make(kind, tmp_path, limit=3, seed=seed)) for seed in range(5)]
    assert subsets == [chosen(make(kind, tmp_path, limit=3, seed=seed)) for seed in range(5)]
    assert len(set(subsets)) > 1
    for subset in subsets:
        assert len(subset) == 3
        assert list(subset) == [name for name in everything if name in subset]


@pytest.mark.parametrize("kind", KINDS)
def test_file_of_names_selects_training_images(tmp_path: Path, kind: str) -> None:
    data = make(kind, tmp_path / "data")
    items = data.dataset("train").items
    assert isinstance(items[4].image, Path)
    relative = items[4].image.relative_to(tmp_path / "data")
    lines = ["", relative.as_posix(), items[1].name, items[3].image.name, items[1].name]
    (tmp_path / "names.txt").write_text("\n".join(lines))
    chosen_data = make(kind, tmp_path / "data", files=str(tmp_path / "names.txt"))
    assert chosen(chosen_data) == tuple(items[i].name for i in (1, 3, 4))
    assert len(chosen_data.datasets["scored"]) == 4
    limited = make(kind, tmp_path / "data", files=str(tmp_path / "names.txt"), limit=2)
    assert len(chosen(limited)) == 2
    assert set(chosen(limited)) < set(chosen(chosen_data))


@pytest.mark.parametrize(
    ("content", "kind", "part"),
    [
        ("frame_001\nA\nB\nC\nD", "unknown_name", "A, B, C first"),
        ("\n \n", "unusable_file", "is empty"),
        (None, "missing_file", "names.txt"),
        (b"\xff\xfe", "unusable_file", "cannot be read"),
    ],
)
def test_invalid_file_of_names_raises_error(tmp_path: Path, content: str | bytes | None, kind: Kind, part: str) -> None:
    if content is not None:
        Path("names.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with refuses("data.files", kind, part):
        set_up(make("camvid", tmp_path, files="names.txt"))


def test_ambiguous_name_raises_error(tmp_path: Path) -> None:
    make_camvid(tmp_path / "one")
    make_camvid(tmp_path / "two")
    Path("names.txt").write_text("one/train/frame_001.png\nframe_002.png")
    with refuses("data.files", "conflict", "frame_002.png"):
        set_up(ImageFolder(str(tmp_path), files="names.txt", scored_share=0))
    Path("names.txt").write_text("one/train/frame_001.png")
    assert chosen(ImageFolder(str(tmp_path), files="names.txt", scored_share=0)) == ("one_train_frame_001",)


@pytest.mark.parametrize("split", ["trainval", "train_extra"])
def test_unknown_training_split_raises_error(tmp_path: Path, split: str) -> None:
    with refuses("data.train_split", "unknown_name", split):
        make("camvid", tmp_path, train_split=split)


def test_limit_does_not_change_scored_images(tmp_path: Path) -> None:
    assert len(set_up(make("camvid", tmp_path, limit=1)).datasets["scored"]) == 4


def test_limit_above_number_of_images_raises_error(tmp_path: Path) -> None:
    with refuses("data.limit", "out_of_range", "6 training images"):
        make("camvid", tmp_path, limit=7).setup("fit")


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", (0, 32)), ("limit", 0), ("batch_size", -1)],
)
def test_settings_below_1_raise_error(tmp_path: Path, name: str, value: object) -> None:
    with refuses(f"data.{name}", "out_of_range", str(value)):
        make("camvid", tmp_path, **{name: value})


@pytest.mark.parametrize("kind", KINDS)
def test_worker_returns_the_same_batches(tmp_path: Path, kind: str) -> None:
    alone, helped = (set_up(make(kind, tmp_path, num_workers=workers)) for workers in (0, 1))
    for ours, theirs in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert_equal(ours, theirs)
    for ours, theirs in zip(alone.val_dataloader(), helped.val_dataloader(), strict=True):
        assert_equal(ours, theirs)


def test_training_is_shuffled_and_validation_in_order(tmp_path: Path) -> None:
    data = set_up(make("camvid", tmp_path, seed=1))
    seen = [int(i) for batch in data.train_dataloader() for i in batch["index"]]
    assert seen != sorted(seen) == list(range(6))
    assert [int(i) for batch in data.val_dataloader() for i in batch["index"]] == list(range(4))


def test_loaders_of_two_ranks_split_the_images(tmp_path: Path) -> None:
    data = set_up(make("camvid", tmp_path, limit=5))
    trained: list[tuple[int, float]] = []
    scored: list[int] = []
    for rank in range(2):
        data.trainer = as_rank(rank, 2)
        batches = list(data.loader("train", shuffle=True))
        assert [len(batch["index"]) for batch in batches] == [2, 1]
        trained += [
            (int(i), float(w)) for batch in batches for i, w in zip(batch["index"], batch["weight"], strict=True)
        ]
        scored += [int(i) for batch in data.val_dataloader() for i in batch["index"]]
    assert sorted(i for i, weight in trained if weight == 1) == list(range(5))
    assert [weight for _, weight in trained].count(0.0) == 1
    assert sorted(scored) == list(range(4))


@pytest.mark.parametrize("workers", [0, 1])
def test_input_error_keeps_its_message_in_a_worker(tmp_path: Path, workers: int) -> None:
    data = set_up(make("camvid", tmp_path, num_workers=workers))
    path = data.datasets["scored"].items[3].image
    assert isinstance(path, Path)
    path.write_bytes(b"no picture")
    batches: Any = iter(data.val_dataloader())
    with pytest.raises(InputError, match=r"val/frame_003\.png is not a picture"):
        list(batches)
    if workers:
        batches._shutdown_workers()  # left to the garbage collector it takes 5 s


def test_samples_can_be_pickled_without_the_trainer(tmp_path: Path) -> None:
    data = set_up(make("camvid", tmp_path))
    data.trainer = as_rank(0, 1)
    data.trainer.cannot_travel = lambda: None  # type: ignore[attr-defined]
    copy = pickle.loads(pickle.dumps(data.datasets["train"]))
    for name, value in data.datasets["train"][1].items():
        assert torch.equal(copy[1][name], value)


def test_augmentation_differs_between_epochs_and_is_reproducible(tmp_path: Path) -> None:
    def epochs() -> list[list[Batch]]:
        data = set_up(make("camvid", tmp_path))
        data.augment(Augmentation((16, 16)))
        loader, result = data.train_dataloader(), []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
            result.append(sorted(loader, key=lambda batch: int(batch["index"][0])))
        return result

    first, again = epochs(), epochs()
    for ours, theirs in zip(first[0] + first[1], again[0] + again[1], strict=True):
        assert_equal(ours, theirs)
    images = [
        {int(i): image for batch in epoch for i, image in zip(batch["index"], batch["image"], strict=True)}
        for epoch in first
    ]
    assert images[0].keys() == images[1].keys()
    assert all(image.shape == (3, 16, 16) for image in images[0].values())
    assert not any(torch.equal(images[0][i], images[1][i]) for i in images[0])


def test_paths_can_be_relative_to_the_root(tmp_path: Path) -> None:
    images = make("camvid", tmp_path).dataset("train")
    item = images.items[0]
    assert item.labels is not None
    relative = Path("train/frame_000.png"), Path("trainannot/frame_000.png")
    np.testing.assert_array_equal(images.read_image(Path("train/frame_000.png")), images.read_image(item.image))
    np.testing.assert_array_equal(images.read_labels(relative[1]), images.read_labels(item.labels))
