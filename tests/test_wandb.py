"""The W&B run of a fit, read back from its offline file."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto import wandb_internal_pb2

from tests.helpers import attack_args, make_camvid
from uap.callbacks.dashboard import wandb_logger
from uap.fit import main


def records(folder: Path) -> list[Any]:
    """All records of all offline runs of a run folder."""
    found = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in log_entries(path.read_bytes()):
            record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            record.ParseFromString(data)
            found.append(record)
    return found


def log_entries(content: bytes) -> Iterator[bytes]:
    """The entries of a W&B run file: LevelDB's log format behind a header of 7 bytes."""
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


def test_an_offline_run_holds_curves_pictures_artifact_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
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
    wandb.finish()

    found = records(out)
    history: set[str] = set()
    for record in found:
        if record.WhichOneof("record_type") == "history":
            history |= {item.key or item.nested_key[0] for item in record.history.item}
    assert {"train/loss", "val/success_rate", "val/miou_adversarial", "perturbation"} <= history
    assert {"examples/clean", "examples/adversarial"} <= history
    runs = {record.run.run_id for record in found if record.WhichOneof("record_type") == "run"}
    assert runs == {(out / "wandb_id.txt").read_text().strip()}  # resuming continues the same run
    artifacts = [r.artifact for r in found if r.WhichOneof("record_type") == "artifact"]
    artifacts += [r.request.log_artifact.artifact for r in found if r.WhichOneof("record_type") == "request"]
    perturbations = [artifact for artifact in artifacts if artifact.type == "perturbation"]
    assert perturbations
    metadata = json.loads(perturbations[0].metadata)
    assert metadata["epsilon"] == "60.0"
    assert "val/success_rate" in metadata
    configs = [record.config for record in found if record.WhichOneof("record_type") == "config"]
    assert any(item.key == "model" for config in configs for item in config.update)


def test_with_a_login_the_run_is_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(wandb, "login", lambda prompt: True)
    logger = wandb_logger(tmp_path, "name", resume=False)
    assert logger._wandb_init["mode"] == "online"
    assert logger.version == (tmp_path / "wandb_id.txt").read_text().strip()


def test_without_a_login_the_run_is_offline_and_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"trainer.logger": "null"}))
    wandb.finish()

    assert list((tmp_path / "out" / "wandb").glob("offline-run-*"))
