"""Tests of `python -m uap.distortions`."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.helpers import SIZE, make_camvid
from tests.scoring.runs import block_scene, bright, config, make_run, noise, perturbed
from uap import distortions
from uap.datasets.pictures import read_image
from uap.utils.errors import InputError

NAMES = [
    "none",
    "JPEG, quality 95",
    "JPEG, quality 75",
    "JPEG, quality 50",
    "resized to 3/4 and back",
    "resized to 1/2 and back",
    "Gaussian noise, std 4",
    "Gaussian noise, std 8",
    "perturbation shifted by 1",
    "perturbation shifted by 2",
    "perturbation shifted by 4",
    "perturbation shifted by 8",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


@pytest.fixture
def static(root: Path) -> Path:
    return make_run(Path("static"), config(root, classes=["sky", "building"]), noise(), block_scene())


@pytest.fixture
def dynamic(root: Path) -> Path:
    settings = config(root, classes=["sky", "building"], hide=["building"])
    return make_run(Path("dynamic"), settings, noise(tile=(6, 10)))


def rows(out: Path) -> dict[str, Any]:
    found = json.loads((out / "distortions.json").read_text())["rows"]
    return {row["distortion"]: row for row in found}


def validation_images(root: Path) -> NDArray[np.uint8]:
    return np.stack([read_image(path) for path in sorted((root / "val").glob("*.png"))])


def by_pil(images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    decoded = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        decoded.append(np.asarray(Image.open(file)))
    return np.stack(decoded)


def test_every_distortion_has_a_row(static: Path) -> None:
    out = distortions.main([str(static)])
    assert out == static / "distortions"
    assert list(rows(out)) == NAMES


def test_success_is_measured_on_distorted_adversarial_images(root: Path, static: Path) -> None:
    found = rows(distortions.main([str(static), "--out", "out"]))
    images, scene = validation_images(root), block_scene()
    adversarial = perturbed(images, noise())
    expected = {"none": (adversarial, images)}
    expected |= {f"JPEG, quality {q}": (by_pil(adversarial, q), by_pil(images, q)) for q in (95, 75, 50)}
    for pixels in (1, 2, 4, 8):
        moved = np.roll(noise(), (pixels, pixels), (1, 2))
        expected[f"perturbation shifted by {pixels}"] = (perturbed(images, moved), images)
    for name, pair in expected.items():
        distorted, control = ((bright(each) == scene).mean() for each in pair)
        assert found[name]["metrics"]["success_rate"] == pytest.approx(distorted), name
        assert found[name]["control"]["success_rate"] == pytest.approx(control), name
    assert found["none"]["control"]["success_rate"] == found["none"]["metrics"]["success_before"]
    assert len({row["metrics"]["success_rate"] for row in found.values()}) > 8
    assert found["none"]["control"]["miou_adversarial"] == found["none"]["metrics"]["miou_clean"]


def test_control_measures_the_effect_of_the_distortion(root: Path, dynamic: Path) -> None:
    found = rows(distortions.main([str(dynamic)]))
    images = validation_images(root)
    clean = bright(images)
    bilinear = Image.Resampling.BILINEAR
    blurred = [np.asarray(Image.fromarray(i).resize((16, 12), bilinear).resize((32, 24), bilinear)) for i in images]
    control = bright(np.stack(blurred))
    row = found["resized to 1/2 and back"]["control"]
    assert row["hidden"] == pytest.approx((control == 0)[clean == 1].mean(), abs=0.01)  # PIL rounds more often
    assert row["hidden"] > 0.02
    assert row["preserved"] == pytest.approx((control == 0)[clean == 0].mean(), abs=0.01)
    untouched = found["none"]["control"]
    assert (untouched["hidden"], untouched["preserved"]) == (0, 1)
    moved = bright(perturbed(images, np.roll(noise(tile=(6, 10)), (4, 4), (1, 2))))
    assert found["perturbation shifted by 4"]["metrics"]["hidden"] == pytest.approx((moved == 0)[clean == 1].mean())


def test_noise_is_equal_with_and_without_the_perturbation(root: Path) -> None:
    """With a zero perturbation, every row equals its control."""
    zero = np.zeros((3, *SIZE), np.float32)
    run = make_run(Path("zero"), config(root, classes=["sky", "building"]), zero, block_scene())
    for row in rows(distortions.main([str(run)])).values():
        assert row["metrics"] == row["control"]


def test_files_and_output_have_the_same_metrics(dynamic: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = distortions.main([str(dynamic), "--images", "2", "--quiet"])
    printed, text = capsys.readouterr().out, (out / "distortions.md").read_text()
    with (out / "distortions.csv").open(newline="") as file:
        table = list(csv.reader(file))
    names = ("hidden", "preserved", "remaining", "miou_adversarial")
    assert table[0] == ["distortion", *(column for name in names for column in (name, f"{name}_control"))]
    assert [row[0] for row in table[1:]] == NAMES
    for line in table[1:]:
        found = rows(out)[line[0]]
        values = [found[k][f] for f in names for k in ("metrics", "control")]
        assert [float(cell) for cell in line[1:]] == values
        for shown in (printed, text):
            cells = next(row for row in shown.splitlines() if row.startswith(f"| {line[0]} ")).split("|")[2:-1]
            assert [cell.strip() for cell in cells] == [f"{100 * value:.1f} %" for value in values]
    for title in ("hidden", "preserved", "remaining", "mean IoU with labels"):
        assert f"| {title} | {title}, unperturbed |" in text
    assert "CamVid, val" in text
    assert "hide building" in text


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(static: Path) -> None:
    for out, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        distortions.main([str(static), "--seed", seed, "--out", out])
    for name in ("distortions.md", "distortions.csv", "distortions.json"):
        assert (Path("a") / name).read_text() == (Path("b") / name).read_text()
    noisy = "Gaussian noise, std 8"
    assert rows(Path("a"))[noisy] != rows(Path("c"))[noisy]
    assert rows(Path("a"))["none"] == rows(Path("c"))["none"]


def test_images_without_labels_have_no_iou(root: Path, static: Path) -> None:
    for file in (root / "valannot").iterdir():
        file.unlink()
    (root / "valannot").rmdir()
    out = distortions.main([str(static)])
    assert "mean IoU" not in (out / "distortions.md").read_text()
    assert "success_rate" in rows(out)["none"]["metrics"]


def test_bad_input_prints_an_error_message(root: Path, static: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uap.distortions.score_distorted", None)  # nothing is scored before
    with pytest.raises(InputError, match=r"There is no folder none, .*Give the folder of a finished run"):
        distortions.main(["none"])
    Path("file").write_text("")
    with pytest.raises(InputError, match=r"file.* cannot be written \(.*\). Set another --out"):
        distortions.main([str(static), "--out", "file"])
    file = static / "perturbation.safetensors"
    tensors = load_file(file) | {"scene": torch.full(SIZE, 255, dtype=torch.uint8)}
    save_file(tensors, file, {"epsilon": "60", "size": str(list(SIZE))})
    with pytest.raises(InputError, match="has no class of the run"):
        distortions.main([str(static)])


def test_tables_of_other_settings_are_not_overwritten(static: Path) -> None:
    out = distortions.main([str(static)])
    before = {path: path.read_bytes() for path in out.iterdir()}
    distortions.main([str(static)])  # the same again
    for changed in (["--images", "2"], ["--seed", "7"]):
        with pytest.raises(InputError, match=r"distortions.json already contains .* Set another --out"):
            distortions.main([str(static), *changed])
    assert {path: path.read_bytes() for path in out.iterdir()} == before
