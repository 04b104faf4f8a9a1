"""python -m uap.fit: learn a universal perturbation."""

from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap import paths
from uap.attack import UniversalAttack
from uap.callbacks.curves import PerturbationCurves
from uap.callbacks.dashboard import Dashboard
from uap.callbacks.pictures import Pictures
from uap.callbacks.results import Results
from uap.callbacks.success import SuccessMetrics
from uap.cli import RunCLI, door, resume_argument

DEFAULT_CONFIG = paths.shipped("configs/streetscenes_static.yaml")


def attack_arguments(parser: LightningArgumentParser) -> None:
    """Add what every door to the attack has: one size for data and perturbation."""
    parser.link_arguments("data.size", "model.size", apply_on="instantiate")


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
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    if not results.clock:
        print(
            f"{cli.folder} has finished its {cli.trainer.max_epochs} epochs already; --trainer.max_epochs is the total."
        )
    return cli


if __name__ == "__main__":
    door(main)
