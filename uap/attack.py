"""python -m uap.attack [--config FILE ...] [--SETTING VALUE ...]: learn a perturbation for each image.

Attacks each image separately with the objective, loss, optimizer and epsilon of a configuration of uap.fit. The result
is an upper bound for universal perturbations. Periodic perturbations (model.tile) are not used. Writes 8-bit images to
RUN/adversarial/*.png, and the metrics and pictures of an evaluation. To resume an interrupted run, start it again with
the same --trainer.default_root_dir: finished images are not attacked again.

The most important settings, with their default values in parentheses:
  --config FILE                     settings, such as config.yaml of a run; add configs/full_batch.yaml as a
                                    second file for the recipe of the paper
  --steps N                         gradient steps for each image (60)
  --attack NAME                     FGSM, IterativeFGSM or DAG with its own steps instead (null: steps as in
                                    uap.fit); set the objective with --model.objective
  --images N                        number of images, evenly spread (null: all)
  --data.root FOLDER                folder of the data set (data/streetscenes)
  --data.split NAME                 split to attack: train, val or test (val)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --model.epsilon E                 largest change of a pixel value, in grey levels from 0 to 255 (10)
  --trainer.default_root_dir FOLDER run folder (null: runs/TIME-NAME)
  --quiet                           print only results, warnings and errors

Example:
  python -m uap.attack --config RUN/config.yaml --images 20 --trainer.default_root_dir FOLDER

--help-all lists all settings. --print_config prints them with their values. docs/configuration.md explains them.
"""

from uap.cli.short_help import short_help

if __name__ == "__main__":
    short_help(__doc__)

from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap.cli.entry import run_command
from uap.cli.lightning_cli import RunCLI
from uap.fit import DEFAULT_CONFIG, attack_arguments, attack_settings
from uap.universal.callbacks.batch_lines import BatchLines
from uap.universal.callbacks.dashboard import Dashboard
from uap.universal.callbacks.pictures import Pictures
from uap.universal.callbacks.results import Results
from uap.universal.callbacks.success import SuccessMetrics
from uap.universal.image_attack import ImageAttack


def _arguments(parser: LightningArgumentParser) -> None:
    attack_arguments(parser)
    parser.add_argument("--steps", type=int, default=60, help="Gradient steps for each image.")
    parser.add_argument(
        "--images",
        type=int | None,
        default=None,
        help="Number of images to attack, evenly spread; replaces data.eval_images.",
    )
    parser.add_argument(
        "--attack",
        type=str | None,
        default=None,
        help="Name of an attack whose algorithm replaces steps, loss and optimizer; the objective stays.",
    )
    for name in ("steps", "attack"):
        parser.link_arguments(name, f"model.{name}")


class AttackCLI(RunCLI):
    """The command line of `uap.attack`."""

    def before_instantiate_classes(self) -> None:
        """Let `--images` replace `data.eval_images`."""
        if self.config.images is not None:
            self.config.data.init_args.eval_images = self.config.images
        super().before_instantiate_classes()


def main(args: ArgsType = None) -> RunCLI:
    """Attack the images and return the command line. One device is used, so that no image is scored twice."""
    cli = AttackCLI(
        ImageAttack,
        [BatchLines(), SuccessMetrics(), Pictures(), Results(), Dashboard()],
        program="python -m uap.attack",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        checkpoint_parameter="perturbation",
        add_arguments=_arguments,
        # the inference mode of torch records no gradients
        trainer_settings={"devices": 1, "num_nodes": 1, "strategy": "auto", "inference_mode": False},
        checks_folder=False,  # its images store their settings, and more images may be added to the same folder
        args=args,
    )
    settings = attack_settings(cli)
    for name in ("random_shift", "random_scale", "random_crop"):
        settings.pop(name, None)  # not used for single images
    cli.model.settings = settings
    cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    return cli


if __name__ == "__main__":
    run_command(main)
