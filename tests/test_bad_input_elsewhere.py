"""Tests of bad input of the other commands: an error message, exit code 2, no traceback, and no changed files."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import uap
from tests.helpers import SIZE, attack_args, make_camvid, save
from tests.report.helpers import make_run as make_report
from tests.reproduce.helpers import BRIGHTNESS, reproduction
from tests.scoring.runs import block_scene, config, make_run, noise
from tests.test_bad_input import half
from uap import apply, distortions, evaluate, fit, report, reproduce, train_victim, transfer
from uap import attack as attack_images
from uap.cli.entry import one_line_warning, run_command
from uap.utils.run_folder import write_error_message
from uap.victims import __main__ as victims

RUN = Path("run")
FILE = RUN / "perturbation.safetensors"
APPLY = ["photos", f"--perturbation={FILE}", "--out=out"]
EVALUATE = attack_args(Path("camvid"), Path("scores"), perturbation=FILE)
ATTACK = attack_args(Path("camvid"), Path("attacks"), steps=1)
TRAIN = ["--config=train.yaml", "--data.root=camvid", "--trainer.default_root_dir=trained"]
LOOK = [str(BRIGHTNESS), "--image=photos/a.png"]
REPRODUCE = ["table.yaml", "--out=out", "--data.root=camvid", "--trainer.max_epochs=1", "--quiet"]
DEEP = b"[" * 100_000
BOMB = b"a: &a [x]\nb: &b [*a, *a]\nmodel: {victim: {class_path: uap.victims.Victim, init_args: {network: *b}}}"
TRAINING = """
trainer: {accelerator: cpu, max_epochs: 1, logger: false}
data: {class_path: uap.data.CamVid, init_args: {size: [24, 32], batch_size: 2, num_workers: 0}}
model: {network: {class_path: tests.helpers.Brightness, init_args: {classes: 11}}, crop: [24, 32]}
"""

COMMANDS: dict[str, Callable[[list[str]], object]] = {
    "apply": apply.main,
    "attack": attack_images.main,
    "evaluate": evaluate.main,
    "fit": fit.main,
    "reproduce": reproduce.main,
    "distortions": distortions.main,
    "train_victim": train_victim.main,
    "transfer": transfer.main,
    "victims": victims.main,
}

Make = Callable[[], Any]


def nothing() -> None:
    """Change nothing: only the arguments are bad."""


def written(path: Path | str, content: bytes | str = b"x") -> Make:
    """Return the function that writes a file and replaces an existing one."""

    def make() -> None:
        gone(path)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def gone(path: Path | str) -> None:
    if Path(path).is_dir():
        shutil.rmtree(path)
    Path(path).unlink(missing_ok=True)


def both(*steps: Make) -> Make:
    """Return the function that calls several functions in order."""

    def make() -> None:
        for step in steps:
            step()

    return make


def folder(path: Path | str) -> Make:
    return both(lambda: gone(path), lambda: Path(path).mkdir(parents=True))


def fifo(path: Path | str) -> Make:
    """Return the function that creates a pipe, which would block a reader forever."""
    return both(lambda: gone(path), lambda: os.mkfifo(path))


def proto(change: Callable[[Tensor], Tensor]) -> Make:
    return lambda: changed("proto", change)


def scene(change: Callable[[Tensor], Tensor]) -> Make:
    return lambda: changed("scene", change)


def changed(name: str, change: Callable[[Tensor], Tensor], **metadata: str | None) -> None:
    """Return the function that changes a tensor and metadata of the perturbation file; None removes an entry."""
    with safe_open(FILE, "pt") as file:
        known = dict(file.metadata() or {}) | metadata
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, FILE, {key: value for key, value in known.items() if value is not None})


def metadata(**values: str | None) -> Make:
    return lambda: changed("proto", lambda tensor: tensor, **values)


def not_a_number(tensor: Tensor) -> Tensor:
    tensor[0, 0, 0] = torch.nan
    return tensor


def in_metrics(**metrics: Any) -> Make:
    """Return the function that adds entries to metrics.json of a run."""
    return in_report("metrics.json", json.dumps(metrics))


def in_report(name: str, content: bytes | str) -> Make:
    return both(lambda: make_report(RUN), written(RUN / name, content))


def cells(content: str) -> Make:
    """Return the function that damages the cells of a transfer."""

    def make() -> None:
        transfer.main(["run", "--out=out", "--images=1", "--quiet"])
        for path in Path("out/cells").iterdir():
            path.write_text(content)

    return make


def huge_picture() -> None:
    make_report(RUN)
    Image.new("1", (20_000, 20_000)).save(RUN / "pictures" / "panels" / "scene_0" / "image.png")


def labels(value: int) -> Make:
    return lambda: save(Path("labels.png"), np.full(SIZE, value, np.uint8))


def trials(name: str, content: str) -> Make:
    """Return the function that runs a reproduction of one trial and damages one of its files."""

    def make() -> None:
        reproduction(axes={"epsilon": {"setting": "model.epsilon", "values": [30]}})
        reproduce.main(REPRODUCE)
        for path in Path("out/trials").glob(f"*/{name}"):
            path.write_text(content)

    return make


Case = tuple[str, Make, list[str], str]

CASES: dict[str, Case] = {
    # a perturbation
    "no perturbation": ("apply", lambda: FILE.unlink(), APPLY, "There is no perturbation .*perturbation.safetensors"),
    "half a perturbation": (
        "evaluate",
        lambda: half(FILE),
        EVALUATE,
        "contains no perturbation .* Expected a safetensors",
    ),
    "a folder for a perturbation": ("transfer", folder(FILE), ["run"], "There is no perturbation run/perturbation"),
    "a pipe for a perturbation": ("apply", fifo(FILE), APPLY, "There is no perturbation run/perturbation"),
    "a perturbation of two dimensions": ("apply", proto(lambda p: p[0]), APPLY, r"shape \(24, 32\) and torch.float32"),
    "a perturbation of no pixels": ("apply", proto(lambda p: p[:, :0]), APPLY, r"run/pert.* size is \(0, 32\)"),
    "a perturbation of whole numbers": (
        "apply",
        proto(lambda p: p.to(torch.int8)),
        APPLY,
        "torch.int8, not .* float32",
    ),
    "a perturbation of bits": ("evaluate", proto(lambda p: p > 0), EVALUATE, "torch.bool, not .* float32"),
    "a perturbation of 8-bit floats": (
        "transfer",
        proto(lambda p: p.to(torch.float8_e4m3fn)),
        ["run"],
        "torch.float8_e4m3fn, not .* float32",
    ),
    "a perturbation without numbers": (
        "distortions",
        proto(not_a_number),
        ["run"],
        "not within its epsilon",
    ),
    "a perturbation beyond its epsilon": ("apply", proto(lambda p: 2 * p), APPLY, "not within its epsilon"),
    "a perturbation without epsilon": (
        "apply",
        metadata(epsilon=None),
        APPLY,
        r"contains no perturbation \('epsilon'\)",
    ),
    "an epsilon without end": ("apply", metadata(epsilon="inf"), APPLY, r"run/pert.* no perturbation \(epsilon is inf"),
    "a size in words": ("evaluate", metadata(size="large"), EVALUATE, "run/pert.* contains no perturbation"),
    "a size below 0": ("apply", metadata(size="[0, -3]"), APPLY, r"its `size` is \[0, -3\], not \[height, width\]"),
    "a scene of another size": ("transfer", scene(lambda s: s[:9]), ["run"], r"`scene` of \(9, 32\) .* expected \(24"),
    "a scene of three dimensions": ("transfer", scene(lambda s: s[None]), ["run"], r"`scene` of \(1, 24, 32\)"),
    "a scene of fractions": ("evaluate", scene(lambda s: s.float()), EVALUATE, "torch.float32, expected .* uint8"),
    "a scene below 0": ("evaluate", scene(lambda s: -s.long()), EVALUATE, "torch.int64, expected .* uint8"),
    # uap.apply
    "a pipe for a picture": (
        "apply",
        fifo("photos/c.png"),
        ["photos/c.png", *APPLY[1:]],
        "photos/c.png is neither an image nor a video",
    ),
    "half a picture": ("apply", lambda: half(Path("photos/b.png")), APPLY, "photos/b.png is truncated or damaged"),
    "an empty video": ("apply", written("v.mp4", b""), ["v.mp4", *APPLY[1:]], "v.mp4 cannot be opened as a video"),
    "an empty folder": ("apply", folder("empty"), ["empty", *APPLY[1:]], "No images or videos in empty"),
    "a file for --out": ("apply", written("out"), APPLY, "out/a cannot be written .* Set another --out"),
    "a size beyond all": ("apply", nothing, [*APPLY, "--size", "9" * 30, "5"], "is more than 32767 pixels"),
    "weights without their network": (
        "apply",
        nothing,
        [*APPLY, "--weights=w.pth"],
        "--weights is given without --vic",
    ),
    "a network without a name": ("apply", nothing, [*APPLY, "--victim="], "There is no victim "),
    "a configuration too deep": ("apply", written("x.yaml", DEEP), [*APPLY, "--victim=x.yaml"], "x.yaml describes no"),
    "aliases in a victim": ("apply", written("x.yaml", BOMB), [*APPLY, "--victim=x.yaml"], "it has YAML aliases"),
    # uap.victims
    "labels of another data set": (
        "victims",
        labels(3),
        [*LOOK, "--labels=labels.png", "--labels_of=voc"],
        "labels.png, read as labels of voc, has no pixel of the network's classes .sky, building.. Set --labels_of",
    ),
    "labels of another size": (
        "victims",
        lambda: save(Path("labels.png"), np.zeros((9, 9), np.uint8)),
        [*LOOK, "--labels=labels.png", "--labels_of=camvid"],
        r"labels.png has \(9, 9\) pixels, expected \(24, 32\), the size of the image",
    ),
    "a picture written over": ("victims", nothing, [*LOOK, "--out=photos/a.png"], "photos/a.png is an original"),
    "a picture without an ending": (
        "victims",
        folder("x"),
        [*LOOK, "--out=x"],
        "--out is x, expected a name that ends",
    ),
    "a picture that needs LaTeX": ("victims", nothing, [*LOOK, "--out=x.pgf"], "--out is x.pgf, expected a name"),
    "labels without an image": ("victims", nothing, ["--labels=labels.png"], "Give the name of a victim and --image"),
    "a picture beyond all": ("victims", nothing, [*LOOK, "--size", "99999", "9"], "99999 is more than 32767"),
    # uap.transfer and uap.distortions
    "no run": (
        "transfer",
        folder("empty"),
        ["empty"],
        "There is no configuration empty/config.yaml .*Give the folder of a run",
    ),
    "a folder for a configuration": (
        "distortions",
        folder(RUN / "config.yaml"),
        ["run"],
        "There is no configuration run/config.yaml",
    ),
    "a configuration without end": (
        "transfer",
        written(RUN / "config.yaml", DEEP),
        ["run"],
        "run/config.yaml describes",
    ),
    "a seed beyond all": ("transfer", nothing, ["run", f"--seed={2**64}"], "is not a whole number from 0 to"),
    "a file for the matrices": ("transfer", written("out"), ["run", "--out=out"], "out/.writable cannot be written"),
    "a file for the distortions": ("distortions", written(RUN / "distortions"), ["run"], "cannot be written .* --out"),
    # uap.report
    "metrics too deep": (
        "report",
        in_report("metrics.json", DEEP),
        ["run"],
        "metrics.json cannot be read .maximum rec",
    ),
    "invalid metrics by class": (
        "report",
        in_metrics(by_class=[1]),
        ["run"],
        "'by_class' of type int, expected l",
    ),
    "sizes that are none": ("report", in_metrics(hidden_by_size={"small": 5}), ["run"], "'hidden_by_size' of type int"),
    "rates that are none": ("report", in_metrics(per_image={"hidden": 5}), ["run"], "'per_image' of type int"),
    "a rate of 500 %": (
        "report",
        in_report("per_image.csv", "image,hidden\na,5"),
        ["run"],
        "hidden 5 of a, expected 0",
    ),
    "aliases in a report": ("report", in_report("config.yaml", "a: &a {b: *a}"), ["run"], "config.yaml .*YAML aliases"),
    "a color that is none": ("report", in_report("pictures/legend.json", '{"a": 5}'), ["run"], "gives a the color 5"),
    "a folder for the metrics": (
        "report",
        both(lambda: make_report(RUN), folder(RUN / "metrics.json")),
        ["run"],
        "run/metrics.json is not a file",
    ),
    "a pipe in a report": (
        "report",
        both(lambda: make_report(RUN), fifo(RUN / "pictures/panels/scene_0/image.png")),
        ["run"],
        "scene_0/image.png is no file",
    ),
    "a picture of 400 million pixels": ("report", huge_picture, ["run"], "image.png cannot be read as a picture"),
    "a name of 300 letters": ("report", nothing, ["x" * 300], "config.yaml cannot be read .File name too long"),
    "a page below a file": ("report", in_metrics(), ["run", "--out=camvid.txt/x.html"], "x.html cannot be written"),
    # uap.reproduce
    "a shard of 5,000 digits": ("reproduce", reproduction, [*REPRODUCE, f"--shard=1/{'9' * 5000}"], "expected i/n"),
    "a reproduction too deep": (
        "reproduce",
        written("table.yaml", DEEP),
        REPRODUCE,
        "table.yaml cannot be read as YAML",
    ),
    "a damaged record": (
        "reproduce",
        trials("trial.json", "{"),
        REPRODUCE,
        "trial.json cannot be used .* Remove its f",
    ),
    "damaged metrics": (
        "reproduce",
        trials("metrics.json", "[]"),
        REPRODUCE,
        "metrics.json cannot be used .expected names with values",
    ),
    # run folders
    "a run folder without a name": (
        "fit",
        nothing,
        attack_args(Path("camvid"), Path("a\0b")),
        "Set another --trainer.default_root_dir",
    ),
    "no step": ("attack", nothing, [*ATTACK, "--steps=0"], "steps is 0, expected 1 or more"),
    # uap.train_victim
    **{
        f"{name} of {value}": ("train_victim", nothing, [*TRAIN, f"--model.{name}={value}"], f"model.{name} is {shown}")
        for name, value, shown in (
            ("crop", "[0,0]", r"\(0, 0\), expected pixels of 1 or more"),
            ("zoom", "[.nan,1]", r"\(nan, 1.0\), expected a factor above 0"),
            ("mean", "[.nan,0,0]", r"\(nan, 0.0, 0.0\), expected grey levels"),
            ("std", "[0,1,1]", r"\(0.0, 1.0, 1.0\), expected grey levels above 0"),
            ("size_multiple", "0", "0, expected 1 or more"),
            ("learning_rate", "-1", "-1.0, expected a number above 0"),
            ("weight_decay", ".nan", "nan, expected 0 or more"),
            ("class_weights", "[0,0]", r"\[0.0, 0.0\], expected 0 or more, not all 0"),
        )
    },
}


@pytest.fixture
def given() -> Iterator[None]:
    """Create images, photos and a run with its perturbation, which a case damages."""
    make_camvid(Path("camvid"))
    make_run(RUN, config(Path("camvid"), classes=["sky", "building"]), noise(), block_scene())
    Path("camvid.txt").touch()
    Path("train.yaml").write_text(TRAINING)
    for name in ("a", "b"):
        save(Path(f"photos/{name}.png"), np.full((*SIZE, 3), 100, np.uint8))
    yield
    gone(FILE)  # else it would be held to its epsilon


@pytest.mark.slow
@pytest.mark.timeout(30)  # nothing waits for a pipe
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("name", CASES)
def test_bad_input_prints_an_error_message(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, make, arguments, message = CASES[name]
    make()
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["uap", *(arguments if command == "report" else [])])
    with pytest.raises(SystemExit) as ended:
        report.run_command() if command == "report" else run_command(lambda: COMMANDS[command](arguments))

    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert re.search(message, printed, re.DOTALL), printed
    with Image.open("photos/a.png") as picture:
        assert picture.size == SIZE[::-1]


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("content", ["{", '{"metrics": 5}', '{"metrics": {}}', "[" * 100_000])
def test_damaged_cell_is_scored_again(content: str) -> None:
    cells(content)()
    before = Path("out/transfer.json").read_bytes()
    transfer.main(["run", "--out=out", "--images=1", "--quiet"])
    assert Path("out/transfer.json").read_bytes() == before


def test_advice_about_disk_space_is_only_for_a_full_disk() -> None:
    assert "Make room on the disk" in write_error_message("a.ckpt", OSError(28, "No space left on device"))
    for number, reason in ((13, "Permission denied"), (30, "Read-only file system"), (21, "Is a directory")):
        said = write_error_message("checkpoints/last.ckpt", OSError(number, reason))
        assert "Make room" not in said
        assert f"([Errno {number}] {reason}). Make its folder writable." in said


def test_warnings_of_the_package_are_sentences_and_others_name_their_place() -> None:
    own = str(Path(uap.__file__).parent / "victims" / "victim.py")
    assert one_line_warning("The network has no weights.", UserWarning, own, 7) == (
        "warning: The network has no weights.\n"
    )
    assert "other.py:7: UserWarning" in one_line_warning("text", UserWarning, "/tmp/other.py", 7)
