"""Tests of the disk cache of decoded images."""

import logging
import os
import pickle
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import SIZE, attack_args, learned, make_camvid, save
from uap import datasets
from uap.data import CamVid
from uap.data.image_store import GIB, ImageStore, open_store
from uap.data.modules import data_module
from uap.datasets import pictures
from uap.datasets.sources import Item
from uap.fit import main
from uap.utils import paths

ROW = 4 * SIZE[0] * SIZE[1]


def data_in(root: Path, **settings: Any) -> CamVid:
    data = CamVid(str(root), **{"size": SIZE, "num_workers": 0, **settings})
    data.setup("fit")
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the names of decoded files."""
    names: list[str] = []
    whole = pictures._open

    def counted(path: Any, **settings: Any) -> Any:
        names.append(path.name)
        return whole(path, **settings)

    monkeypatch.setattr(pictures, "_open", counted)
    return names


def test_image_is_decoded_once_for_all_epochs_runs_and_limits(root: Path, reads: list[str]) -> None:
    data = data_in(root)
    first = [data.datasets["train"][i] for i in range(6)]
    assert len(reads) == 12  # images and labels
    again = [data.datasets["train"][i] for i in range(6)]
    fewer = data_in(root, limit=3).datasets["train"]
    another = [fewer[i] for i in range(3)]
    assert len(reads) == 12
    for before, after in zip(first, again, strict=True):
        assert torch.equal(before["image"], after["image"])
        assert torch.equal(before["labels"], after["labels"])
    names = [item.name for item in data.datasets["train"].items]
    for item, row in zip(fewer.items, another, strict=True):
        assert torch.equal(row["image"], first[names.index(item.name)]["image"])


def test_changing_a_returned_image_does_not_change_the_store(root: Path) -> None:
    dataset = data_in(root).datasets["train"]
    expected = dataset[0]["image"].clone()
    dataset[0]["image"].zero_()
    assert torch.equal(dataset[0]["image"], expected)


@pytest.mark.parametrize("changed", ["image", "labels"])
def test_changed_file_is_read_again(root: Path, changed: str) -> None:
    before = data_in(root).datasets["train"][0]
    folder = {"image": "train", "labels": "trainannot"}[changed]
    pixels = np.ones((*SIZE, 3) if changed == "image" else SIZE, np.uint8)
    save(root / folder / "frame_000.png", pixels)
    after = data_in(root).datasets["train"][0]
    assert not torch.equal(before[changed], after[changed])


@pytest.mark.parametrize("settings", [{"size": (12, 16)}, {"resampling": "opencv"}])
def test_another_size_or_resampling_has_a_separate_store(
    root: Path, reads: list[str], settings: dict[str, Any]
) -> None:
    data_in(root).datasets["train"][0]
    count = len(reads)
    data_in(root, **settings).datasets["train"][0]
    assert len(reads) == 2 * count


def test_partly_written_row_is_read_again(root: Path) -> None:
    data = data_in(root)
    expected = data.datasets["train"][0]["image"].clone()
    store = data.datasets["train"].store
    assert store is not None
    rows = np.load(store.file.path, mmap_mode="r+")
    rows.reshape(len(rows), ROW)[0, ROW // 2 :] = 0
    assert store.get(data.datasets["train"].items[0]) is None
    assert torch.equal(data.datasets["train"][0]["image"], expected)
    assert store.get(data.datasets["train"].items[0]) is not None


def test_pickled_store_shares_rows(root: Path) -> None:
    dataset = data_in(root).datasets["train"]
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset.store))
    assert copy.get(dataset.items[0]) is not None
    assert copy.get(dataset.items[1]) is None
    dataset[1]
    assert copy.get(dataset.items[1]) is not None


def test_cache_gib_limits_the_number_of_rows(root: Path, reads: list[str]) -> None:
    data = data_in(root, cache_gib=2 * ROW / GIB)
    for _ in range(2):
        [data.datasets["train"][i] for i in range(6)]
    assert len(reads) == 12 + 8
    assert data_in(root, cache_gib=0).datasets["train"].store is None


def test_no_store_without_disk_space(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 1))
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        assert data_in(root).datasets["train"].store is None
    assert "Decoded images are not kept: they take 0.00 GiB in" in caplog.text


def test_existing_store_needs_no_free_disk_space(root: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = data_in(root).datasets["train"]
    [first[i] for i in range(6)]
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 99, 1))
    again = data_in(root).datasets["train"]
    assert again.store is not None
    [again[i] for i in range(6)]
    assert len(reads) == 12


@pytest.mark.parametrize(("times", "made"), [(1.9, False), (2.1, True)])
def test_store_takes_at_most_half_of_the_free_disk_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: float, made: bool
) -> None:
    image = save(tmp_path / "image.png", np.zeros((4, 4, 3), np.uint8))
    items = [Item(str(number), image, None) for number in range(10)]
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, times * 10 * ROW))
    assert (open_store(items, [], SIZE, 1.0) is not None) == made


def test_no_store_in_an_unwritable_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (root.parent / "file").touch()
    monkeypatch.setenv("UAP_CACHE", str(root.parent / "file"))
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        assert data_in(root).datasets["train"].store is None
    assert "Decoded images are not kept (" in caplog.text
    assert "Set UAP_CACHE to a folder that can be written" in caplog.text


def test_size_of_a_large_store_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    image = save(tmp_path / "image.png", np.zeros((4, 4, 3), np.uint8))
    items = [Item(str(number), image, None) for number in range(100)]
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        store = open_store(items, [], (1024, 2048), 0.5)
    assert store is not None
    assert store.usable == 64
    assert "0.50 GiB for 64 of 100 images" in caplog.text
    assert store.file.path.stat().st_blocks < 1000  # nothing is written yet
    assert store.file.path.parent == paths.cache_folder() / "images"


def test_row_with_checksum_zero_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uap.data.row_file.zlib.crc32", lambda row: 0)
    item = Item("a", tmp_path / "a", None)
    store = ImageStore(tmp_path / "a.rows", {item: 0}, (2, 2), 1)
    assert store.get(item) is None
    store.put(item, np.ones((4, 2, 2), np.uint8))
    assert store.get(item) is not None


@pytest.mark.slow
def test_run_learns_the_same_perturbation_with_and_without_store(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "with", **{"data.num_workers": 2}))
    main(attack_args(root, tmp_path / "again"))
    main(attack_args(root, tmp_path / "without", **{"data.cache_gib": 0}))
    assert torch.equal(learned(tmp_path / "with"), learned(tmp_path / "without"))
    assert torch.equal(learned(tmp_path / "again"), learned(tmp_path / "without"))


def test_full_disk_stops_writing_rows_without_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    data = data_in(root)
    monkeypatch.setattr(os, "pwrite", full)
    images = [data.datasets["train"][i]["image"] for i in range(6)]
    assert len(images) == 6
    printed = capsys.readouterr().out
    assert printed.count("Decoded images are not kept any more") == 1
    assert "No space left on device" in printed


def test_store_has_label_ids_of_the_file(root: Path) -> None:
    class Swapped(datasets.CamVid):
        def label_ids(self, ids: Any, path: Any) -> Any:
            return 1 - super().label_ids(ids, path)

    Swapped.__module__, Swapped.__qualname__ = datasets.CamVid.__module__, datasets.CamVid.__qualname__
    data = data_module(Swapped)(str(root), size=SIZE, num_workers=0)
    data.setup("fit")
    plain = data_in(root).datasets["train"][0]["labels"]
    assert torch.equal(data.datasets["train"][0]["labels"], 1 - plain)
