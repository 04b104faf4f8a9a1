"""One command line for every command: LightningCLI and the run folder."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar
from pytorch_lightning.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.trainer.states import TrainerFn

from uap.configuration.class_errors import as_input_error, construction
from uap.configuration.config_files import Parser, files_first, prepared
from uap.configuration.config_paths import MODULES, module_folders
from uap.configuration.used_folder import check_configuration
from uap.data import SegmentationData
from uap.data.datamodule import SPEED
from uap.universal.callbacks.interruption import Interruption, check_processes
from uap.universal.callbacks.logger_errors import guarded
from uap.universal.callbacks.metrics_file import MetricsFile
from uap.universal.callbacks.progress import progress_callbacks
from uap.universal.callbacks.wandb_run import RunLogger, keep_within, wandb_logger
from uap.universal.checkpoints import WholeCheckpoints, discard_half_written, read_checkpoint
from uap.utils.atomic_file import whole_file
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import LAST, is_first, run_folder

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": 4,
    "devices": 1,  # more change the global batch, and with it the result
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_model_summary": False,
}


class SaveConfig(SaveConfigCallback):
    """Writes `config.yaml` into the run folder, without what belongs to this one start, and into the W&B run.

    Not before the run begins: a start that is refused must not change the configuration of the run it was to resume.
    """

    begun = False
    """Whether a run has begun, so that its processes may fail each by itself; until then they fail together."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the W&B run, which other callbacks write to as soon as the training begins."""
        _begin(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of a run that begins."""
        SaveConfig.begun = True
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, "fit")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration of an evaluation."""
        if trainer.is_global_zero and trainer.state.fn == TrainerFn.VALIDATING:
            _begin(trainer)
            self.save_config(trainer, pl_module, "validate")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it, on rank 0 only."""
        config = _lasting(self.parser, self.config)
        if folders := module_folders():
            config[MODULES] = folders
        with whole_file(Path(trainer.default_root_dir) / "config.yaml") as place:  # which resuming asks for
            place.write_text(yaml.safe_dump(config, sort_keys=False))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(config, allow_val_change=True)


def _lasting(parser: LightningArgumentParser, config: Any) -> dict[str, Any]:
    """Return a configuration without what belongs to one start of a run."""
    lasting: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False))
    for passing in ("ckpt_path", "perturbation", "unit", "epsilon", "config", "quiet"):
        lasting.pop(passing, None)
    lasting["trainer"].pop("default_root_dir", None)  # a second run from this file gets a folder of its own
    return lasting


class RunCLI(LightningCLI):
    """Builds model, data and trainer from one configuration and prepares the run folder."""

    def __init__(
        self,
        model: type[LightningModule],
        callbacks: list[Callback],
        *,
        program: str,
        default_config: Path,
        monitor: str,
        learned: str,
        add_arguments: Callable[[LightningArgumentParser], None],
        trainer_settings: dict[str, Any] | None = None,
        checks_folder: bool = True,
        args: ArgsType = None,
    ) -> None:
        """Parse `args` (the command line by default) and build everything; nothing runs yet.

        Args:
            model: the LightningModule.
            callbacks: added unless the configuration has one of the same type.
            program: how the command is called, for `--help`.
            default_config: used when no `--config` is given.
            monitor: the figure whose highest value `best.ckpt` keeps.
            learned: the name of a parameter that a checkpoint to resume must hold.
            add_arguments: adds the command's own arguments and links.
            trainer_settings: what no configuration may change.
            checks_folder: whether a named folder of another configuration is refused, and a run in it resumed.
            args: instead of the command line.

        Raises:
            InputError: something that was given cannot be used.
        """
        self.own_callbacks = callbacks
        self.monitor = monitor
        self.parameter = learned
        self.add_arguments = add_arguments
        self.trainer_settings = trainer_settings or {}
        self.checks_folder = checks_folder
        given = files_first(sys.argv[1:]) if args is None else args  # a caller's own list is in the order that it wants
        if isinstance(given, list):
            given = prepared(given)
        self.is_named = not isinstance(given, list) or any(w.split("=")[0] in ("-c", "--config") for w in given)
        if not self.is_named:  # jsonargparse's own default file cannot hold an optimizer: its --help fails
            given = [f"--config={default_config}", *given]
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # that it is not the command line's
        super().__init__(
            model,
            SegmentationData,
            SaveConfig,
            save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"prog": program, "epilog": f"Without --config it starts from {default_config}."},
            subclass_mode_data=True,
            load_from_checkpoint_support=False,
            args=given,
            run=False,
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the command's own arguments."""
        self.add_arguments(parser)
        parser.add_argument("--quiet", action="store_true", help="Print no progress, only results and what is wrong.")

    def _set_seed(self) -> None:
        """Seed everything.

        Raises:
            InputError: the seed is out of range.
        """
        try:
            super()._set_seed()
        except ValueError as error:
            raise InputError(f"seed_everything: {error}. Set a whole number from 0 on.") from error

    def instantiate_classes(self) -> None:
        """Build everything; an input error comes out of jsonargparse's own as it was raised."""
        with construction(self.config.as_dict()):
            super().instantiate_classes()
        if self.resumed is not None:  # before anything of the run that is to be resumed is touched
            check_processes(self.checkpoint, self.trainer.num_devices * self.trainer.num_nodes)

    def before_instantiate_classes(self) -> None:
        """Settle the run folder before anything is computed, so that nothing is lost for want of one."""
        if self.config.quiet:
            be_quiet()
        self.resumed = self.config.get("ckpt_path")
        if self.resumed is None and self.config.trainer.default_root_dir is not None:
            self.resumed = self._begun(Path(self.config.trainer.default_root_dir))
        if self.resumed is not None:
            self.checkpoint = read_checkpoint(Path(self.resumed), self.parameter)
            if is_first():
                discard_half_written(Path(self.resumed))
        self.folder = run_folder(self.config.trainer.default_root_dir, self.resumed, self._name())
        self.config.trainer.default_root_dir = str(self.folder)

    def _begun(self, folder: Path) -> str | None:
        """Return the checkpoint of a named folder that the same command has begun a run in, if it has.

        A scheduler gives the same command line again, and has no checkpoint to name in the first one.

        Raises:
            InputError: the folder holds what another configuration or command wrote.
        """
        if not self.checks_folder:
            return None
        check_configuration(folder, _lasting(self.parser, self.config), SPEED)
        checkpoint = folder / LAST
        if "ckpt_path" not in self.config or not (folder / "config.yaml").is_file():
            return None
        if checkpoint.is_file():
            if is_first():
                print(f"{folder} holds a run of this configuration, which goes on from {checkpoint}.", flush=True)
            return str(checkpoint)
        if (folder / "metrics.json").is_file():
            raise InputError(f"{folder} holds figures and no checkpoint. Set another --trainer.default_root_dir.")
        return None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with the run's callbacks and loggers.

        Own callbacks come first and in their order; one of the same type that is given takes the place of the own.
        """
        given = {type(callback): callback for callback in _as_list(self.config_init.trainer.callbacks)}
        own = list(self.own_callbacks)
        if self.config_init.trainer.enable_progress_bar is not False:
            own = [*progress_callbacks(), *own]  # a bar ends before the table is printed
        callbacks = [given.pop(type(callback), callback) for callback in own] + list(given.values())
        settings = {"use_distributed_sampler": False, **self.trainer_settings, **kwargs}
        settings |= {"callbacks": callbacks + checkpointing(self.folder, self.monitor), "logger": self._loggers()}
        settings["plugins"] = [*_as_list(self.config_init.trainer.plugins), WholeCheckpoints()]
        settings["enable_progress_bar"] = any(isinstance(callback, ProgressBar) for callback in callbacks)
        with as_input_error("The trainer"):
            return super().instantiate_trainer(**settings)

    def _loggers(self) -> list[Logger]:
        given = self.config_init.trainer.logger
        keep_within(self.folder)
        if given is None or given is True:
            given = wandb_logger(self.folder, self.folder.name, bool(self.resumed))
        return [*map(guarded, _as_list(given)), MetricsFile(self.folder / "metrics.csv")]

    def _name(self) -> str:
        configs = (self.config.get("config") or []) if self.is_named else []
        return "-".join(Path(str(config)).stem for config in configs) or "default"


def resume_argument(parser: LightningArgumentParser) -> None:
    """Add what every command to a run that can be resumed has."""
    parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to resume from.")


def _begin(trainer: Trainer) -> None:
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, RunLogger):
            logger.begin()


def _as_list(given: Any) -> list[Any]:
    """Return what a configuration gives as one, as several, or not at all (null or false)."""
    return list(given) if isinstance(given, list) else [given] if given else []


def checkpointing(folder: Path, monitor: str) -> list[Callback]:
    """Return what keeps `checkpoints/last.ckpt`, after every epoch and when the run is told to end, and `best.ckpt`.

    The latter is that of the highest `monitor`.
    """
    best = ModelCheckpoint(
        folder / LAST.parent, "best", monitor=monitor, mode="max", enable_version_counter=False, save_last=False
    )
    last = ModelCheckpoint(
        folder / LAST.parent, LAST.stem, save_on_train_epoch_end=True, enable_version_counter=False, save_last=False
    )
    return [best, last, Interruption()]
