"""python -m uap.train_victim [--config FILE ...] [--SETTING VALUE ...]: train a segmentation network as a victim.

Trains a network on the labels of a data set. Writes the best weights, a card with their metrics, and a configuration
that attacks the network. Without --config, it trains ESPNet on synthetic street scenes.

The most important settings, with their default values in parentheses:
  --config FILE                     settings; later files override earlier ones (configs/train_*.yaml)
  --data.root FOLDER                folder of the data set (data/streetscenes)
  --data.batch_size N               images per step and process (4)
  --model.learning_rate RATE        initial learning rate of AdamW, falling to 0 (0.002)
  --model.weights FILE              weights to start from; it may lack layers (null)
  --trainer.max_epochs N            passes over the training images (9)
  --trainer.devices N               processes or GPUs (1)
  --trainer.precision NAME          32-true, or bf16-mixed and 16-mixed on GPUs (null: 32-true)
  --trainer.logger false            switch Weights & Biases off (null: on, and offline without a login)
  --trainer.default_root_dir FOLDER run folder (null: runs/TIME-NAME)
  --ckpt_path FILE                  resume a run (null)
  --quiet                           print only results, warnings and errors

--help-all lists all settings. --print_config prints them with their values. docs/configuration.md explains them.
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
    """Train a network and return the command line with model, data and trainer."""
    cli = RunCLI(
        VictimTraining,
        [VictimCard()],
        program="python -m uap.train_victim",
        default_config=paths.shipped("configs/train_espnet_streetscenes.yaml"),
        monitor="val/miou",
        checkpoint_parameter="network",
        add_arguments=resume_argument,
        args=args,
    )
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=cli.resumed)
    return cli


if __name__ == "__main__":
    run_command(main)
