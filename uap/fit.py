"""python -m uap.fit: learn a universal perturbation."""

from pathlib import Path
from typing import Any, cast

import yaml
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap import paths
from uap.attack import UniversalAttack
from uap.callbacks.curves import PerturbationCurves
from uap.callbacks.dashboard import Dashboard
from uap.callbacks.pictures import Pictures
from uap.callbacks.results import Results
from uap.callbacks.success import SuccessMetrics
from uap.cli import RunCLI, door, resume_argument
from uap.safe_load import safe_load

DEFAULT_CONFIG = paths.shipped("configs/streetscenes_static.yaml")


def attack_arguments(parser: LightningArgumentParser) -> None:
    """Add what every door to the attack has: one size for data and perturbation."""
    parser.link_arguments("data.size", "model.size", apply_on="instantiate")


PLACE = ("root", "num_workers", "cache_gib", "split", "scored_scenes", "size")
"""Settings of the data that change no step, or that the attack knows."""


def attack_settings(cli: RunCLI) -> dict[str, Any]:
    """Return what a configuration says of the attack, without what the attack itself knows better."""
    model: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["model"]
    return {name: value for name, value in model.items() if name not in ("victim", "partners", "tile", "size")}


def _learnt_from(cli: RunCLI) -> dict[str, Any]:
    """Return what a configuration says of the images that are learnt from."""
    data: dict[str, Any] = yaml.safe_load(cli.parser.dump(cli.config))["data"]
    settings = {name: value for name, value in data["init_args"].items() if name not in PLACE}
    return {"class_path": data["class_path"], **settings}


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
        learnt="perturbation",
        add_arguments=_arguments,
        args=args,
    )
    cli.model.settings = attack_settings(cli) | {"data": _learnt_from(cli)}
    if cli.resumed:  # before anything of the run that is to be resumed is touched
        cli.model.on_load_checkpoint(safe_load(Path(cli.resumed)))
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
    door(main)
