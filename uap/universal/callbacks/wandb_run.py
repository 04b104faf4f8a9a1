"""The Weights & Biases run of an attack: its start, its id and its artifacts.

This is the only file that imports wandb. It does so in functions, because the import takes a second.
"""

import os
import uuid
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from uap.utils.paths import cache_folder

RUN_ID = "wandb_id.txt"
"""The file in the run folder with the id of the W&B run, which a resumed run continues."""


OWN: set[str] = set()
"""The environment variables of W&B that were set by `keep_within`, not by the user."""


def keep_within(folder: Path) -> None:
    """Make W&B write only to the run folder and the cache folder, because the home folder may not be writable.

    The run folder has everything that `wandb sync` needs. An existing W&B configuration of the user is still read, and
    folders in environment variables are kept.
    """
    cache = cache_folder() / "wandb"
    folders = {"WANDB_DATA_DIR": folder / "wandb", "WANDB_CACHE_DIR": cache}
    if not os.path.exists(os.path.expanduser("~/.config/wandb/settings")):
        folders["WANDB_CONFIG_DIR"] = cache
    for name, path in folders.items():
        if name in OWN or name not in os.environ:
            OWN.add(name)
            os.environ[name] = str(path.absolute())


class RunLogger(WandbLogger):
    """A W&B logger whose run starts with the training or evaluation, so that an invalid start creates no W&B run."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        """Set the folder of its files and the settings of `WandbLogger`."""
        super().__init__(save_dir=str(folder), **settings)
        self._wandb_init.pop("anonymous")  # wandb warns about it, and it has no effect
        self._kept = folder / RUN_ID
        self._begun = False

    def begin(self) -> None:
        """Start the W&B run and store its id; call it on rank 0."""
        import wandb

        self._begun = True
        is_offline = self._wandb_init["mode"] != "online"
        self._wandb_init["settings"] = wandb.Settings(quiet=True, silent=is_offline)  # `finalize` prints its path
        self._kept.write_text(f"{self.experiment.id}\n")

    @property
    def experiment(self) -> Any:
        """The W&B run. Lightning reads it before the setup and ignores the error.

        Raises:
            AttributeError: the run has not started.
        """
        if not self._begun:
            raise AttributeError("The W&B run has not started.")
        return super().experiment

    def finalize(self, status: str) -> None:
        """Print the address of the run, or the command that uploads an offline run."""
        super().finalize(status)
        run = self.experiment if self._begun and status == "success" else None
        if run is not None and not run.disabled:
            print(f"{'wandb':<14}{f'wandb sync {run.sync_dir}' if run.offline else run.url}", flush=True)


def wandb_logger(folder: Path, name: str, resume: bool) -> RunLogger:
    """Return the logger of a run, which is online with a login and offline without one.

    In a sweep, the agent sets id and project by environment variables, which take precedence. The runs of a sweep form
    a group, unless `WANDB_RUN_GROUP` names another.

    Args:
        folder: the run folder.
        name: name of the run.
        resume: whether to continue the W&B run whose id is in the folder.
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
    except wandb.Error:  # a key without a connection: the run can be synced later
        return False


def log_artifact(logger: WandbLogger, path: Path, metadata: dict[str, Any], aliases: list[str]) -> None:
    """Log the file of a perturbation as a new version of the artifact of the run."""
    import wandb

    artifact = wandb.Artifact(f"perturbation-{logger.experiment.id}", "perturbation", metadata=metadata)
    artifact.add_file(str(path))
    logger.experiment.log_artifact(artifact, aliases=aliases)
