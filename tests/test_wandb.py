"""Tests of W&B runs, read from their offline files, and of the sweep."""

import csv
import itertools
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import wandb
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor
from wandb.proto import wandb_internal_pb2
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from tests.helpers import attack_args, learned, make_camvid
from uap import evaluate
from uap.cli.entry import run_command
from uap.fit import main
from uap.universal.callbacks.wandb_run import wandb_logger
from uap.universal.module import UniversalAttack
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation, save_perturbation

CONFIGS = Path(__file__).parents[1] / "configs"


def records(folder: Path) -> list[Any]:
    """Return all records of the offline runs of a run folder; the last ones are written when W&B ends."""
    wandb.finish()
    wandb.teardown()
    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in log_entries(path.read_bytes()):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            record.ParseFromString(data)
            found.append(record)
    return found


def log_entries(content: bytes) -> Iterator[bytes]:
    """Return the entries of a W&B run file: the log format of LevelDB after a header of 7 bytes."""
    block, header, position, entry = 32768, 7, 7, b""
    while position + header <= len(content):
        left = block - position % block
        if left < header:  # a block's last bytes hold no header
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        position += header
        entry += content[position : position + length]
        position += length
        if kind in (1, 4):  # whole, or the last part
            yield entry
            entry = b""


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Write offline runs, and artifacts to the folder of the test."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    yield
    wandb.finish()


def history(found: list[Any]) -> dict[str, Any]:
    """Return the last logged value of each key; images and tables are dictionaries."""
    logged: dict[str, Any] = {}
    for record in found:
        for item in record.history.item:
            key, *parts = [item.key] if item.key else item.nested_key
            value = json.loads(item.value_json)
            logged[key] = {**logged.get(key, {}), parts[0]: value} if parts else value
    return logged


def table(folder: Path, logged: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the rows of a logged table."""
    path = next(folder.glob(f"wandb/offline-run-*/files/{logged[f'tables/{name}']['path']}"))
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def artifacts(found: list[Any]) -> list[Any]:
    """Return the logged perturbations."""
    logged = [r.artifact for r in found if r.WhichOneof("record_type") == "artifact"]
    logged += [r.request.log_artifact.artifact for r in found if r.WhichOneof("record_type") == "request"]
    return [artifact for artifact in logged if artifact.type == "perturbation"]


def proto(artifact: Any) -> Tensor:
    """Return the perturbation in an artifact."""
    (entry,) = artifact.manifest.contents
    assert entry.path == "perturbation.safetensors"
    return load_perturbation(Path(entry.local_path))[0].proto.detach()


def test_offline_run_has_curves_images_tables_artifact_and_configuration(tmp_path: Path, offline: None) -> None:
    out = tmp_path / "out"
    main(attack_args(make_camvid(tmp_path / "camvid"), out, **{"trainer.logger": "null"}))
    wandb.finish()
    main(
        [
            f"--config={out / 'config.yaml'}",
            f"--ckpt_path={out / 'checkpoints' / 'last.ckpt'}",
            "--trainer.max_epochs=3",
        ]
    )

    found = records(out)
    logged = history(found)
    curves = {"train/loss", "train/success", "val/success_rate", "val/miou_clean", "val/miou_adversarial", "score"}
    curves |= {f"perturbation/{name}" for name in ("linf", "saturation", "sign_flips")}
    assert curves | {"perturbation/amplified", "examples/clean", "examples/adversarial"} <= set(logged)
    runs = {record.run.run_id for record in found if record.WhichOneof("record_type") == "run"}
    assert runs == {(out / "wandb_id.txt").read_text().strip()}  # resuming continues the same run
    configs = [record.config for record in found if record.WhichOneof("record_type") == "config"]
    assert any(item.key == "model" for config in configs for item in config.update)
    ends = {r.metric.name: r.metric.summary for r in found if r.WhichOneof("record_type") == "metric"}
    assert ends["val/success_rate"].max
    assert ends["val/miou_adversarial"].min

    for key in ("examples/clean", "examples/adversarial"):
        assert logged[key]["captions"] == [f"frame_{i:03d}" for i in range(4)]
        layers = {"prediction", "adversarial_prediction", "target", "labels"}
        assert [set(masks) for masks in logged[key]["all_masks"]] == [layers] * 4
    metrics = json.loads((out / "metrics.json").read_text())
    assert table(out, logged, "by_class") == metrics["by_class"]
    assert "tables/hidden_by_size" not in logged
    images = table(out, logged, "per_image")
    assert [row["image"] for row in images] == [f"frame_{i:03d}" for i in range(4)]
    worst = metrics["per_image"]["success_rate"]["worst_decile"]
    assert min(row["success_rate"] for row in images) == worst == logged["val/success_rate_worst_decile"]

    first, last = artifacts(found)[0], artifacts(found)[-1]
    assert set(first.aliases) == {"latest", "best"}  # its last epoch was its best
    metadata = json.loads(last.metadata)
    assert metadata["epsilon"] == 60
    assert metadata["val/success_rate"] == metrics["val/success_rate"]
    assert torch.equal(proto(last), learned(out))


class Forget(Callback):
    """A callback that resets the perturbation in the second epoch."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.current_epoch == 1:
            cast(UniversalAttack, pl_module).perturbation.proto.data.zero_()


def test_artifact_has_two_versions_if_the_last_epoch_is_not_the_best(tmp_path: Path, offline: None) -> None:
    out = tmp_path / "out"
    changes = {"trainer.logger": "null", "trainer.callbacks+": "tests.test_wandb.Forget", "model.optimizer.lr": 60}
    main(attack_args(make_camvid(tmp_path / "camvid"), out, **changes))

    best, last = artifacts(records(out))
    assert best.name == last.name
    assert "best" in best.aliases
    assert list(last.aliases) == ["latest"]  # which moves from one to the next as they are logged
    checkpoint = torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)
    assert torch.equal(proto(best), checkpoint["state_dict"]["perturbation.proto"])
    assert proto(best).abs().max() > 0
    assert not proto(last).any()
    known = json.loads(best.metadata)
    assert (known["epsilon"], known["epoch"], known["global_step"]) == (60, 0, 3)
    with (out / "metrics.csv").open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file) if row["score"]]
    assert scores[1] < scores[0] == pytest.approx(known["score"])
    assert "val/success_rate" not in known  # that is the figure of the last


