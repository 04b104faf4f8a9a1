"""Tests of the folder of adversarial images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from uap.datasets.sources import Item, with_unique_names
from uap.universal.adversarial_files import AdversarialFiles
from uap.utils.errors import InputError

IMAGE = torch.arange(24, dtype=torch.uint8).view(3, 2, 4) + 100


def opened(identity: int = 1) -> AdversarialFiles:
    return AdversarialFiles(Path("adversarial"), {"epsilon": identity, "pair": (1, 2)})


def written(change: Tensor | int = 5) -> AdversarialFiles:
    files = opened()
    files.write({"a": (IMAGE + change, {"seconds": 1.5})})
    return files


def test_read_returns_the_written_image() -> None:
    files = written()
    assert torch.equal(files.read("a", IMAGE, 5), IMAGE + 5)
    assert files.fact("a", "seconds") == 1.5
    assert files.has("a")
    assert not files.has("b")
    pixels = np.asarray(Image.open("adversarial/a.png"))
    assert np.array_equal(pixels, (IMAGE + 5).permute(1, 2, 0).numpy())
    assert {path.name for path in Path("adversarial").iterdir()} == {"a.png", "attack.json"}


def test_a_missing_number_is_none() -> None:
    files = written()
    Image.open("adversarial/a.png").copy().save("adversarial/a.png", pnginfo=None)
    assert files.fact("a", "seconds") is None


def test_files_of_a_batch_appear_together(monkeypatch: pytest.MonkeyPatch) -> None:
    files, save = opened(), Image.Image.save

    def second_fails(self: Image.Image, path: Path, *args: object, **kwargs: object) -> None:
        if path.name.startswith("b."):
            raise OSError("no space left")
        save(self, path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "save", second_fails)
    with pytest.raises(InputError, match=r"cannot be written to adversarial \(no space left\). Free disk space"):
        files.write({"a": (IMAGE, {}), "b": (IMAGE, {})})
    assert not files.has("a")
    assert not files.has("b")


@pytest.mark.parametrize(("epsilon", "fits"), [(5, True), (5.4, True), (4.4, False)])
def test_image_above_epsilon_raises_error(epsilon: float, fits: bool) -> None:
    files = written()
    if fits:
        assert torch.equal(files.read("a", IMAGE, epsilon), IMAGE + 5)
    else:
        with pytest.raises(InputError, match=r"a.png is not within 4.4 grey levels of a of the data. Remove it"):
            files.read("a", IMAGE, epsilon)


def test_image_of_another_size_raises_error() -> None:
    with pytest.raises(InputError, match="is not within 9 grey levels"):
        written().read("a", IMAGE[..., :2], 9)


def test_damaged_image_raises_error() -> None:
    files = written()
    files.path("a").write_bytes(files.path("a").read_bytes()[:60])
    with pytest.raises(InputError, match=r"a.png is truncated or damaged"):
        files.read("a", IMAGE, 5)


def test_folder_of_the_same_attack_is_continued() -> None:
    written()
    assert opened().has("a")


def test_folder_of_another_attack_raises_error() -> None:
    written()
    with pytest.raises(
        InputError, match=r"contains images of another attack: its epsilon is 1, here it is 2. Set another"
    ):
        opened(2)
    assert opened().has("a")


@pytest.mark.parametrize("text", [None, "{", "[1]"])
def test_images_of_an_unknown_attack_raise_error(text: str | None) -> None:
    written()
    card = Path("adversarial/attack.json")
    card.unlink()
    if text is not None:
        card.write_text(text)
    with pytest.raises(
        InputError, match=r"attack.json cannot be used|another attack: its epsilon is None, here it is 1"
    ):
        opened()
    assert (card.read_text() if card.exists() else None) == text


def test_folder_that_cannot_be_created_raises_error() -> None:
    Path("adversarial").write_text("a file")
    with pytest.raises(InputError, match=r"attack.json cannot be used .* Set another --trainer.default_root_dir"):
        opened()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a b c", "a b c"),
        ("a a a", "a a_2 a_3"),
        ("a a a_2", "a a_3 a_2"),
        ("a A b", "a A_2 b"),
        ("a_2 a a a_2", "a_2 a a_3 a_2_2"),
    ],
)
def test_names_are_unique(names: str, expected: str) -> None:
    items = [Item(name, Path(f"{i}.png"), None) for i, name in enumerate(names.split())]
    named = with_unique_names(items)
    assert [item.name for item in named] == expected.split()
    assert [item.image for item in named] == [item.image for item in items]
