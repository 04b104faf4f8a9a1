"""python -m uap.fit [--config FILE ...] [--SETTING VALUE ...]: learn a universal perturbation.

Learns one perturbation that, added to any image, makes a frozen segmentation network draw a chosen scene, or the true
scene without some classes. Without --config it attacks the network that ships, on scenes that the program draws.

The settings that are changed most, and what they are without a configuration:
  --config FILE                     settings of a run; later files go over earlier ones, and settings over all of them
  --data.root FOLDER                where the data set is (data/streetscenes)
  --data.size [H,W]                 height and width that images are resized to ([256,512])
  --data.limit N                    learn from so many of the training images (null: all)
  --data.eval_images N              score so many of the validation images, evenly spread (null: all)
  --data.batch_size N               images per step and process (4)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --model.objective.image FILE         a static target: what the network draws on this picture
  --model.epsilon E                 the largest change of a grey level, 0 to 255 (10)
  --model.tile [H,W]                a periodic perturbation (null: as large as the image)
  --model.optimizer.lr STEP         the step size in grey levels (2)
  --trainer.max_epochs N            passes over the training images (4)
  --trainer.devices N               processes or GPUs (1)
  --trainer.accelerator NAME        cpu, cuda or mps (auto: the fastest there is)
  --trainer.precision NAME          32-true, or bf16-mixed and 16-mixed on GPUs (null: 32-true)
  --trainer.logger false            no Weights & Biases (null: it logs, offline without a login)
  --trainer.default_root_dir FOLDER the run's folder (null: runs/TIME-NAME)
  --ckpt_path FILE                  resume a run (null)
  --quiet                           print results and what is wrong, no progress

Examples:
  python -m uap.fit
  python -m uap.fit --config configs/camvid_static.yaml --data.root CAMVID --model.victim.weights FILE
  python -m uap.fit --config RUN/config.yaml --ckpt_path RUN/checkpoints/last.ckpt

--help-all lists every setting, --data.help CamVid or --model.loss.help CrossEntropy those of one class, and
--print_config prints all of them with their values. README.md explains.
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

DEFAULT_CONFIG = paths.shipped("configs/streetscenes_static.yaml")


def attack_arguments(parser: LightningArgumentParser) -> None:
    """Add what every command to the attack has: one size for data and perturbation."""
    parser.link_arguments("data.size", "model.size", apply_on="instantiate")


PLACE = ("root", "split", "scored_scenes", "eval_images", "size", *SPEED)
"""Settings of the data that change no step, or that the attack knows."""


def attack_settings(cli: RunCLI) -> dict[str, Any]:
    """Return what a configuration says of the attack, without what the attack itself knows better."""
    model: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["model"]
    return {name: value for name, value in model.items() if name not in ("victim", "ensemble", "tile", "size")}


def _learned_from(cli: RunCLI) -> dict[str, Any]:
    """Return what a configuration says of the images that are learned from."""
    data: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["data"]
    settings = {name: value for name, value in data["init_args"].items() if name not in PLACE}
    return {"class_path": data["class_path"], **settings}


def _steps_from(cli: RunCLI) -> dict[str, Any]:
    """Return what the trainer's settings make of a step and of an epoch, by however many processes."""
    trainer = cli.trainer
    processes, limit = trainer.num_devices * trainer.num_nodes, trainer.limit_train_batches
    batches: int | str = processes * trainer.accumulate_grad_batches
    if any(isinstance(callback, FullBatchGradient) for callback in trainer.callbacks):  # type: ignore[attr-defined]
        batches = "all"
    return {
        "batches per step (processes x trainer.accumulate_grad_batches)": batches,
        "batches per epoch (processes x trainer.limit_train_batches)": str(  # 1 is one of each process, 1.0 are all
            limit * processes if isinstance(limit, int) else limit
        ),
        "precision": str(trainer.precision),
    }


def _arguments(parser: LightningArgumentParser) -> None:
    attack_arguments(parser)
    resume_argument(parser)


def main(args: ArgsType = None) -> RunCLI:
    """Learn a perturbation as configured; returns the command line with model, data and trainer."""
    results = Results()
    cli = RunCLI(
        UniversalAttack,
        [PerturbationCurves(), SuccessMetrics(), Pictures(), results, Dashboard()],
        program="python -m uap.fit",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        learned="perturbation",
        add_arguments=_arguments,
        args=args,
    )
    cli.model.settings = attack_settings(cli) | {"data": _learned_from(cli)} | _steps_from(cli)
    if cli.resumed:  # before anything of the run that is to be resumed is touched
        cli.model.on_load_checkpoint(cli.checkpoint)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    if not results.clock and results.are_in(cli.folder):
        print(
            f"{cli.folder} has finished its {cli.trainer.max_epochs} epochs already; --trainer.max_epochs is the total."
        )
    elif not results.clock:
        _finish(cli.trainer, cli.model)
    return cli


def _finish(trainer: Trainer, attack: UniversalAttack) -> None:
    """Write what a run lacks that was cut off after its last epoch and before its figures."""
    attack.to(trainer.strategy.root_device)  # from which a fit without an epoch has taken it
    for callback in cast(list[Callback], trainer.callbacks):  # type: ignore[attr-defined]
        if isinstance(callback, Results | Pictures | Dashboard):
            callback.on_train_end(trainer, attack)


if __name__ == "__main__":
    run_command(main)
