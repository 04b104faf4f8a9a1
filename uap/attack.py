"""python -m uap.attack [--config FILE ...] [--SETTING VALUE ...]: a perturbation for each image by itself.

Attacks each of the scored images with the target, the loss, the optimizer and the epsilon of a configuration of
uap.fit: the ceiling of what a universal perturbation can reach. A tile is not used. Writes RUN/adversarial/*.png, 8-bit
images of the data's size, and the figures and pictures of an evaluation. A run that was stopped goes on when it is
started again with the same --trainer.default_root_dir: images that are there are not attacked again.

The settings that are changed most, and what they are without a configuration:
  --config FILE                     settings, such as a run's config.yaml; configs/full_batch.yaml as a second one is
                                    the paper's recipe
  --steps N                         gradient steps for each image (60)
  --images N                        attack so many of the scored images, evenly spread (null: all)
  --data.root FOLDER                where the data set is (data/streetscenes)
  --data.split NAME                 the images that are attacked: train, val or test (val)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --model.epsilon E                 the largest change of a grey level, 0 to 255 (10)
  --trainer.default_root_dir FOLDER the run's folder (null: runs/TIME-NAME)
  --quiet                           print results and what is wrong, no progress

Example:
  python -m uap.attack --config RUN/config.yaml --images 20 --trainer.default_root_dir CEILING

--help-all lists every setting, and --print_config prints all of them with their values. README.md explains.
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
        help="Attack so many of the scored images, evenly spread, in the place of data.eval_images.",
    )
    for name in ("steps", "images"):
        parser.link_arguments(name, f"model.{name}")


def main(args: ArgsType = None) -> RunCLI:
    """Attack the scored images as configured; on one device, so that no image counts twice."""
    cli = RunCLI(
        ImageAttack,
        [BatchLines(), SuccessMetrics(), Pictures(), Results(), Dashboard()],
        program="python -m uap.attack",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        learned="perturbation",
        add_arguments=_arguments,
        # torch's inference mode would have no gradients
        trainer_settings={"devices": 1, "num_nodes": 1, "strategy": "auto", "inference_mode": False},
        checks_folder=False,  # its images say what they are of, and more may be attacked in the same folder
        args=args,
    )
    settings = attack_settings(cli)
    cli.model.settings = {name: settings[name] for name in settings if name != "random_shift"}  # it has no part in this
    cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    return cli


if __name__ == "__main__":
    run_command(main)
