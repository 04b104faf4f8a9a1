from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers import SIZE, refuses, save, scene
from uap.data import ImageFolder
from uap.utils.errors import InputError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of ten images of different sizes and formats, some in subfolders, and other files."""
    rng = np.random.default_rng(0)
    for i, ending in enumerate(("jpg", "JPEG", "png", "bmp", "tif", "tiff", "webp", "PNG", "JPG", "png")):
        folder = ("", "a", "a/b")[i % 3]
        save(tmp_path / "own" / folder / f"{i}.{ending}", scene(rng, (20 + 3 * i, 60 - 2 * i))[0])
    (tmp_path / "own" / "notes.txt").write_text("no image")
    (tmp_path / "own" / "a" / "._0.png").write_bytes(b"a file of the system")
    save(tmp_path / "own" / ".thumbnails" / "0.png", scene(rng)[0])
    return tmp_path / "own"


def folder(root: Path, **settings: Any) -> ImageFolder:
    data = ImageFolder(str(root), **{"size": SIZE, "batch_size": 2, "num_workers": 0, **settings})
    data.setup("fit")
    return data


def names(data: ImageFolder, role: Any) -> list[str]:
    return [item.name for item in data.datasets[role].items]


EVERY = ["0", "3", "6", "9", "a_1", "a_4", "a_7", "a_b_2", "a_b_5", "a_b_8"]


def test_images_of_any_format_and_size_are_found_in_subfolders(root: Path) -> None:
    data = folder(root, scored_share=0)
    assert sorted(names(data, "train")) == EVERY
    for i in range(len(EVERY)):
        item = data.datasets["train"][i]
        assert item["image"].shape == (3, *SIZE)
        assert (item["labels"] == 255).all()


def test_scored_share_is_sampled_with_the_seed(root: Path) -> None:
    subsets = set()
    for seed in range(5):
        data, again = folder(root, seed=seed), folder(root, seed=seed)
        learned, scored = names(data, "train"), names(data, "scored")
        assert (len(learned), len(scored)) == (8, 2)
        assert sorted(learned + scored) == EVERY
        assert (names(again, "train"), names(again, "scored")) == (learned, scored)
        subsets.add(tuple(scored))
    assert len(subsets) > 1


def test_val_and_test_are_the_same_held_out_images(root: Path) -> None:
    held = names(folder(root, split="val"), "scored")
    assert names(folder(root, split="test"), "scored") == held
    assert sorted(held + names(folder(root, split="train"), "scored")) == EVERY


def test_scored_share_sets_the_number_of_scored_images(root: Path) -> None:
    assert len(names(folder(root, scored_share=0.5), "scored")) == 5
    assert len(names(folder(root, scored_share=0.01), "scored")) == 1


def test_scored_share_of_0_uses_all_images_for_both(root: Path) -> None:
    data = folder(root, scored_share=0)
    assert names(data, "train") == names(data, "scored")


def test_split_folders_define_the_splits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/x/1.png", "train/2.png", "val/1.png", "beside.png"):
        save(tmp_path / "own" / name, scene(rng)[0])
    data = folder(tmp_path / "own")
    assert names(data, "train") == ["2", "x_1"]
    assert names(data, "scored") == ["1"]


def test_files_with_the_same_stem_have_different_names(tmp_path: Path) -> None:
    for name in ("1.png", "1.jpg", "2.png"):
        save(tmp_path / name, scene(np.random.default_rng(0))[0])
    assert sorted(names(folder(tmp_path, scored_share=0), "train")) == ["1.jpg", "1.png", "2"]


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_images_are_rotated_by_exif_orientation(tmp_path: Path, kind: str, orientation: int, turned: int) -> None:
    image = np.zeros((16, 24, 3), np.uint8)
    image[:8, :8] = 255
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(image).save(tmp_path / f"1.{kind}", exif=exif, quality=100)
    expected = np.rot90(image, turned)
    data = folder(tmp_path, scored_share=0, size=expected.shape[:2])
    found = data.datasets["train"][0]["image"].permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - expected).mean() < 8


def test_folder_without_images_raises_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No images in .*none(.|\n)*Set --data\.root(.|\n)*\.webp(.|\n)*ROOT/val/"):
        folder(tmp_path / "none")


def test_missing_split_is_named(tmp_path: Path) -> None:
    save(tmp_path / "train" / "1.png", scene(np.random.default_rng(0))[0])
    with pytest.raises(InputError, match=r"No images in .*/val\. Set"):
        folder(tmp_path)


def test_file_as_root_raises_error(tmp_path: Path) -> None:
    path = save(tmp_path / "1.png", scene(np.random.default_rng(0))[0])
    with refuses("data.root", "unusable_file", str(path)):
        folder(path)


def test_single_image_raises_error(tmp_path: Path) -> None:
    save(tmp_path / "1.png", scene(np.random.default_rng(0))[0])
    with refuses("data.root", "out_of_range", "1 images"):
        folder(tmp_path)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_invalid_scored_share_raises_error(share: float) -> None:
    with refuses("data.scored_share", "out_of_range"):
        ImageFolder(scored_share=share)


def test_grey_image_of_16_bits_raises_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 30000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png has mode I;16, expected 8 bits per channel"):
        folder(tmp_path, scored_share=0).datasets["train"][0]


def test_reading_labels_raises_error(root: Path) -> None:
    with pytest.raises(
        InputError, match=r"2\.png cannot be read as labels: ImageFolder has no classes.*objective\.image"
    ):
        folder(root).dataset("train").read_labels(save(root / "2.png", np.zeros(SIZE, np.uint8)))
