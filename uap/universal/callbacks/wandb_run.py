"""The Weights & Biases run of a run: when it begins, its id, and its artifacts. The only file that imports wandb.

Within functions: it takes a second, which a run without it need not.
"""

import os
import uuid
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from uap.utils.paths import cache_folder

RUN_ID = "wandb_id.txt"
"""The file of the run folder that keeps the W&B run's id, so that a resumed run continues it."""


OWN: set[str] = set()
"""The environment variables of W&B that `keep_within` has set, and the user has not."""


def keep_within(folder: Path) -> None:
    """Let W&B write below the run folder and the cache folder alone: a home folder need not be one that can be written.

    What a later `wandb sync` needs is in the run folder. A configuration of the user's own is read from where it lies,
    and folders that environment variables name stay.
    """
    cache = cache_folder() / "wandb"
    folders = {"WANDB_DATA_DIR": folder / "wandb", "WANDB_CACHE_DIR": cache}
    if not os.path.exists(os.path.expanduser("~/.config/wandb/settings")):
        folders["WANDB_CONFIG_DIR"] = cache
    for name, place in folders.items():
        if name in OWN or name not in os.environ:
            OWN.add(name)
            os.environ[name] = str(place.absolute())


class RunLogger(WandbLogger):
    """A W&B run that begins when the training or the evaluation does: a start that is refused leaves none behind."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        """Describe a run whose files lie in `folder`."""
        super().__init__(save_dir=str(folder), **settings)
        self._wandb_init.pop("anonymous")  # without effect in wandb, which warns of it
        self._kept = folder / RUN_ID
        self._begun = False

    def begin(self) -> None:
        """Let the run begin, and keep its id; on rank 0."""
        import wandb

        self._begun = True
        is_offline = self._wandb_init["mode"] != "online"
        self._wandb_init["settings"] = wandb.Settings(quiet=True, silent=is_offline)  # `finalize` says where it lies
        self._kept.write_text(f"{self.experiment.id}\n")

    @property
    def experiment(self) -> Any:
        """The W&B run; Lightning asks for it before the setup, and takes an error for an answer.

        Raises:
            AttributeError: it has not begun.
        """
        if not self._begun:
            raise AttributeError("The W&B run begins with the training, not before.")
        return super().experiment

    def finalize(self, status: str) -> None:
        """Say below the table where the run can be seen, or how it is sent there."""
        super().finalize(status)
        run = self.experiment if self._begun and status == "success" else None
        if run is not None and not run.disabled:
            print(f"{'wandb':<14}{f'wandb sync {run.sync_dir}' if run.offline else run.url}", flush=True)


def wandb_logger(folder: Path, name: str, resume: bool) -> RunLogger:
    """Return the logger of a run: online where there is a login, else offline and without a question.

    The agent of a sweep chooses the run's id and project by environment variables, and W&B then takes no others. The
    runs of a sweep are one group, unless `WANDB_RUN_GROUP` names another.
    """
    kept, sweep = folder / RUN_ID, os.environ.get("WANDB_SWEEP_ID")
    known = kept.read_text().strip() if resume and kept.exists() else None
    return RunLogger(
        folder,
        id=None if sweep else known or os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8],
        project=os.environ.get("WANDB_PROJECT", "uap"),
        name=name,
        mode=os.environ.get("WANDB_MODE") or ("online" if _has_login() else "offline"),
        group=os.environ.get("WANDB_RUN_GROUP") or sweep,
    )


def _has_login() -> bool:
    import wandb

    try:
        return bool(wandb.login(prompt=False))
    except wandb.Error:  # there is a key, but no way to W&B: the run can be synced later
        return False


def log_artifact(logger: WandbLogger, path: Path, metadata: dict[str, Any], aliases: list[str]) -> None:
    """Log a perturbation's file as the next version of the run's artifact."""
    import wandb

    artifact = wandb.Artifact(f"perturbation-{logger.experiment.id}", "perturbation", metadata=metadata)
    artifact.add_file(str(path))
    logger.experiment.log_artifact(artifact, aliases=aliases)
