"""python -m uap.train_victim: train a segmentation network to attack later."""

from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap import paths
from uap.callbacks.card import VictimCard
from uap.cli import RunCLI, door
from uap.training import VictimTraining


def _arguments(parser: LightningArgumentParser) -> None:
    parser.add_argument("--ckpt_path", type=str | None, default=None, help="Checkpoint to resume from.")


def main(args: ArgsType = None) -> RunCLI:
    """Train a network as configured."""
    cli = RunCLI(
        VictimTraining,
        [VictimCard()],
        program="python -m uap.train_victim",
        default_config=paths.shipped("configs/train_espnet_streetscenes.yaml"),
        monitor="val/miou",
        learnt="network",
        add_arguments=_arguments,
        args=args,
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    return cli


if __name__ == "__main__":
    door(main)
