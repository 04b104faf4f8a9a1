"""Tests of networks and wrappers that a robustness curve cannot use, or only with care."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from tests.evaluation.test_robustness import network, run
from tests.helpers import make_camvid, refuses
from uap.cli.entry import run_command
from uap.defenses import Defense


class Half(Defense):
    """A defense that returns images of half the size."""

    def exact(self, images: Tensor) -> Tensor:
        return images[..., ::2, ::2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def wrapper(name: str, class_path: str, **settings: object) -> str:
    """Write the configuration of a wrapper, and return its path."""
    block = {"wrapper": {"class_path": class_path, "init_args": settings}}
    Path(f"{name}.yaml").write_text(yaml.safe_dump(block))
    return f"{name}.yaml"


def test_a_scale_that_leaves_no_pixel_is_refused(root: Path) -> None:
    tiny = wrapper("tiny", "uap.victims.Multiscale", scales=[0.01])
    with refuses("images", "wrong_shape", "tiny"):
        run(root, [network("net")], ["FGSM"], [4.0], "--wrappers", tiny)


def test_a_defense_that_changes_the_size_is_refused(root: Path) -> None:
    half = {"class_path": "tests.evaluation.test_wrong_networks.Half"}
    halved = wrapper("halved", "uap.victims.Defended", defenses=[half])
    with refuses("defenses", "wrong_shape", "halved"):
        run(root, [network("net")], ["FGSM"], [4.0], "--wrappers", halved)


def test_images_without_labels_of_the_classes_are_refused(root: Path) -> None:
    with refuses("data.root", "unusable_file", "labeled"):
        run(root, [network("net", classes=("person", "rider"))], ["FGSM"], [4.0])


def test_networks_with_other_classes_are_compared_with_a_warning(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    networks = [network("one"), network("other", classes=("sky", "car"))]
    run(root, networks, ["FGSM"], [4.0], "--out", "different")
    assert capsys.readouterr().out.count("warning: the networks have different classes") == 1
    run(root, [networks[0], network("same")], ["FGSM"], [4.0], "--out", "alike")
    assert "different classes" not in capsys.readouterr().out


def test_full_memory_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """As a dense CRF or another wrapper on images that are too large for the machine."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: torch.empty(2**60, dtype=torch.uint8))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: The memory is full")
