"""python -m uap.train_victim: train a segmentation network to attack later."""

from pytorch_lightning.cli import ArgsType

from uap import paths
from uap.callbacks.card import VictimCard
from uap.cli import RunCLI, door, resume_argument
from uap.training import VictimTraining


def main(args: ArgsType = None) -> RunCLI:
    """Train a network as configured."""
    cli = RunCLI(
        VictimTraining,
        [VictimCard()],
        program="python -m uap.train_victim",
        default_config=paths.shipped("configs/train_espnet_streetscenes.yaml"),
        monitor="val/miou",
        learnt="network",
        add_arguments=resume_argument,
        args=args,
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    return cli


if __name__ == "__main__":
    door(main)
