"""python -m uap.train_victim [--config FILE ...] [--SETTING VALUE ...]: train a network to attack later.

Trains a segmentation network on the labels of a data set and leaves its best weights, their card, and the configuration
that attacks it. Without --config it trains ESPNet on scenes that the program draws.

The settings that are changed most, and what they are without a configuration:
  --config FILE                     settings of a run; later files go over earlier ones (configs/train_*.yaml)
  --data.root FOLDER                where the data set is (data/streetscenes)
  --data.batch_size N               images per step and process (4)
  --model.learning_rate RATE        of AdamW, falling to 0 over the run (0.002)
  --trainer.max_epochs N            passes over the training images (9)
  --trainer.devices N               processes or GPUs (1)
  --trainer.precision NAME          32-true, or bf16-mixed and 16-mixed on GPUs (null: 32-true)
  --trainer.logger false            no Weights & Biases (null: it logs, offline without a login)
  --trainer.default_root_dir FOLDER the run's folder (null: runs/TIME-NAME)
  --ckpt_path FILE                  resume a run (null)
  --quiet                           print results and what is wrong, no progress

--help-all lists every setting, and --print_config prints all of them with their values. README.md explains.
"""

from uap.cli.short_help import short_help

if __name__ == "__main__":
    short_help(__doc__)

from pytorch_lightning.cli import ArgsType

from uap.cli.entry import run_command
from uap.cli.lightning_cli import RunCLI, resume_argument
from uap.training.module import VictimTraining
from uap.universal.callbacks.card import VictimCard
from uap.utils import paths


def main(args: ArgsType = None) -> RunCLI:
    """Train a network as configured."""
    cli = RunCLI(
        VictimTraining,
        [VictimCard()],
        program="python -m uap.train_victim",
        default_config=paths.shipped("configs/train_espnet_streetscenes.yaml"),
        monitor="val/miou",
        learned="network",
        add_arguments=resume_argument,
        args=args,
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    return cli


if __name__ == "__main__":
    run_command(main)
