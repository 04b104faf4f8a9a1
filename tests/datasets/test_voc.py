import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

from tests.helpers import SIZE, refuses, save, scene
from uap.data import PascalVOC
from uap.utils.class_tables import VOC
from uap.utils.errors import InputError

SPLITS = {"train": ["2007_a", "2007_c"], "val": ["2008_a", "2008_b"]}
SIZES = {"2007_a": (30, 40), "2007_c": (40, 30), "2008_a": (24, 32), "2008_b": (51, 33)}


def palette_png(path: Path, mask: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(mask, "L").convert("P")
    picture.putdata(mask.flatten())  # convert() chooses other indices
    picture.putpalette([level for color in VOC.colors for level in color])
    picture.save(path)


def labeled(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image, and a mask of background, person and void."""
    image, mask = scene(np.random.default_rng(len(name)), SIZES.get(name, SIZE))
    mask = mask * 15
    mask[:4] = 255
    return image, mask.astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "VOC2012"
    for split, names in (SPLITS | {"trainval": list(SIZES)}).items():
        folder = root / "ImageSets" / "Segmentation"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    for name in SIZES:
        image, mask = labeled(name)
        (root / "JPEGImages").mkdir(exist_ok=True)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        palette_png(root / "SegmentationClass" / f"{name}.png", mask)
    save(root / "JPEGImages" / "2009_of_another_task.jpg", image)
    return root


@pytest.fixture
def sbd(tmp_path: Path) -> Path:
    """Return a folder of SBD with three new images, a training image of VOC and a validation image of VOC."""
    root = tmp_path / "sbd"
    lists = {"train": ["2008_x", "2007_a", "2008_b"], "val": ["2008_y", "2008_w"]}
    for split, names in lists.items():
        for name in names:
            image, mask = labeled(name)
            save(root / "img" / f"{name}.jpg", image)
            (root / "cls").mkdir(exist_ok=True)
            inside = mask.copy()
            inside[:4] = 2
            savemat(root / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": inside, "CategoriesPresent": [15]}})
        (root / f"{split}.txt").write_text("\n".join(names))
    return root


def voc(root: Path, **settings: Any) -> PascalVOC:
    data = PascalVOC(str(root), **{"size": SIZE, "batch_size": 2, "num_workers": 0, **settings})
    data.setup("fit")
    return data


def names(data: PascalVOC) -> list[str]:
    return [item.name for item in data.datasets["train"].items]


def test_split_lists_select_the_images(root: Path) -> None:
    data = voc(root)
    assert names(data) == SPLITS["train"]
    assert [item.name for item in data.datasets["scored"].items] == SPLITS["val"]
    assert names(voc(root, train_split="trainval")) == SPLITS["train"] + SPLITS["val"]


def test_images_and_labels_are_resized_to_one_size(root: Path) -> None:
    data = voc(root)
    for dataset in data.datasets.values():
        for i, item in enumerate(dataset.items):
            found = dataset[i]
            assert found["image"].shape == (3, *SIZE)
            mask = Image.fromarray(labeled(item.name)[1]).resize(SIZE[::-1], Image.Resampling.NEAREST)
            np.testing.assert_array_equal(found["labels"], np.asarray(mask))
            assert set(found["labels"].flatten().tolist()) == {0, 15, 255}


def test_sbd_adds_images_without_voc_validation_images(root: Path, sbd: Path) -> None:
    data = voc(root, sbd=str(sbd))
    assert names(data) == [*SPLITS["train"], "2008_w", "2008_x", "2008_y"]
    assert [item.name for item in data.datasets["scored"].items] == SPLITS["val"]
    assert names(voc(root, sbd=str(sbd), train_split="trainval")) == [
        *SPLITS["train"],
        *SPLITS["val"],
        "2008_w",
        "2008_x",
        "2008_y",
    ]


def test_sbd_labels_are_read_except_for_images_of_voc(root: Path, sbd: Path) -> None:
    data = voc(root, sbd=str(sbd)).datasets["train"]
    expected = labeled("2008_w")[1]
    expected[:4] = 2
    np.testing.assert_array_equal(data[2]["labels"], expected)
    assert data[2]["labels"].dtype == data[0]["labels"].dtype
    assert 255 in data[0]["labels"]
    assert data.items[0].labels == root / "SegmentationClass" / "2007_a.png"


def test_missing_labels_are_ignored(root: Path) -> None:
    for path in (root / "SegmentationClass").iterdir():
        path.unlink()
    (root / "SegmentationClass").rmdir()
    assert (voc(root).datasets["train"][0]["labels"] == 255).all()


def remove(path: str) -> Any:
    return lambda root, sbd: (root.parent / path).unlink()


def write(path: str, content: str) -> Any:
    return lambda root, sbd: (root.parent / path).write_text(content)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (remove("VOC2012/ImageSets/Segmentation/train.txt"), r"No list of images .*train\.txt.*Set --data\.root"),
        (write("VOC2012/ImageSets/Segmentation/val.txt", "\n"), r"val\.txt lists no image"),
        (remove("VOC2012/JPEGImages/2008_b.jpg"), r"1 of 2 images are not in .*JPEGImages, 2008_b first"),
        (remove("VOC2012/SegmentationClass/2008_a.png"), r"1 of 2 images .* have no labels in .*2008_a\.jpg first"),
        (remove("sbd/val.txt"), r"No list of images .*sbd/val\.txt.*Set --data\.sbd"),
        (remove("sbd/cls/2008_x.mat"), r"1 of 3 images .* have no labels in .*cls, 2008_x\.jpg first"),
    ],
)
def test_missing_files_raise_error_with_expected_folders(root: Path, sbd: Path, change: Any, sentence: str) -> None:
    change(root, sbd)
    with pytest.raises(InputError, match=rf"{sentence}(.|\n)*Expected:\n"):
        voc(root, sbd=str(sbd))


@pytest.mark.parametrize("content", [b"", b"no mat file", b"half"])
def test_damaged_sbd_labels_are_named(root: Path, sbd: Path, content: bytes) -> None:
    path = sbd / "cls" / "2008_w.mat"
    path.write_bytes(path.read_bytes()[:200] if content == b"half" else content)
    with pytest.raises(InputError, match=r"2008_w\.mat cannot be read as labels of SBD"):
        voc(root, sbd=str(sbd)).datasets["train"][2]


def test_ids_outside_the_table_raise_error_with_file_name(root: Path) -> None:
    mask = np.zeros(SIZES["2007_a"], np.uint8)
    mask[3, 3] = 21
    path = save(root / "SegmentationClass" / "2007_a.png", mask)
    with pytest.raises(InputError, match=re.escape(f"{path} holds the id 21, expected 0 to 20, or 255.")):
        voc(root).datasets["train"][0]


def test_unknown_training_split_raises_error(root: Path) -> None:
    with refuses("data.train_split", "unknown_name", "train_extra"):
        PascalVOC(str(root), train_split="train_extra")
