"""Tests of data sets as torch data sets, without a LightningDataModule."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tests.helpers import Brightness, make_camvid, refuses
from uap import data, datasets
from uap.attacks import FGSM
from uap.data import SegmentationData
from uap.datasets import CamVid, SegmentationDataset
from uap.evaluation.evaluate import evaluate
from uap.objectives import Untargeted
from uap.utils.class_tables import CITYSCAPES
from uap.victims import Victim


def camvid(root: Path, split: str = "val") -> CamVid:
    make_camvid(root)
    return CamVid(str(root), split, size=(24, 32))  # type: ignore[arg-type]


def test_data_set_works_with_torch_data_loader(tmp_path: Path) -> None:
    images = camvid(tmp_path)
    batch = next(iter(DataLoader(images, batch_size=3)))
    assert len(images) == 4
    assert (batch["image"].shape, batch["image"].dtype) == ((3, 3, 24, 32), torch.uint8)
    assert (batch["labels"].shape, batch["labels"].dtype) == ((3, 24, 32), torch.uint8)
    assert torch.equal(batch["image"][1], images[1]["image"])


def test_evaluate_takes_a_data_set(tmp_path: Path) -> None:
    images = camvid(tmp_path)
    victim = Victim(Brightness(), classes=["sky", "building"])
    result = evaluate(victim, images.with_classes(victim.table), FGSM(8), Untargeted(), progress=False)
    assert result.images == 4
    assert result.metrics["float"]["miou_clean"] > 0.9  # the labels are the bright pixels


def test_subset_has_the_images_of_its_rows(tmp_path: Path) -> None:
    images = camvid(tmp_path)
    chosen = images.subset([2, 0])
    assert [item.name for item in chosen.items] == [images.items[2].name, images.items[0].name]
    assert torch.equal(chosen[0]["image"], images[2]["image"])
    assert len(images) == 4


def test_with_classes_translates_label_ids(tmp_path: Path) -> None:
    images = camvid(tmp_path)
    own, translated = images[0]["labels"], images.with_classes(CITYSCAPES)[0]["labels"]
    names = [images.table.names[i] for i in own.flatten().tolist()]
    expected = [CITYSCAPES.names.index(name) for name in names]  # sky and building are classes of both
    assert translated.flatten().tolist() == expected
    assert images.with_classes(CITYSCAPES).table == CITYSCAPES


def test_with_classes_ignores_classes_missing_in_the_table(tmp_path: Path) -> None:
    images = camvid(tmp_path)
    table = Victim(Brightness(), classes=["building", "lamp"]).table
    own, translated = images[0]["labels"], images.with_classes(table)[0]["labels"]
    assert torch.equal(translated == 255, own == images.table.names.index("sky"))


@pytest.mark.parametrize("name", [name for name in datasets.__all__ if name != "SegmentationDataset"])
def test_data_module_has_the_settings_of_its_data_set(name: str) -> None:
    dataset: type[SegmentationDataset] = getattr(datasets, name)
    module: Any = getattr(data, name)
    of_dataset = set(inspect.signature(dataset).parameters) - {"split"}
    shared = set(inspect.signature(SegmentationData).parameters) - {"dataset"}
    assert set(inspect.signature(module).parameters) == of_dataset | shared
    assert module.__module__ == "uap.data"
    assert isinstance(module().dataset("train"), dataset)


def test_unknown_setting_of_a_data_module_raises_error() -> None:
    with pytest.raises(TypeError, match="scene_seed"):
        data.CamVid("data", scene_seed=1)


def test_size_of_zero_raises_error(tmp_path: Path) -> None:
    with refuses("data.size", "out_of_range"):
        CamVid(str(tmp_path), size=(0, 4))
