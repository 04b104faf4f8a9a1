"""Tests of Cityscapes in zip files."""

import multiprocessing
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.datasets.zips import make_zips, pack
from tests.helpers import SIZE, make_cityscapes, save, scene
from uap.data import Cityscapes
from uap.datasets.sources import ZipMember, members, stamp
from uap.utils.errors import InputError


@pytest.fixture(autouse=True)
def cache_elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use another cache folder, because the tests count the files in `tmp_path`."""
    monkeypatch.setenv("UAP_CACHE", str(tmp_path_factory.mktemp("cache")))


def cityscapes(root: Path, stage: str = "fit", **settings: Any) -> Cityscapes:
    data = Cityscapes(str(root), **{"size": SIZE, "batch_size": 2, "num_workers": 0, **settings})
    data.setup(stage)
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_zips(tmp_path / "zips")


def test_zip_files_equal_extracted_files(root: Path, tmp_path: Path) -> None:
    packed, extracted = cityscapes(root), cityscapes(make_cityscapes(tmp_path / "extracted"))
    assert {path.name for path in root.iterdir()} == {"gtFine_trainvaltest.zip", "leftImg8bit_trainvaltest.zip"}
    for role, expected in extracted.datasets.items():
        ours = packed.datasets[role]
        assert [item.name for item in ours.items] == [item.name for item in expected.items]
        for i in range(len(expected)):
            assert ours[i].keys() == expected[i].keys()
            assert all(torch.equal(ours[i][key], expected[i][key]) for key in expected[i])
    assert len(packed.dataset("test").items) == 2


def test_reading_extracts_no_files(root: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    data = cityscapes(root)
    data.datasets["train"][0]
    assert sorted(tmp_path.rglob("*")) == before


def test_two_workers_read_one_zip_file(tmp_path: Path) -> None:
    root = make_zips(tmp_path / "zips", train=24)
    alone, helped = cityscapes(root), cityscapes(root, num_workers=2)
    alone.datasets["train"][0]  # the file is open in the parent when the workers are forked
    for ours, theirs in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert torch.equal(ours["index"], theirs["index"])
        assert torch.equal(ours["image"], theirs["image"])
        assert torch.equal(ours["labels"], theirs["labels"])


def test_forked_process_opens_the_zip_file_again(root: Path) -> None:
    member = cityscapes(root).datasets["train"].items[0].image
    member.open()  # in the parent
    with multiprocessing.get_context("fork").Pool(1) as pool:
        child, files = pool.apply(open_files, (member,))
    assert child != os.getpid()
    assert files == 2  # the file inherited from the parent, and the own file


def open_files(member: ZipMember) -> tuple[int, int]:
    member.open()
    links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
    return os.getpid(), sum(link == str(member.archive) for link in links)


def test_samples_of_zip_files_can_be_pickled(root: Path) -> None:
    dataset = cityscapes(root).datasets["train"]
    dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[3]["image"], dataset[3]["image"])
    assert torch.equal(copy[3]["labels"], dataset[3]["labels"])


def test_extracted_images_combine_with_zipped_labels(root: Path) -> None:
    expected = cityscapes(root).datasets["train"][1]
    with zipfile.ZipFile(root / "leftImg8bit_trainvaltest.zip") as archive:
        archive.extractall(root)
    found = cityscapes(root).datasets["train"]
    assert isinstance(found.items[1].image, Path)
    assert isinstance(found.items[1].labels, ZipMember)
    assert all(torch.equal(found[1][key], expected[key]) for key in expected)


def test_labels_without_a_zip_file_are_ignored(root: Path) -> None:
    (root / "gtFine_trainvaltest.zip").unlink()
    assert (cityscapes(root).datasets["train"][0]["labels"] == 255).all()


def test_labels_missing_in_the_zip_file_are_named(root: Path) -> None:
    with zipfile.ZipFile(root / "gtFine_trainvaltest.zip") as archive:
        archive.extractall(root)
    (root / "gtFine/val/aachen/aachen_000001_000019_gtFine_labelIds.png").unlink()
    archive_path = pack(root, "gtFine", root / "gtFine_trainvaltest.zip")
    sentence = (
        f"1 of 4 images of the split have no labels in {archive_path}, aachen_000001_000019_leftImg8bit.png first."
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        cityscapes(root)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_extra_split_can_be_used_for_training(root: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    for i in range(3):
        image, _ = scene(rng)
        save(root / f"leftImg8bit/train_extra/bayreuth/bayreuth_{i:06d}_000019_leftImg8bit.png", image)
    if kind == "zip":
        pack(root, "leftImg8bit", root / "leftImg8bit_trainextra.zip")
    data = cityscapes(root, train_split="train_extra")
    assert [item.name for item in data.datasets["train"].items] == [f"bayreuth_{i:06d}_000019" for i in range(3)]
    assert (data.datasets["train"][2]["labels"] == 255).all()
    assert len(data.datasets["scored"]) == 4
    assert len(cityscapes(root).datasets["train"]) == 6


def test_missing_extra_split_is_named(root: Path) -> None:
    with pytest.raises(InputError, match=r"No images in .*leftImg8bit/train_extra(.|\n)*leftImg8bit_trainextra\.zip"):
        cityscapes(root, train_split="train_extra")


def test_unsafe_member_names_write_no_files(root: Path, tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", scene(np.random.default_rng(2))[0]).read_bytes()
    hostile = ["leftImg8bit/train/../evil_leftImg8bit.png", "../leftImg8bit/train/a/evil_leftImg8bit.png", "/evil.png"]
    with zipfile.ZipFile(root / "leftImg8bit_trainvaltest.zip", "a") as archive:
        for name in hostile:
            archive.writestr(name, picture)
    with zipfile.ZipFile(root / "gtFine_trainvaltest.zip", "a") as archive:
        archive.writestr("gtFine/train/../evil_gtFine_labelIds.png", picture)
    before = sorted(tmp_path.rglob("*"))
    items = cityscapes(root).datasets["train"].items
    assert [item.name for item in items][:2] == ["evil", "aachen_000000_000019"]
    assert cityscapes(root).dataset("train").read_image(items[0].image).shape == (*SIZE, 3)
    assert sorted(tmp_path.rglob("*")) == before


def test_path_below_the_root_is_found_in_zip_files(root: Path) -> None:
    images = cityscapes(root).dataset("train")
    item = images.items[2]
    assert isinstance(item.image, ZipMember)
    assert isinstance(item.labels, ZipMember)
    for member, read in ((item.image, images.read_image), (item.labels, images.read_labels)):
        assert images.find(Path(member.member)) == member
        np.testing.assert_array_equal(read(Path(member.member)), read(member))
    nowhere = Path("leftImg8bit/train/none.png")
    assert images.find(nowhere) == root / nowhere


def test_stamp_changes_only_with_the_image(root: Path) -> None:
    archive = root / "leftImg8bit_trainvaltest.zip"
    first, other = [ZipMember(archive, name) for name in members(archive) if name.endswith(".png")][:2]
    before = stamp(first), stamp(other)
    archive.rename(root / "old.zip")
    with zipfile.ZipFile(root / "old.zip") as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[::-1] if name == other.member else content)
    assert stamp(first) == before[0]
    assert stamp(other) != before[1]


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_truncated_zip_file_is_named(root: Path, keep: float) -> None:
    archive = root / "leftImg8bit_trainvaltest.zip"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=r"leftImg8bit_trainvaltest\.zip cannot be read as a zip file .*Download it"):
        cityscapes(root)


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_member_is_named_in_a_worker(root: Path, workers: int) -> None:
    archive = root / "leftImg8bit_trainvaltest.zip"
    data = cityscapes(root, num_workers=workers)
    member = data.datasets["scored"].items[0].image
    assert isinstance(member, ZipMember)
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        start = opened.getinfo(member.member).header_offset + 30 + len(member.member)
    content[start + 40] ^= 255
    archive.write_bytes(content)
    batches: Any = iter(data.val_dataloader())
    with pytest.raises(InputError, match=r"zip/leftImg8bit/val/aachen/aachen_000000\S* cannot be read .*Bad CRC"):
        next(batches)
    if workers:
        batches._shutdown_workers()  # left to the garbage collector it takes 5 s


def test_member_other_than_an_image_is_named(root: Path) -> None:
    archive = root / "leftImg8bit_trainvaltest.zip"
    name = "leftImg8bit/train/aachen/zz_leftImg8bit.png"
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(name, b"no picture")
    with pytest.raises(InputError, match=rf"zip/{name} is not a picture"):
        Cityscapes(str(root), size=SIZE).dataset("train").read_image(ZipMember(archive, name))


def test_missing_member_or_zip_file_is_named(root: Path) -> None:
    archive = root / "leftImg8bit_trainvaltest.zip"
    with pytest.raises(InputError, match=r"trainvaltest\.zip has no member gone\.png"):
        ZipMember(archive, "gone.png").open()
    archive.unlink()
    with pytest.raises(InputError, match=r"trainvaltest\.zip does not exist"):
        ZipMember(archive, "gone.png").stamp()
