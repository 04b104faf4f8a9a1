"""The LightningCLI subclass of the commands that train or evaluate, with the run folder."""

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
from uap.configuration.config_files import Parser, config_files_first, prepared_command_line
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
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError, in_setting
from uap.utils.progress import be_quiet
from uap.utils.run_folder import LAST, is_local_rank_zero, run_folder

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": 4,
    "devices": 1,  # more devices change the global batch size, and therefore the result
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_model_summary": False,
}


class SaveConfig(SaveConfigCallback):
    """A callback that writes the configuration to `config.yaml` in the run folder and to the W&B run.

    Settings of a single start, such as the checkpoint to resume from, are left out. The file is written when the run
    begins: a refused start must not change the configuration of an existing run.
    """

    begun = False
    """Whether a run has begun. From then on, every process reports its own errors."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the W&B run. Other callbacks log to it when the training begins."""
        _begin(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration when the training begins."""
        SaveConfig.begun = True
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, "fit")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the configuration when an evaluation begins."""
        if trainer.is_global_zero and trainer.state.fn == TrainerFn.VALIDATING:
            _begin(trainer)
            self.save_config(trainer, pl_module, "validate")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the configuration; called on rank 0 only."""
        config = _lasting(self.parser, self.config)
        if folders := module_folders():
            config[MODULES] = folders
        with atomic_file(Path(trainer.default_root_dir) / "config.yaml") as file:  # needed to resume the run
            file.write_text(yaml.safe_dump(config, sort_keys=False))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.config.update(config, allow_val_change=True)


def _lasting(parser: LightningArgumentParser, config: Any) -> dict[str, Any]:
    """Return a configuration as plain values without the settings of a single start."""
    lasting: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_unset=False))
    for name in ("ckpt_path", "perturbation", "unit", "epsilon", "config", "quiet"):
        lasting.pop(name, None)
    lasting["trainer"].pop("default_root_dir", None)  # another run from this file gets its own folder
    return lasting


class RunCLI(LightningCLI):
    """The command line of a command: it builds model, data and trainer, and prepares the run folder."""

    def __init__(
        self,
        model: type[LightningModule],
        callbacks: list[Callback],
        *,
        program: str,
        default_config: Path,
        monitor: str,
        checkpoint_parameter: str,
        add_arguments: Callable[[LightningArgumentParser], None],
        trainer_settings: dict[str, Any] | None = None,
        checks_folder: bool = True,
        args: ArgsType = None,
    ) -> None:
        """Parse the arguments and build model, data and trainer; nothing runs yet.

        Args:
            model: class of the LightningModule.
            callbacks: callbacks of the command. A callback of the same type in the configuration replaces one.
            program: name of the command in its help.
            default_config: configuration file without `--config`.
            monitor: metric whose highest value determines `best.ckpt`.
            checkpoint_parameter: name of a parameter that a checkpoint to resume from must contain.
            add_arguments: function that adds the arguments and links of the command to the parser.
            trainer_settings: trainer settings that no configuration may change.
            checks_folder: whether an existing run folder is checked: a run of the same configuration is resumed, and a
                run of another configuration is refused.
            args: arguments; the command line by default.

        Raises:
            InputError: a setting cannot be used.
        """
        self.own_callbacks = callbacks
        self.monitor = monitor
        self.checkpoint_parameter = checkpoint_parameter
        self.add_arguments = add_arguments
        self.trainer_settings = trainer_settings or {}
        self.checks_folder = checks_folder
        given = config_files_first(sys.argv[1:]) if args is None else args  # a caller chooses its own order
        if isinstance(given, list):
            given = prepared_command_line(given)
        self.is_named = not isinstance(given, list) or any(w.split("=")[0] in ("-c", "--config") for w in given)
        if not self.is_named:  # --help fails if a default configuration file of jsonargparse contains an optimizer
            given = [f"--config={default_config}", *given]
        warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # given on purpose
        super().__init__(
            model,
            SegmentationData,
            SaveConfig,
            save_config_kwargs={"overwrite": True, "save_to_log_dir": False},
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"prog": program, "epilog": f"Without --config, the configuration is {default_config}."},
            subclass_mode_data=True,
            load_from_checkpoint_support=False,
            args=given,
            run=False,
            auto_configure_optimizers=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the arguments of the command and `--quiet`."""
        self.add_arguments(parser)
        parser.add_argument("--quiet", action="store_true", help="Print only results, warnings and errors.")

    def _set_seed(self) -> None:
        """Seed all random number generators.

        Raises:
            InputError: the seed is out of range.
        """
        try:
            super()._set_seed()
        except ValueError as error:
            raise InputError(
                f"seed_everything: {error}. Set a whole number of 0 or more.",
                setting="seed_everything",
                kind="out_of_range",
            ) from error

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; raise an input error unchanged instead of the error that wraps it."""
        with construction(self.config.as_dict()):
            super().instantiate_classes()
        if self.resumed is not None:  # before any file of the resumed run changes
            check_processes(self.checkpoint, self.trainer.num_devices * self.trainer.num_nodes)

    def before_instantiate_classes(self) -> None:
        """Prepare the run folder before any computation, and read the checkpoint to resume from."""
        if self.config.quiet:
            be_quiet()
        self.resumed = self.config.get("ckpt_path")
        if self.resumed is None and self.config.trainer.default_root_dir is not None:
            self.resumed = self._existing_checkpoint(Path(self.config.trainer.default_root_dir))
        if self.resumed is not None:
            self.checkpoint = read_checkpoint(Path(self.resumed), self.checkpoint_parameter)
            if is_local_rank_zero():
                discard_half_written(Path(self.resumed))
        self.folder = run_folder(self.config.trainer.default_root_dir, self.resumed, self._name())
        self.config.trainer.default_root_dir = str(self.folder)

    def _existing_checkpoint(self, folder: Path) -> str | None:
        """Return the checkpoint of a run of the same configuration in a folder, or None.

        A scheduler repeats the same command line, which cannot name a checkpoint at the first start.

        Raises:
            InputError: the folder contains a run of another configuration or command.
        """
        if not self.checks_folder:
            return None
        check_configuration(folder, _lasting(self.parser, self.config), SPEED)
        checkpoint = folder / LAST
        if "ckpt_path" not in self.config or not (folder / "config.yaml").is_file():
            return None
        if checkpoint.is_file():
            if is_local_rank_zero():
                print(f"{folder} contains a run of this configuration. It resumes from {checkpoint}.", flush=True)
            return str(checkpoint)
        if (folder / "metrics.json").is_file():
            raise InputError(
                f"{folder} contains metrics and no checkpoint. Set another --trainer.default_root_dir.",
                setting="trainer.default_root_dir",
                kind="conflict",
            )
        return None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with the callbacks and loggers of the run.

        The callbacks of the command come first, in their order. A callback of the configuration replaces the callback
        of the command that has the same type.
        """
        given = {type(callback): callback for callback in _as_list(self.config_init.trainer.callbacks)}
        own = list(self.own_callbacks)
        if self.config_init.trainer.enable_progress_bar is not False:
            own = [*progress_callbacks(), *own]  # the bar has to end before the table is printed
        callbacks = [given.pop(type(callback), callback) for callback in own] + list(given.values())
        settings = {"use_distributed_sampler": False, **self.trainer_settings, **kwargs}
        settings |= {
            "callbacks": callbacks + checkpoint_callbacks(self.folder, self.monitor),
            "logger": self._loggers(),
        }
        settings["plugins"] = [*_as_list(self.config_init.trainer.plugins), WholeCheckpoints()]
        settings["enable_progress_bar"] = any(isinstance(callback, ProgressBar) for callback in callbacks)
        with in_setting("trainer"), as_input_error("The trainer"):
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
    """Add the argument `--ckpt_path` of commands whose runs can be resumed."""
    parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to resume from.")


def _begin(trainer: Trainer) -> None:
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, RunLogger):
            logger.begin()


def _as_list(given: Any) -> list[Any]:
    """Return a value of a configuration as a list: a list itself, a single value, or nothing (null or false)."""
    return list(given) if isinstance(given, list) else [given] if given else []


def checkpoint_callbacks(folder: Path, monitor: str) -> list[Callback]:
    """Return the callbacks that write the checkpoints of a run folder.

    `last.ckpt` is written after every epoch and when a signal ends the run. `best.ckpt` is the checkpoint with the
    highest value of the metric `monitor`.
    """
    best = ModelCheckpoint(
        folder / LAST.parent, "best", monitor=monitor, mode="max", enable_version_counter=False, save_last=False
    )
    last = ModelCheckpoint(
        folder / LAST.parent, LAST.stem, save_on_train_epoch_end=True, enable_version_counter=False, save_last=False
    )
    return [best, last, Interruption()]
