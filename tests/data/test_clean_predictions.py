"""Tests of the cache of clean predictions."""

import logging
import os
import re
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.data.predicting import Counting, cached, data_in, kept, make_root, stored, trainer, victim_of
from tests.datasets.zips import make_zips
from tests.helpers import SIZE
from uap.data import Cityscapes, ImageFolder, clean_predictions
from uap.data.row_file import RowFile
from uap.data.samples import Samples
from uap.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_clean_predictions_equal_predict_on_each_image(root: Path, workers: int) -> None:
    dataset, victim = data_in(root, num_workers=workers).datasets["train"], victim_of()
    predictions = np.load(kept(dataset, victim, trainer()))
    assert predictions.dtype == np.uint8
    assert predictions.shape == (6, *SIZE)
    assert 0 < predictions.mean() < 1
    for i, prediction in enumerate(predictions):
        np.testing.assert_array_equal(prediction, victim.predict(dataset[i]["image"][None])[0])


def test_second_call_reads_cached_predictions(root: Path) -> None:
    first, again = Counting(), Counting()
    path = kept(data_in(root).datasets["train"], victim_of(first), trainer())
    assert kept(data_in(root).datasets["train"], victim_of(again), trainer()) == path
    assert (first.seen, again.seen) == (6, 0)


@pytest.mark.parametrize(
    "changed", ["weights", "mean", "std", "channel_order", "size", "resampling", "file", "one file less"]
)
def test_changed_input_computes_new_predictions(root: Path, changed: str) -> None:
    image = root / "train" / "frame_001.png"
    stored(image, 60)
    before = kept(data_in(root).datasets["train"], victim_of(), trainer())
    network = Counting(100.0) if changed == "weights" else Counting()
    victims: dict[str, dict[str, Any]] = {
        "mean": {"mean": (2.0, 0.0, 0.0)},
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


def test_upright_images_have_separate_predictions(root: Path) -> None:
    stored, turned = data_in(root), ImageFolder(str(root / "train"), size=SIZE, num_workers=0, scored_share=0)
    turned.setup("fit")
    datasets = [data.datasets["train"] for data in (stored, turned)]
    assert [item.image for item in datasets[0].items] == [item.image for item in datasets[1].items]
    assert len({kept(dataset, victim_of(), trainer()) for dataset in datasets}) == 2


@pytest.mark.parametrize("changed", [{"batch_size": 1}, {"seed": 3}, {"num_workers": 1}])
def test_unrelated_settings_keep_the_cache(root: Path, changed: dict[str, Any]) -> None:
    before = kept(data_in(root).datasets["train"], victim_of(), trainer())
    assert kept(data_in(root, **changed).datasets["train"], victim_of(), trainer()) == before


def interrupted(root: Path, tmp_path: Path) -> tuple[Samples, Path]:
    """Return the training images, and the unfinished file of a run that fails in the second batch."""
    dataset, broken = data_in(root).datasets["train"], Counting()
    victim = victim_of(broken)
    broken.fails_at = 5
    with pytest.raises(RuntimeError, match="out of memory"):
        kept(dataset, victim, trainer())
    (part,) = cached(tmp_path)
    return dataset, part


def test_interrupted_predictions_are_continued(root: Path, tmp_path: Path) -> None:
    dataset, part = interrupted(root, tmp_path)
    assert part.suffixes == [".part", ".npy"]
    network = Counting()
    path = kept(dataset, victim_of(network), trainer())
    assert network.seen == 2  # the second batch
    assert cached(tmp_path) == [path]
    for i, prediction in enumerate(np.load(path)):
        np.testing.assert_array_equal(prediction, victim_of().predict(dataset[i]["image"][None])[0])


def test_damaged_row_is_predicted_again(root: Path, tmp_path: Path) -> None:
    dataset, part = interrupted(root, tmp_path)
    np.load(part, mmap_mode="r+")[2] ^= 1
    network = Counting()
    prediction = np.load(kept(dataset, victim_of(network), trainer()))[2]
    assert network.seen == 3
    np.testing.assert_array_equal(prediction, victim_of().predict(dataset[2]["image"][None])[0])


def test_unreadable_image_is_named_and_other_predictions_are_kept(root: Path, tmp_path: Path) -> None:
    dataset = data_in(root).datasets["train"]
    (root / "train" / "frame_005.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"frame_005\.png is (not a picture|truncated)"):
        kept(dataset, victim_of(), trainer())
    assert [path.suffixes for path in cached(tmp_path)] == [[".part", ".npy"]]


def test_size_of_large_predictions_is_printed(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("uap.data.clean_predictions.GIB", 6 * SIZE[0] * SIZE[1])
    with caplog.at_level(logging.INFO, "pytorch_lightning.utilities.rank_zero"):
        kept(data_in(root).datasets["train"], victim_of(), trainer())
    assert re.search(r"Keeping clean predictions in .*predictions: 1\.00 GiB\.", caplog.text)


def test_predictions_without_disk_space_raise_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = data_in(root).datasets["train"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1))
    with pytest.raises(InputError, match=r"Clean predictions take 0\.00 GiB in .*, but only 0\.00 GiB are free\. Set"):
        kept(dataset, victim_of(), trainer())


def test_two_runs_can_compute_the_same_predictions_at_the_same_time(root: Path, tmp_path: Path) -> None:
    def overtake(network: Counting, inputs: Any) -> None:
        if not network.seen:
            kept(data_in(root).datasets["train"], victim_of(), trainer())

    network = Counting()
    network.register_forward_pre_hook(overtake)
    path = kept(data_in(root).datasets["train"], victim_of(network), trainer())
    assert cached(tmp_path) == [path]
    assert len(np.load(path)) == 6


def test_unwritable_cache_raises_error(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("UAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot be kept in .*file.*Set UAP_CACHE to a folder"):
        kept(data_in(root).datasets["train"], victim_of(), trainer())


def test_deleted_image_is_named(root: Path) -> None:
    dataset = data_in(root).datasets["train"]
    (root / "train" / "frame_002.png").unlink()
    with pytest.raises(InputError, match=r"frame_002\.png does not exist"):
        kept(dataset, victim_of(), trainer())


@pytest.mark.parametrize("changed", ["the picture", "another picture"])
def test_changed_image_in_zip_file_computes_new_predictions(tmp_path: Path, changed: str) -> None:
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


def finish_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Let another run compute the same predictions when this run first calls a function."""
    function: Any = getattr(clean_predictions, where)

    def late(*args: Any) -> Any:
        monkeypatch.setattr(clean_predictions, where, function)
        result = function(*args) if where == "RowFile" else None
        kept(data_in(root).datasets["train"], victim_of(), trainer())
        return result or function(*args)

    monkeypatch.setattr(clean_predictions, where, late)


@pytest.mark.parametrize("where", ["_check_disk_space", "RowFile", "_finish"])
def test_predictions_are_correct_if_another_run_finishes_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    finish_meanwhile(root, monkeypatch, where)
    path = kept(data_in(root).datasets["train"], victim_of(), trainer())
    assert cached(tmp_path) == [path]
    dataset = data_in(root).datasets["train"]
    for i, prediction in enumerate(np.load(path)):
        np.testing.assert_array_equal(prediction, victim_of().predict(dataset[i]["image"][None])[0])


def test_unfinished_file_of_another_run_does_not_replace_finished_predictions(root: Path, tmp_path: Path) -> None:
    path = kept(data_in(root).datasets["train"], victim_of(), trainer())
    expected = np.load(path)
    RowFile(path.with_suffix(".part.npy"), expected.shape)
    assert kept(data_in(root).datasets["train"], victim_of(), trainer()) == path
    np.testing.assert_array_equal(np.load(path), expected)
    assert cached(tmp_path) == [path]


def test_folder_deleted_during_prediction_raises_error(root: Path, tmp_path: Path) -> None:
    network = Counting()
    network.register_forward_pre_hook(lambda *_: shutil.rmtree(tmp_path / "cache" / "predictions"))
    with pytest.raises(InputError, match=r"Clean predictions cannot be kept in .*No such file"):
        kept(data_in(root).datasets["train"], victim_of(network), trainer())


@pytest.mark.parametrize("damage", ["half", "nothing", "bits", "header"])
def test_damaged_finished_predictions_are_computed_again(root: Path, tmp_path: Path, damage: str) -> None:
    path = kept(data_in(root).datasets["train"], victim_of(), trainer())
    expected, content = np.load(path), bytearray(path.read_bytes())
    if damage == "bits":
        content[128 + SIZE[0] * SIZE[1] + 3] ^= 1  # in the second row
    if damage == "header":
        content[:128] = bytes(128)
    if damage in ("half", "nothing"):
        del content[len(content) // 2 if damage == "half" else 0 :]
    path.write_bytes(content)
    network = Counting()
    assert kept(data_in(root).datasets["train"], victim_of(network), trainer()) == path
    assert (
        network.seen == {"half": 6, "nothing": 6, "bits": 1, "header": 0}[damage]
    )  # the checksums are at the end of the file
    np.testing.assert_array_equal(np.load(path), expected)
    assert cached(tmp_path) == [path]


def test_damaged_prediction_on_target_image_is_computed_again(root: Path, tmp_path: Path) -> None:
    images, network = data_in(root).dataset("train"), Counting()
    victim, picture = victim_of(network), root / "train" / "frame_003.png"
    expected = clean_predictions.one_prediction(images, victim, picture)
    (path,) = cached(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    np.testing.assert_array_equal(clean_predictions.one_prediction(images, victim, picture), expected)
    np.testing.assert_array_equal(clean_predictions.one_prediction(images, victim, picture), expected)
    assert network.seen == 2


def test_folder_at_predictions_path_raises_error(root: Path) -> None:
    dataset = data_in(root).datasets["train"]
    clean_predictions.predictions_path(dataset, victim_of()).mkdir(parents=True)
    with pytest.raises(InputError, match=r"Clean predictions cannot be kept in .*Is a directory"):
        kept(dataset, victim_of(), trainer())
