"""Tests of perturbations in checkpoints and in arrays of other projects."""

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import SIZE, attack_args, learned, make_camvid, refusal, refuses, save
from uap import apply, evaluate, fit
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.universal.perturbation_formats import read_perturbation
from uap.utils.errors import InputError

LEVELS = np.random.default_rng(0).integers(-8, 9, (3, *SIZE)).astype(np.float32)
"""A perturbation of another project, in grey levels."""

WRITE: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "numpy": ("a.npy", lambda path: np.save(path, LEVELS), "grey-levels"),
    "numpy, 0 to 1": ("a.npy", lambda path: np.save(path, LEVELS / 255), "0-to-1"),
    "float64 by rows": ("a.npy", lambda path: np.save(path, LEVELS.transpose(1, 2, 0) / 255.0), "0-to-1"),
    "a batch of one": ("a.npy", lambda path: np.save(path, LEVELS[None].astype(np.int8)), "grey-levels"),
    "a tensor": ("a.pt", lambda path: torch.save(torch.from_numpy(LEVELS[None] / 255), path), "0-to-1"),
    "a parameter": ("a.pth", lambda path: torch.save(torch.tensor(LEVELS).requires_grad_(), path), "grey-levels"),
    "bfloat16": ("a.pt", lambda path: torch.save(torch.from_numpy(LEVELS).bfloat16(), path), "grey-levels"),
    "an array in a dictionary": ("a.pt", lambda path: torch.save({"delta": LEVELS}, path), "grey-levels"),
    "a picture": ("a.PNG", lambda path: save(path, (LEVELS + 128).astype(np.uint8).transpose(1, 2, 0)), "grey-levels"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRITE)
def test_array_is_read_in_its_unit(tmp_path: Path, kind: str) -> None:
    name, write, unit = WRITE[kind]
    write(tmp_path / name)
    found, _ = read_perturbation(str(tmp_path / name), unit, 8)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.proto.detach().numpy(), LEVELS, atol=1e-4)
    assert found.epsilon == 8
    images = torch.full((1, 3, *SIZE), 100, dtype=torch.uint8)
    np.testing.assert_array_equal(found.eight_bit(images)[0].numpy(), (100 + LEVELS).astype(np.uint8))


REFUSED: dict[str, tuple[NDArray[Any], Any, Any, str]] = {
    "no unit": (LEVELS, None, 8, "--unit grey-levels"),
    "no epsilon": (LEVELS, "grey-levels", None, "--epsilon"),
    "beyond epsilon": (LEVELS, "grey-levels", 7, r"exceeds its epsilon.* 8 grey levels"),
    "the other unit": (LEVELS, "0-to-1", 8, r"exceeds its epsilon.*whether the unit is grey-levels"),
    "the other unit, small": (LEVELS / 255, "grey-levels", 8, r"rounding to 8 bits.*0-to-1"),
    "an epsilon in the other unit": (LEVELS / 255, "0-to-1", 8 / 255, "Did you mean 8"),
    "no epsilon at all": (LEVELS, "grey-levels", 0, "epsilon is 0"),
    "not a number": (np.where(LEVELS > 7, np.nan, LEVELS), "grey-levels", 8, "exceeds its epsilon"),
    "one channel": (LEVELS[:1], "grey-levels", 8, r"shape \(1, 24, 32\), expected \(3, H, W\)"),
    "several": (np.stack([LEVELS, LEVELS]), "grey-levels", 8, r"expected \(3, H, W\)"),
    "channels on either side": (np.zeros((3, 5, 3), np.float32), "grey-levels", 8, r"expected \(3, H, W\)"),
    "no sign": (LEVELS.astype(np.uint8), "grey-levels", 8, "exceeds its epsilon"),
    "no sign, 0 to 1": (LEVELS.astype(np.uint8), "0-to-1", 8, "uint8"),
    "truths": (LEVELS > 0, "grey-levels", 8, "dtype bool"),
    "objects": (np.array([LEVELS, None], dtype=object), "grey-levels", 8, "cannot be read as an array"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_invalid_array_raises_error(tmp_path: Path, case: str) -> None:
    array, unit, epsilon, message = REFUSED[case]
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=message):
        read_perturbation(tmp_path / "a.npy", unit, epsilon)


FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "missing": ("a.npy", lambda path: None),
    "a pickle": ("a.npy", lambda path: path.write_bytes(pickle.dumps(print))),
    "cut off": ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")),
    "no picture": ("a.png", lambda path: path.write_text("nothing")),
    "a gray picture": ("a.png", lambda path: Image.new("L", (8, 8), 128).save(path)),
    "an amplified picture": ("a.png", lambda path: save(path, (LEVELS * 15 + 128).astype(np.uint8).transpose(1, 2, 0))),
    "two tensors": ("a.pt", lambda path: torch.save({"a": torch.ones(1), "b": torch.ones(1)}, path)),
    "sparse": ("a.pt", lambda path: torch.save(torch.from_numpy(LEVELS).to_sparse(), path)),
}