def test_evaluation_logs_metrics_and_tables_and_no_artifact(tmp_path: Path, offline: None) -> None:
    root, path, out = make_camvid(tmp_path / "camvid"), tmp_path / "p.safetensors", tmp_path / "out"
    perturbation = Perturbation((1, 1), 52)  # the bright blocks are about 52 above the threshold
    perturbation.proto.data.fill_(-52)
    save_perturbation(perturbation, path, {"size": "[24, 32]"})
    hide = {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["building"]}
    evaluate.main(attack_args(root, out, perturbation=path, **hide, **{"trainer.logger": "null"}))

    found = records(out)
    logged, metrics = history(found), json.loads((out / "metrics.json").read_text())
    for name in ("val/hidden", "val/preserved", "val/miou_adversarial"):
        assert logged[name] == pytest.approx(metrics[name])
    sizes = [{"size": size, **counts} for size, counts in metrics["hidden_by_size"].items()]
    assert table(out, logged, "hidden_by_size") == sizes
    classes = [{name: row.get(name) for name in ("class", "preserved", "hidden")} for row in metrics["by_class"]]
    shown = [{name: row[name] for name in ("class", "preserved", "hidden")} for row in table(out, logged, "by_class")]
    assert shown == classes
    assert len(table(out, logged, "per_image")) == 4
    assert {"examples/clean", "examples/adversarial", "perturbation/amplified"} <= set(logged)
    assert not artifacts(found)


@pytest.fixture
def agent(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Return the environment of a run of a sweep; W&B reads it once per process."""
    wandb.teardown()
    for name, value in {"WANDB_SWEEP_ID": "sweep1", "WANDB_RUN_ID": "chosen1", "WANDB_PROJECT": "swept"}.items():
        monkeypatch.setenv(name, value)
    yield
    wandb.finish()
    wandb.teardown()


def test_run_of_a_sweep_has_the_id_of_the_agent(tmp_path: Path, agent: None) -> None:
    logger = wandb_logger(tmp_path, "name", resume=False)
    logger.begin()
    run = logger.experiment
    assert (run.id, run.sweep_id, run.group, run.project) == ("chosen1", "sweep1", "sweep1", "swept")
    assert (tmp_path / "wandb_id.txt").read_text() == "chosen1\n"  # resumed without an agent, it is continued


def test_run_group_of_the_environment_is_used(tmp_path: Path, agent: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_RUN_GROUP", "tries")
    logger = wandb_logger(tmp_path, "name", resume=False)
    logger.begin()
    assert logger.experiment.group == "tries"


def test_default_group_and_project(tmp_path: Path) -> None:
    settings = wandb_logger(tmp_path, "name", resume=False)._wandb_init
    assert (settings["project"], settings["group"]) == ("uap", None)


def test_sweep_configuration_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(CONFIGS.parent)
    sweep = yaml.safe_load((CONFIGS / "sweeps" / "epsilon.yaml").read_text())
    values = {name: parameter["values"] for name, parameter in sweep["parameters"].items()}
    for point in itertools.product(*values.values()):
        args = {name: {"value": value} for name, value in zip(values, point, strict=True)}
        # as `wandb agent` makes a command line of it: wandb/wandb_agent.py, Agent._command_run
        macros = create_sweep_command_args({"args": args}) | {"env": ["/usr/bin/env"]}
        command = [
            word for part in create_sweep_command(list(sweep["command"])) for word in macros.get(part[2:-1], [part])
        ]
        assert command[:4] == ["/usr/bin/env", "python", "-m", "uap.fit"]
        with pytest.raises(SystemExit) as ended:
            main([*command[4:], "--print_config"])
        assert ended.value.code == 0
        printed = yaml.safe_load(capsys.readouterr().out)
        assert (printed["model"]["epsilon"], printed["data"]["init_args"]["seed"]) == point


def test_run_with_a_login_is_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda prompt: True)
    assert wandb_logger(tmp_path, "name", resume=False)._wandb_init["mode"] == "online"


def test_invalid_start_leaves_no_wandb_run_and_no_folder(tmp_path: Path, offline: None) -> None:
    logged = attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"trainer.logger": "null"})
    with pytest.raises(SystemExit):
        run_command(lambda: main([*logged, "--data.limit", "99"]))
    assert wandb.run is None
    assert not (tmp_path / "out").exists()


def test_run_without_a_login_is_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"trainer.logger": "null"}))
    wandb.finish()

    assert list((tmp_path / "out" / "wandb").glob("offline-run-*"))
