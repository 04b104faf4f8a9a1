import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers import refuses
from uap.data import StreetScenes
from uap.datasets import synthetic as scenes
from uap.datasets.streetscenes import FIRST_INDEX, RENDERED_SIZE
from uap.utils.class_tables import CITYSCAPES_LABEL_IDS
from uap.utils.errors import InputError


@pytest.fixture(autouse=True)
def cache_elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use another cache folder, because the tests count the files in `tmp_path`."""
    monkeypatch.setenv("UAP_CACHE", str(tmp_path_factory.mktemp("cache")))


def street(root: Path, train: int = 2, val: int = 1, **settings: object) -> StreetScenes:
    arguments: dict[str, object] = {"size": (32, 64), "num_workers": 0, **settings}
    return StreetScenes(str(root), scenes=train, scored_scenes=val, **arguments)


def rendered(data: StreetScenes) -> StreetScenes:
    data.prepare_data()
    data.setup("fit")
    return data


def times(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*.*")}


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)


def test_files_have_the_layout_of_cityscapes(tmp_path: Path) -> None:
    street(tmp_path).prepare_data()
    names = [
        f"{split}/streetscenes/streetscenes_000000_{i:06d}" for split, i in (("train", 0), ("train", 1), ("val", 0))
    ]
    expected = {f"leftImg8bit/{name}_leftImg8bit.png" for name in names}
    expected |= {f"gtFine/{name}_gtFine_{kind}.png" for name in names for kind in ("labelIds", "labelTrainIds")}
    assert set(times(tmp_path)) == expected | {"streetscenes.json"}


def test_files_contain_the_rendered_scene(tmp_path: Path) -> None:
    data = rendered(street(tmp_path, scene_seed=4))
    image, train_ids = scenes.render_scene(4, FIRST_INDEX["val"], RENDERED_SIZE)
    item = data.dataset("val").items[0]
    assert isinstance(item.image, Path)
    assert isinstance(item.labels, Path)
    np.testing.assert_array_equal(read(item.image)[..., ::-1], image)
    np.testing.assert_array_equal(read(item.labels), np.array(CITYSCAPES_LABEL_IDS)[train_ids])
    train_id_file = item.labels.with_name(item.labels.name.replace("labelIds", "labelTrainIds"))
    np.testing.assert_array_equal(read(train_id_file), train_ids)
    np.testing.assert_array_equal(data.dataset("train").label_ids(read(item.labels), item.labels), train_ids)


def test_scenes_are_resized(tmp_path: Path) -> None:
    item = rendered(street(tmp_path)).datasets["scored"][0]
    assert item["image"].shape == (3, 32, 64)
    assert item["labels"].shape == (32, 64)


def test_second_prepare_data_writes_nothing(tmp_path: Path) -> None:
    street(tmp_path).prepare_data()
    before = times(tmp_path)
    street(tmp_path).prepare_data()
    assert times(tmp_path) == before


def test_more_scenes_are_added_to_existing_ones(tmp_path: Path) -> None:
    street(tmp_path, train=1).prepare_data()
    before = times(tmp_path)
    grown = rendered(street(tmp_path, train=3))
    after = times(tmp_path)
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 2 * 3
    assert len(grown.datasets["train"]) == 3


def test_fewer_scenes_can_be_used(tmp_path: Path) -> None:
    street(tmp_path, train=3).prepare_data()
    fewer = rendered(street(tmp_path, train=2))
    assert fewer.dataset("train").items == street(tmp_path, train=3).dataset("train").items[:2]


def test_only_used_splits_are_rendered(tmp_path: Path) -> None:
    street(tmp_path, split="test").prepare_data()
    assert {path.name for path in (tmp_path / "leftImg8bit").iterdir()} == {"train", "test"}


def test_training_and_validation_scenes_differ(tmp_path: Path) -> None:
    data = rendered(street(tmp_path, train=2, val=2))
    pictures = [
        data.dataset("train").read_image(item.image) for split in ("train", "val") for item in data.dataset(split).items
    ]
    assert not any(np.array_equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])


def test_folder_of_another_seed_raises_error(tmp_path: Path) -> None:
    street(tmp_path).prepare_data()
    before = times(tmp_path)
    with refuses("data.root", "conflict", "'seed': 0"):
        street(tmp_path, scene_seed=1).prepare_data()
    assert times(tmp_path) == before


def test_folder_of_another_version_raises_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    street(tmp_path).prepare_data()
    monkeypatch.setattr(scenes, "VERSION", scenes.VERSION + 1)
    with refuses("data.root", "conflict"):
        street(tmp_path).prepare_data()


def test_damaged_manifest_raises_error(tmp_path: Path) -> None:
    (tmp_path / "streetscenes.json").write_text("{")
    with refuses("data.root", "unusable_file"):
        street(tmp_path).prepare_data()


@pytest.mark.parametrize("blocked", ["", "leftImg8bit"])
def test_unwritable_folder_raises_error(tmp_path: Path, blocked: str) -> None:
    root = tmp_path / "streets"
    if blocked:
        root.mkdir()
    (root / blocked).write_text("a file where a folder must be")
    with pytest.raises(InputError, match=r"cannot be kept in .*streets|streets.*could not be written"):
        street(root).prepare_data()


@pytest.mark.parametrize("lost", ["gtFine/train/*/*_000001_gtFine_labelIds.png", "leftImg8bit/train/*/*_000001_*.png"])
def test_interrupted_rendering_is_completed(tmp_path: Path, lost: str) -> None:
    street(tmp_path).prepare_data()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    (path,) = tmp_path.glob(lost)
    path.unlink()
    assert len(rendered(street(tmp_path)).datasets["train"]) == 2
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_interrupted_rendering_does_not_prevent_fewer_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    street(tmp_path, train=1).prepare_data()
    written = cv2.imwrite

    def interrupted(path: str, pixels: NDArray[np.uint8]) -> bool:
        if "_000001_gtFine_labelIds" in path:
            raise KeyboardInterrupt
        return written(path, pixels)

    monkeypatch.setattr(cv2, "imwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        street(tmp_path, train=2).prepare_data()
    assert len(rendered(street(tmp_path, train=1)).datasets["train"]) == 1


def test_manifest_contains_the_settings(tmp_path: Path) -> None:
    street(tmp_path, scene_seed=2).prepare_data()
    assert json.loads((tmp_path / "streetscenes.json").read_text()) == {
        "seed": 2,
        "version": scenes.VERSION,
        "size": [256, 512],
    }


@pytest.mark.parametrize(("train", "val", "name"), [(0, 1, "scenes"), (1, -1, "scored_scenes")])
def test_number_of_scenes_below_1_raises_error(tmp_path: Path, train: int, val: int, name: str) -> None:
    with refuses(f"data.{name}", "out_of_range"):
        street(tmp_path, train=train, val=val)
