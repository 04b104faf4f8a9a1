"""Tests that files beside a configuration are found from any folder, and that errors list the searched folders."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.helpers import Brightness, attack_args, make_camvid, one_thread, refusal
from uap import evaluate, fit
from uap.configuration.composition import read_settings
from uap.utils.errors import InputError
from uap.victims.building import build_victim

MODULE = """
import torch
from {helper} import THRESHOLD


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 1)
        self.threshold = THRESHOLD

    def forward(self, x):
        return self.conv(x)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder with data, a module, weights and a configuration; the current folder is another one."""
    place = tmp_path / "experiment"
    make_camvid(place / "camvid")
    (place / "helper_of_net.py").write_text("THRESHOLD = 128.0\n")
    (place / "net_beside.py").write_text(MODULE.format(helper="helper_of_net"))
    torch.save(Brightness().state_dict(), place / "net.pth")
    (place / "list.txt").write_text("frame_000.png\nframe_001.png\n")
    own = {
        "data": {"init_args": {"root": "camvid", "files": "list.txt"}},
        "model": {"victim": victim(weights="net.pth")},
    }
    (place / "own.yaml").write_text(yaml.safe_dump(own))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("net_beside", "helper_of_net"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return place


def victim(**settings: Any) -> dict[str, Any]:
    init_args = {"network": {"class_path": "net_beside.Net"}, "classes": ["sky", "building"], **settings}
    return {"class_path": "uap.victims.Victim", "init_args": init_args}


def arguments(place: Path, **changes: Any) -> list[str]:
    base, *settings = attack_args(place / "unused", place / "out", **changes)
    return [base, f"--config={place / 'own.yaml'}", *(word for word in settings if "data.root" not in word)]


def test_files_beside_a_configuration_are_found(place: Path) -> None:
    cli = fit.main(arguments(place))
    assert cli.datamodule.root == place / "camvid"
    assert len(cli.datamodule.datasets["train"]) == 2
    assert (place / "out" / "perturbation.safetensors").is_file()


@pytest.mark.slow
def test_configuration_of_a_run_finds_files_in_a_new_process(place: Path) -> None:
    """Child processes of DDP read the command line again, as this process does."""
    fit.main(arguments(place))
    run = place / "out"
    command = [sys.executable, "-m", "uap.evaluate", "--config", str(run / "config.yaml"), "--trainer.logger=false"]
    options = ["--perturbation", str(run / "perturbation.safetensors"), "--trainer.default_root_dir=scores"]
    subprocess.run([*command, *options], env=one_thread(), check=True, timeout=120, capture_output=True)
    assert Path("scores/metrics.json").is_file()


@pytest.mark.slow
def test_spawned_workers_can_import_a_module_beside_a_configuration(place: Path) -> None:
    build_victim(place / "own.yaml")
    sent = torch.multiprocessing.get_context("spawn")
    with sent.Pool(1) as pool:
        assert pool.apply(_threshold) == 128.0


def _threshold() -> float:
    import helper_of_net  # type: ignore[import-not-found]

    return float(helper_of_net.THRESHOLD)


def test_other_commands_find_files_beside_a_configuration(place: Path) -> None:
    assert torch.equal(build_victim(place / "own.yaml").network.state_dict()["conv.weight"], Brightness().conv.weight)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data: {init_args: {root: '${PLACE}/camvid'}}", "{place}/camvid"),
        ("data: {init_args: {root: ~/camvid}}", "{place}/camvid"),
        ("data: {init_args: {root: ./camvid}}", "{place}/camvid"),
        ("data: {init_args: {root: none}}", "none"),
        ("data: {init_args: {split: camvid}}", "camvid"),  # no path
        ("model: {victim: {init_args: {backbone: net.pth}}}", "{place}/net.pth"),
        ("trainer: {default_root_dir: camvid/train}", "camvid/train"),  # written to, not read
        ("trainer: {logger: {init_args: {name: camvid}}}", "camvid"),
    ],
)
def test_variables_and_home_folders_are_expanded(
    text: str, expected: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", str(place))
    monkeypatch.setenv("HOME", str(place))
    (place / "x.yaml").write_text(text)
    value = read_settings(place / "x.yaml")
    while isinstance(value, dict):
        (value,) = value.values()
    assert Path(value) == Path(expected.format(place=place))


def test_current_folder_is_searched_first(place: Path) -> None:
    Path("camvid").mkdir()
    assert read_settings(place / "own.yaml")["data"]["init_args"]["root"] == "camvid"


def test_missing_variable_is_named(place: Path) -> None:
    (place / "x.yaml").write_text("data: {init_args: {root: '${NOWHERE}/camvid'}}")
    with pytest.raises(InputError, match=r"x.yaml names \$\{NOWHERE\}"):
        read_settings(place / "x.yaml")


def test_home_folder_is_expanded_on_the_command_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    settings = [*arguments(place), "--data.root=~/camvid", "--model.victim.weights=~/net.pth"]
    assert fit.main(settings).datamodule.root == place / "camvid"


def test_shipped_configuration_is_found_from_any_folder(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fit.main(["--config=configs/camvid_static.yaml", "--print_config"])
    assert "uap.data.CamVid" in capsys.readouterr().out


@pytest.mark.parametrize(
    "setting",
    ["data.root", "data.files", "model.victim.weights", "model.objective.image", "config", "ckpt_path"],
)
def test_error_lists_searched_folders(setting: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(lambda: fit.main([*arguments(place), f"--{setting}=gone.pth"]), capsys)
    assert "gone.pth" in said
    assert str(Path.cwd()) in said
    assert str(place) in said


def test_installed_module_takes_precedence(place: Path) -> None:
    (place / "numpy.py").write_text("raise RuntimeError")
    content = {"model": {"victim": {"class_path": "numpy.Net"}}}
    (place / "x.yaml").write_text(yaml.safe_dump(content))
    before = list(sys.path)
    read_settings(place / "x.yaml")
    assert sys.path == before


def test_perturbation_is_found_beside_a_configuration(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refusal(lambda: evaluate.main([*arguments(place), "--perturbation=gone.safetensors"]), capsys)
    assert str(Path.cwd()) in said
