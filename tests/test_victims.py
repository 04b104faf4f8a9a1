"""Tests of `python -m uap.victims`."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.helpers import make_camvid, refuses, save
from uap.utils.class_tables import CAMVID
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.__main__ import main
from uap.victims.building import build_victim, find_victim, shipped_victims
from uap.victims.setup_warnings import setup_warnings

BRIGHTNESS = Path(__file__).parent / "brightness.yaml"


def test_list_has_every_network_adapter_and_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed = capsys.readouterr().out
    for name in ("ESPNet", "CGNet", "FCN8s", "FastSCNN", "Victim", "espnet_streetscenes", "fcn8s_streetscenes"):
        assert f"  {name} " in printed
    assert "  ESPNet                  ESPNet, a small segmentation network (Mehta et al., ECCV 2018).\n" in printed


@pytest.mark.parametrize("path", shipped_victims(), ids=lambda path: path.stem)
def test_every_shipped_configuration_has_a_description(path: Path) -> None:
    assert path.read_text().startswith("# ")


def test_prediction_is_printed_with_class_shares_and_iou(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    arguments = ["--image", root / "val" / "frame_000.png", "--labels", root / "valannot" / "frame_000.png"]
    main([str(BRIGHTNESS), *map(str, arguments), "--labels_of", "camvid", "--out", "seen/picture.png"])
    printed = capsys.readouterr().out
    share = np.asarray(Image.open(root / "valannot" / "frame_000.png")).mean()
    assert f"sky                 {100 * (1 - share):>6.1f} %\nbuilding            {100 * share:>6.1f} %\n" in printed
    assert "mean confidence 1.00\nmean IoU 1.00\n" in printed
    assert "warning" not in printed
    with Image.open("seen/picture.png") as picture:
        assert picture.size[0] > 500


def test_guessing_network_gives_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    config = yaml.safe_load(BRIGHTNESS.read_text())
    config["model"]["victim"]["init_args"] |= {"std": [1e6, 1e6, 1e6], "mean": [-1.28e8, -1.28e8, -1.28e8]}
    Path("flat.yaml").write_text(yaml.safe_dump({"model": {"victim": config["model"]["victim"]}}))
    arguments = ["--image", root / "val" / "frame_000.png", "--labels", root / "trainannot" / "frame_001.png"]
    main(["flat.yaml", *map(str, arguments), "--labels_of", "camvid"])
    assert "warning: The mean confidence is 0.50, near the 0.50 of a network that guesses." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("confidence", "outputs", "miou", "count"),
    [
        (0.9, 19, 0.7, 0),
        (0.9, 19, None, 0),
        (0.14, 19, None, 1),
        (0.16, 19, None, 0),
        (None, 19, 0.19, 1),
        (0.5, 2, 0.1, 2),
    ],
)
def test_number_of_setup_warnings(confidence: float | None, outputs: int, miou: float | None, count: int) -> None:
    assert len(setup_warnings(confidence, outputs, miou)) == count


def test_size_and_weights_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "grey.png", np.full((20, 30, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r"There is no file none.pth"):
        main([str(BRIGHTNESS), "--image", "grey.png", "--weights", "none.pth"])
    main([str(BRIGHTNESS), "--image", "grey.png", "--size", "10", "12"])
    assert "sky                  100.0 %" in capsys.readouterr().out


def test_shipped_networks_predict_the_classes_of_synthetic_scenes() -> None:
    victim = build_victim(find_victim("espnet_streetscenes"))
    assert isinstance(victim, Victim)
    assert "person" in victim.table.names
    assert find_victim(str(find_victim("espnet_streetscenes"))) == find_victim("espnet_streetscenes")


def test_network_without_type_hints_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = "class Net(torch.nn.Conv2d):\n    def __init__(self, outputs):\n"
    text = f"import torch\n{signature}        super().__init__(3, outputs, 1)"
    (tmp_path / "unhinted_net.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    block = yaml.safe_load(BRIGHTNESS.read_text())
    block["model"]["victim"]["init_args"]["network"] = {"class_path": "unhinted_net.Net", "init_args": {"outputs": 2}}
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(block))
    assert build_victim(tmp_path / "net.yaml")(torch.zeros(1, 3, 4, 4)).shape == (1, 2, 4, 4)


def test_configuration_of_an_experiment_is_accepted() -> None:
    assert build_victim(BRIGHTNESS).table.names == CAMVID.names[:2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", r"bad.yaml describes no model.victim \('model'\). Expected model.victim with class_path"),
        ("model: {victim: {class_path: uap.victims.Nothing}}", "bad.yaml: model.victim: .*Nothing"),
        (
            "model: {victim: {class_path: uap.victims.Victim, init_args: {nets: 3}}}",
            "bad.yaml: model.victim: .*nets",
        ),
        ("model: [", "bad.yaml describes no model.victim"),
    ],
)
def test_file_without_a_victim_raises_error(text: str, message: str) -> None:
    Path("bad.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        build_victim(find_victim("bad.yaml"))


def test_missing_files_print_a_message() -> None:
    with refuses("victim", "unknown_name", "nothing"):
        main(["nothing", "--image", "x.png"])
    with pytest.raises(InputError, match="Give the name of a victim and --image FILE or --data CLASS, or none"):
        main(["espnet_camvid"])
    with pytest.raises(InputError, match=r"x\.png does not exist"):
        main([str(BRIGHTNESS), "--image", "x.png"])


def camvid_victim(**changes: object) -> str:
    """Write the configuration of the brightness network with the classes of CamVid."""
    config = yaml.safe_load(BRIGHTNESS.read_text())
    network = {"class_path": "tests.helpers.Brightness", "init_args": {"classes": 11}}
    config["model"]["victim"]["init_args"] |= {"classes": "camvid", "network": network, **changes}
    Path("camvid_net.yaml").write_text(yaml.safe_dump({"model": {"victim": config["model"]["victim"]}}))
    return "camvid_net.yaml"


def test_label_files_are_read_in_the_classes_of_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    images = ["--image", str(root / "val" / "frame_000.png"), "--labels", str(root / "valannot" / "frame_000.png")]
    main([camvid_victim(), *images])
    printed = capsys.readouterr().out
    assert "mean IoU 1.00" in printed
    assert "labels are read as those of camvid" in printed
    Image.fromarray(1 - np.asarray(Image.open(root / "valannot" / "frame_000.png"))).save(images[-1])
    main(["camvid_net.yaml", *images])
    assert "in another order of the classes" in capsys.readouterr().out
    save(Path(images[-1]), np.full((24, 32), 2, np.uint8))
    main(["camvid_net.yaml", *images])
    printed = capsys.readouterr().out
    assert "Set --labels_of" in printed
    assert "channel_order" not in printed
    with pytest.raises(InputError, match=r"--labels_of is not set, and the network's classes \(sky, building\)"):
        main([str(BRIGHTNESS), *images])


def test_split_is_scored_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    data = ["--data", "CamVid", "--data.root", str(root), "--data.size=[24,32]", "--data.num_workers", "0"]
    main([str(BRIGHTNESS), *data])
    printed = capsys.readouterr().out
    assert "| sky      | 100.0 % |" in printed
    assert "mean IoU 100.0 %, pixel accuracy 100.0 %" in printed
    assert "4 images of CamVid, val" in printed
    main([*data, camvid_victim(mean=[60, 60, 60]), "--images", "2", "--data.split", "train"])  # in another order too
    printed = capsys.readouterr().out
    assert "2 images of CamVid, train" in printed
    iou = float(printed.split("mean IoU ")[1].split(" %")[0])
    assert 20 < iou < 90


def test_split_with_wrong_predictions_gives_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    inverted = camvid_victim(classes=["building", "sky", *CAMVID.names[2:]])
    main([inverted, "--data", "uap.data.CamVid", f"--data.root={root}", "--data.size=[24,32]", "--data.num_workers=0"])
    assert "warning: The mean IoU with the labels is 0.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--data", "CamVid", "--image", "x.png"], "--data includes images"),
        (["--image", "x.png", "--images", "3"], "--images needs a data set"),
        (["--image", "x.png", "--data.root", "x"], r"--data\.root is a setting of --data"),
        (["--data", "CamVid", "--data.rot", "x"], "rot"),
        (["--data", "CamVid", "--data.root", "nowhere"], "nowhere"),
        (["--data", "StreetScene"], "StreetScene"),
    ],
)
def test_data_that_cannot_be_scored_print_a_message(words: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        main([str(BRIGHTNESS), *words])


def test_images_without_labels_have_no_clean_metrics(tmp_path: Path) -> None:
    save(tmp_path / "images" / "grey.png", np.full((24, 32, 3), 90, np.uint8))
    save(tmp_path / "images" / "dark.png", np.full((24, 32, 3), 9, np.uint8))
    with pytest.raises(InputError, match="have no labels of the network's classes"):
        main(
            [str(BRIGHTNESS), "--data", "ImageFolder", "--data.root", str(tmp_path / "images"), "--data.num_workers=0"]
        )