@pytest.mark.parametrize("kind", FILES)
def test_file_without_an_array_raises_error(tmp_path: Path, kind: str) -> None:
    name, write = FILES[kind]
    write(tmp_path / name)
    with pytest.raises(InputError, match=name):
        read_perturbation(tmp_path / name, "grey-levels", 8)


def test_file_of_a_run_needs_no_unit_and_epsilon(tmp_path: Path) -> None:
    save_perturbation(Perturbation((4, 4), 10), tmp_path / "p.safetensors", {})
    assert read_perturbation(tmp_path / "p.safetensors")[0].epsilon == 10
    with pytest.raises(InputError, match="--unit and --epsilon are for arrays"):
        read_perturbation(tmp_path / "p.safetensors", "grey-levels", 10)


@pytest.mark.parametrize("call", ["eight_bit", "forward"])
def test_non_periodic_perturbation_on_another_size_raises_error(tmp_path: Path, call: str) -> None:
    save_perturbation(Perturbation((4, 6), 10), tmp_path / "p.safetensors", {})
    save_perturbation(Perturbation((4, 6), 10), tmp_path / "periodic.safetensors", {"size": "[8, 12]"})
    images = torch.zeros(1, 3, 8, 12, dtype=torch.uint8)
    single, _ = load_perturbation(str(tmp_path / "p.safetensors"))  # a path as text
    with refuses("images", "wrong_shape", "8 x 12"):
        getattr(single, call)(images)
    getattr(single, call)(images[..., :4, :6])
    single.image_size = None
    getattr(single, call)(images)
    getattr(load_perturbation(tmp_path / "periodic.safetensors")[0], call)(images)


def test_array_of_another_project_is_scored_and_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    np.save("other.npy", LEVELS.transpose(1, 2, 0) / 255)
    of_array = ["--perturbation=other.npy", "--unit=0-to-1", "--epsilon=8"]
    evaluate.main([*attack_args(root, tmp_path / "scores"), *of_array])
    metrics = json.loads((tmp_path / "scores/metrics.json").read_text())
    assert (metrics["epsilon"], metrics["largest_entry"]) == (8, 8)
    assert "other.npy" not in (tmp_path / "scores/config.yaml").read_text()
    picture = root / "val/frame_000.png"
    apply.main([str(picture), "--out=out", *of_array])
    with Image.open(picture) as clean, Image.open("out/frame_000.png") as changed:
        difference = np.asarray(changed).astype(int) - np.asarray(clean)
    np.testing.assert_array_equal(difference, LEVELS.transpose(1, 2, 0))
    command = [*attack_args(root, tmp_path / "none"), "--perturbation=other.npy"]
    assert "--unit" in refusal(lambda: evaluate.main(command), capsys)
    assert "--unit" in refusal(lambda: apply.main([str(picture), "--out=o", "--perturbation=other.npy"]), capsys)


@pytest.mark.parametrize("recipe", ["clip", "tanh"])
def test_checkpoint_is_scored_and_applied_as_the_perturbation_file(tmp_path: Path, recipe: str) -> None:
    root, run = make_camvid(tmp_path / "camvid"), tmp_path / "run"
    settings: dict[str, Any] = {"model.parametrization": recipe, "model.tile": [12, 16], "trainer.max_epochs": 1}
    fit.main(attack_args(root, run, **settings))
    rows = []
    for file in ("perturbation.safetensors", "checkpoints/last.ckpt"):
        out = tmp_path / Path(file).stem
        evaluate.main([*attack_args(root, out, **settings), f"--perturbation={run / file}"])
        with (out / "per_image.csv").open() as opened:
            rows.append(list(csv.DictReader(opened)))
    assert rows[0] == rows[1]
    found, metadata = read_perturbation(run / "checkpoints/best.ckpt")
    assert torch.equal(found.proto.detach(), learned(run))  # of one epoch the best is the last
    assert json.loads(metadata["size"]) == list(SIZE)
    apply.main([str(root / "val"), "--out=out", f"--perturbation={run / 'checkpoints/best.ckpt'}"])
    assert len(list(Path("out").glob("*.png"))) == 4


def test_checkpoint_above_epsilon_is_clipped(tmp_path: Path) -> None:
    fit.main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "run", trainer__max_epochs=1))
    content = torch.load(tmp_path / "run/checkpoints/best.ckpt", weights_only=True)
    content["state_dict"]["perturbation.proto"].fill_(99)
    torch.save(content, tmp_path / "best.ckpt")
    found, _ = read_perturbation(tmp_path / "best.ckpt")
    assert found.epsilon < 99
    assert (found.proto == found.epsilon).all()


def test_checkpoint_without_settings_raises_error(tmp_path: Path) -> None:
    keys = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
    content = dict.fromkeys(keys, 0) | {"state_dict": {"perturbation.proto": torch.zeros(3, 4, 4)}}
    torch.save(content, tmp_path / "best.ckpt")
    with pytest.raises(InputError, match=r"best.ckpt lacks the settings of its attack .*uap.fit"):
        read_perturbation(tmp_path / "best.ckpt")
