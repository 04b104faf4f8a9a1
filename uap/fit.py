"""python -m uap.fit [--config FILE ...] [--SETTING VALUE ...]: learn a universal perturbation.

Learns one perturbation for all images of a data set. Added to an image, it makes a frozen segmentation network predict
a chosen scene, or the true scene without some classes. Without --config, it attacks a network that is included, on
synthetic street scenes.

The most important settings, with their default values in parentheses:
  --config FILE                     settings; later files override earlier ones, and settings override files
  --data.root FOLDER                folder of the data set (data/streetscenes)
  --data.size [H,W]                 height and width that images are resized to ([256,512])
  --data.limit N                    number of training images (null: all)
  --data.eval_images N              number of validation images, evenly spread (null: all)
  --data.batch_size N               images per step and process (4)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --model.objective.image FILE      static target: the prediction of the network on this image
  --model.epsilon E                 largest change of a pixel value, in grey levels from 0 to 255 (10)
  --model.tile [H,W]                size of a periodic perturbation (null: not periodic, as large as the image)
  --model.optimizer.lr STEP         step size in grey levels (2)
  --trainer.max_epochs N            passes over the training images (4)
  --trainer.devices N               processes or GPUs (1)
  --trainer.accelerator NAME        cpu, cuda or mps (auto: the fastest available)
  --trainer.precision NAME          32-true, or bf16-mixed and 16-mixed on GPUs (null: 32-true)
  --trainer.logger false            switch Weights & Biases off (null: on, and offline without a login)
  --trainer.default_root_dir FOLDER run folder (null: runs/TIME-NAME)
  --ckpt_path FILE                  checkpoint to resume from (null)
  --quiet                           print only results, warnings and errors

Examples:
  python -m uap.fit
  python -m uap.fit --config configs/camvid_static.yaml --data.root CAMVID --model.victim.weights FILE
  python -m uap.fit --config RUN/config.yaml --ckpt_path RUN/checkpoints/last.ckpt

--help-all lists all settings. --data.help CamVid or --model.loss.help CrossEntropy lists the settings of one class.
--print_config prints all settings with their values. docs/configuration.md explains them.
"""

from uap.cli.short_help import short_help

if __name__ == "__main__":
    short_help(__doc__)

from typing import Any, cast

import yaml
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap.cli.entry import run_command
from uap.cli.lightning_cli import RunCLI, resume_argument
from uap.data.datamodule import SPEED
from uap.universal.callbacks.curves import PerturbationCurves
from uap.universal.callbacks.dashboard import Dashboard
from uap.universal.callbacks.full_batch import FullBatchGradient
from uap.universal.callbacks.pictures import Pictures
from uap.universal.callbacks.results import Results
from uap.universal.callbacks.success import SuccessMetrics
from uap.universal.module import UniversalAttack
from uap.utils import paths
from uap.utils.errors import InputError

DEFAULT_CONFIG = paths.shipped("configs/streetscenes_static.yaml")


def attack_arguments(parser: LightningArgumentParser) -> None:
    """Link `data.size` to `model.size`, so that images and perturbation have the same size."""
    parser.link_arguments("data.size", "model.size", apply_on="instantiate")


UNRELATED_TO_LEARNING = ("root", "split", "scored_scenes", "eval_images", "size", *SPEED)
"""Data settings that do not change the learned perturbation, or that the attack stores itself."""


def attack_settings(cli: RunCLI) -> dict[str, Any]:
    """Return the model settings of a configuration, without those that the attack stores itself."""
    model: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["model"]
    return {name: value for name, value in model.items() if name not in ("victim", "ensemble", "tile", "size")}


def _training_data_settings(cli: RunCLI) -> dict[str, Any]:
    """Return the data settings that change the learned perturbation."""
    data: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["data"]
    settings = {name: value for name, value in data["init_args"].items() if name not in UNRELATED_TO_LEARNING}
    return {"class_path": data["class_path"], **settings}


def _step_settings(cli: RunCLI) -> dict[str, Any]:
    """Return the batches per step and per epoch over all processes, and the precision."""
    trainer = cli.trainer
    processes, limit = trainer.num_devices * trainer.num_nodes, trainer.limit_train_batches
    batches: int | str = processes * trainer.accumulate_grad_batches
    if any(isinstance(callback, FullBatchGradient) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        batches = "all"
    return {
        "batches per step (processes x trainer.accumulate_grad_batches)": batches,
        "batches per epoch (processes x trainer.limit_train_batches)": str(  # 1 is one batch per process, 1.0 all
            limit * processes if isinstance(limit, int) else limit
        ),
        "precision": str(trainer.precision),
    }


def _arguments(parser: LightningArgumentParser) -> None:
    attack_arguments(parser)
    resume_argument(parser)


def main(args: ArgsType = None) -> RunCLI:
    """Learn a perturbation and return the command line with model, data and trainer."""
    results = Results()
    cli = RunCLI(
        UniversalAttack,
        [PerturbationCurves(), SuccessMetrics(), Pictures(), results, Dashboard()],
        program="python -m uap.fit",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        checkpoint_parameter="perturbation",
        add_arguments=_arguments,
        args=args,
    )
    if cli.datamodule.split == "train":
        raise InputError(
            "data.split is train, but uap fit reports the metrics of the training images anyway. Choose val or test.",
            setting="data.split",
            kind="not_supported",
        )
    cli.model.settings = attack_settings(cli) | {"data": _training_data_settings(cli)} | _step_settings(cli)
    if cli.resumed:  # before any file of the resumed run changes
        cli.model.on_load_checkpoint(cli.checkpoint)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    if not results.clock and results.are_in(cli.folder):
        print(
            f"{cli.folder} has already finished its {cli.trainer.max_epochs} epochs; --trainer.max_epochs is the total."
        )
    elif not results.clock:
        _finish(cli.trainer, cli.model)
    return cli


def _finish(trainer: Trainer, attack: UniversalAttack) -> None:
    """Write the results of a run that was interrupted after its last epoch and before they were written."""
    attack.to(trainer.strategy.root_device)  # a fit without an epoch has moved it to the CPU
    for callback in cast(list[Callback], trainer.callbacks):  # type: ignore[attr-defined]
        if isinstance(callback, Results | Pictures | Dashboard):
            callback.on_train_end(trainer, attack)


if __name__ == "__main__":
    run_command(main)
