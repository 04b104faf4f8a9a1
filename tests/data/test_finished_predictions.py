"""Tests that the file of clean predictions gets its final name when it is complete and synced."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from tests.data.predicting import Counting, cached, data_in, kept, make_root, trainer, victim_of
from tests.helpers import record_syncs
from uap.data import clean_predictions
from uap.data.clean_predictions import make_predictions, predictions_path
from uap.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


def test_predictions_are_synced_before_they_are_renamed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = record_syncs(monkeypatch)
    finished = kept(data_in(root).datasets["train"], victim_of(), trainer()).stat()
    of_it = [call for call in calls if call[1] == finished.st_ino]
    assert of_it == [("sync", finished.st_ino, finished.st_size), ("rename", finished.st_ino, finished.st_size)]


def test_predictions_changed_during_computation_raise_error(root: Path, tmp_path: Path) -> None:
    def change(network: Counting, inputs: Any) -> None:
        if network.seen:  # the first batch is written
            (part,) = cached(tmp_path)
            np.load(part, mmap_mode="r+")[2] ^= 1

    dataset, network = data_in(root).datasets["train"], Counting()
    expected = np.load(kept(dataset, victim_of(), trainer()))
    shutil.rmtree(tmp_path / "cache/predictions")
    network.register_forward_pre_hook(change)
    with pytest.raises(InputError, match=r"were changed while they were computed\. Start again"):
        kept(dataset, victim_of(network), trainer())
    assert not predictions_path(dataset, victim_of()).exists()
    np.testing.assert_array_equal(np.load(kept(dataset, victim_of(), trainer())), expected)


def test_unfinished_predictions_continue_on_a_nearly_full_disk(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, broken = data_in(root).datasets["train"], Counting()
    victim = victim_of(broken)
    broken.fails_at = 5
    with pytest.raises(RuntimeError, match="out of memory"):
        kept(dataset, victim, trainer())
    part = predictions_path(dataset, victim).with_suffix(".part.npy")
    with part.open("rb") as file:
        os.fsync(file.fileno())  # some file systems count no blocks before
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    assert kept(dataset, victim_of(), trainer()).exists()


class Ranks:
    """Two processes of a node, simulated by threads with real barriers, gathered objects and files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.barrier = threading.Barrier(2, timeout=60)
        self.own = threading.local()
        self.told: list[Any] = [None, None]
        monkeypatch.setattr(torch.distributed, "all_gather_object", self.gather)

    def trainer(self) -> Trainer:
        strategy = SimpleNamespace(barrier=lambda name: self.barrier.wait())
        ranks = {"local_rank": self.own.rank, "num_devices": 2, "node_rank": 0, "world_size": 2}
        return cast(Trainer, SimpleNamespace(**ranks, strategy=strategy))

    def gather(self, found: list[Any], value: Any) -> None:
        self.told[self.own.rank] = value
        self.barrier.wait()
        found[:] = self.told
        self.barrier.wait()

    def run(self, function: Callable[[int], Any]) -> list[Any]:
        def run(rank: int) -> Any:
            self.own.rank = rank
            return function(rank)

        with ThreadPoolExecutor(2) as threads:
            return [future.result() for future in [threads.submit(run, rank) for rank in (0, 1)]]


def test_two_ranks_split_the_images_and_wait_for_all_predictions(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*args: Any) -> None:
        time.sleep(0.5)
        finish(*args)

    def predict(rank: int) -> tuple[int, Any]:
        made = make_predictions(dataset, victims[rank], path, ranks.trainer())
        return made, np.load(path)

    finish, ranks, networks = clean_predictions._finish, Ranks(monkeypatch), [Counting(), Counting()]
    monkeypatch.setattr(clean_predictions, "_finish", slow)
    dataset, victims = data_in(root).datasets["train"], [victim_of(network) for network in networks]
    path = predictions_path(dataset, victims[0])
    both = ranks.run(predict)
    assert [network.seen for network in networks] == [3, 3]
    for made, predictions in both:
        assert made == 6
        for i, prediction in enumerate(predictions):
            np.testing.assert_array_equal(prediction, victim_of().predict(dataset[i]["image"][None])[0])


def test_error_of_one_rank_is_raised_on_both(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(rank: int) -> str:
        with pytest.raises(InputError) as refused:
            make_predictions(dataset, victim_of(), path, ranks.trainer())
        return str(refused.value)

    ranks, dataset = Ranks(monkeypatch), data_in(root).datasets["train"]
    path = predictions_path(dataset, victim_of())
    (root / "train" / "frame_003.png").write_bytes(b"no picture")  # the second rank's
    sentences = ranks.run(predict)
    assert sentences[0] == sentences[1]
    assert "frame_003.png is not a picture" in sentences[0]
    assert not path.exists()
