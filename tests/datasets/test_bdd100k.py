import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import SIZE, save, scene
from uap.data import BDD100K
from uap.utils.errors import InputError

LAYOUTS = {
    "images/10k": ("images/10k/{}/{}.jpg", "labels/sem_seg/masks/{}/{}.png"),
    "seg": ("seg/images/{}/{}.jpg", "seg/labels/{}/{}_train_id.png"),
}


@pytest.fixture(params=LAYOUTS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    images, labels = LAYOUTS[request.param]
    rng = np.random.default_rng(0)
    for split, count in {"train": 3, "val": 2, "test": 2}.items():
        for i in range(count):
            image, mask = scene(rng, (48, 64))
            name = f"{i}a4c0-d4dff0ad"
            save(tmp_path / images.format(split, name), image)
            if split != "test":
                mask = np.where(mask == 1, 18, 2).astype(np.uint8)
                mask[0] = 255
                save(tmp_path / labels.format(split, name), mask)
    return tmp_path


def bdd(root: Path, **settings: Any) -> BDD100K:
    data = BDD100K(str(root), **{"size": SIZE, "batch_size": 2, "num_workers": 0, **settings})
    data.setup("fit")
    return data


def test_both_published_layouts_are_read(root: Path) -> None:
    data = bdd(root)
    assert [item.name for item in data.datasets["train"].items] == [f"{i}a4c0-d4dff0ad" for i in range(3)]
    assert len(data.datasets["scored"]) == 2
    item = data.datasets["train"][1]
    assert item["image"].shape == (3, *SIZE)
    assert set(item["labels"].flatten().tolist()) <= {2, 18, 255}
    bright = item["image"].float().mean(0) > 125
    assert (bright == (item["labels"] == 18)).float().mean() > 0.9


def test_test_split_has_no_labels(root: Path) -> None:
    assert (bdd(root, split="test").datasets["scored"][0]["labels"] == 255).all()


def test_missing_labels_are_named(root: Path) -> None:
    item = bdd(root).datasets["train"].items[1]
    assert isinstance(item.labels, Path)
    item.labels.unlink()
    with pytest.raises(InputError, match=r"1 of 3 images .* have no labels in .*train, 1a4c0-d4dff0ad\.jpg first"):
        bdd(root)


def test_missing_images_raise_error_with_both_layouts(root: Path) -> None:
    for name in ("images", "seg"):
        shutil.rmtree(root / name, ignore_errors=True)
    with pytest.raises(InputError, match=r"No images in .*images/10k/train(.|\n)*labels/sem_seg(.|\n)*_train_id\.png"):
        bdd(root)


def test_ids_other_than_train_ids_raise_error(root: Path) -> None:
    labels = bdd(root).datasets["train"].items[0].labels
    assert isinstance(labels, Path)
    save(labels, np.full((48, 64), 24, np.uint8))
    with pytest.raises(InputError, match=r"0a4c0\S*png holds the id 24, expected train ids 0 to 18, or 255"):
        bdd(root).datasets["train"][0]
