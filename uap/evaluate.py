"""python -m uap.evaluate --perturbation FILE [--config FILE ...] [--SETTING VALUE ...]: score a learned perturbation.

The most important settings, with their default values in parentheses:
  --perturbation FILE               perturbation.safetensors or checkpoint of a run, an array: .npy, .pt, .png, or the
                                    name of a shipped pattern: street128 or streetscenes128
  --unit grey-levels|0-to-1         unit of an array
  --epsilon LEVELS                  largest absolute value of an array, in grey levels
  --config FILE                     settings, such as config.yaml of the run
  --data.root FOLDER                folder of the data set (data/streetscenes)
  --data.split NAME                 split to score: train, val or test (val)
  --data.eval_images N              number of images, evenly spread (null: all)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --trainer.default_root_dir FOLDER folder for the metrics (null: runs/TIME-NAME)
  --quiet                           print only results, warnings and errors

Examples:
  python -m uap.evaluate --config RUN/config.yaml --perturbation RUN/perturbation.safetensors --data.split test
  python -m uap.evaluate --config my_network.yaml --perturbation streetscenes128

--help-all lists all settings. --print_config prints them with their values. docs/configuration.md explains them.
"""

from uap.cli.short_help import short_help

if __name__ == "__main__":
    short_help(__doc__)

import argparse
import hashlib
import sys
from pathlib import Path

from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap.cli.entry import run_command
from uap.cli.lightning_cli import RunCLI
from uap.configuration.config_files import config_files_first
from uap.fit import DEFAULT_CONFIG, attack_arguments
from uap.objectives import StaticTarget
from uap.universal.callbacks.dashboard import Dashboard
from uap.universal.callbacks.pictures import Pictures
from uap.universal.callbacks.results import Results
from uap.universal.callbacks.success import SuccessMetrics
from uap.universal.module import SCORED, UniversalAttack
from uap.universal.perturbation_files import PATTERNS, find_perturbation, learned_size, load_scene
from uap.universal.perturbation_formats import ARRAYS, CHECKPOINTS, Unit, read_perturbation
from uap.utils import paths
from uap.utils.errors import InputError
from uap.utils.text_tables import read_json

UNTARGETED = paths.shipped("configs/experiment/untargeted.yaml")
"""The experiment that the patterns that ship are scored with, unless the configuration has other settings."""


def _arguments(parser: LightningArgumentParser) -> None:
    attack_arguments(parser)
    parser.add_argument(
        "--perturbation",
        type=str,
        required=True,
        help="perturbation.safetensors or checkpoint of a run, an array, or the name of a shipped pattern.",
    )
    parser.add_argument(
        "--unit", type=Unit | None, default=None, help="Unit of an array: grey-levels (0 to 255) or 0-to-1."
    )
    parser.add_argument(
        "--epsilon", type=float | None, default=None, help="Largest absolute value of an array, in grey levels."
    )


def load_into(attack: UniversalAttack, path: Path, unit: Unit | None = None, epsilon: float | None = None) -> None:
    """Replace the perturbation and the static target of an attack by those of a file.

    The static target of the file is used only for the network on which the perturbation was learned. For another
    network, the attack makes its own target, because the classes differ.

    Args:
        attack: the attack to change.
        path: the file.
        unit: unit of an array, as in `read_perturbation`.
        epsilon: largest absolute value of an array in grey levels, as in `read_perturbation`.

    Raises:
        InputError: the file contains no perturbation, or a perturbation that is not periodic and was learned for images
            of another size.
    """
    perturbation, metadata = read_perturbation(path, unit, epsilon)
    learned = learned_size(perturbation, metadata)
    if learned == perturbation.proto.shape[-2:] and learned != attack.size:
        raise InputError(
            f"{path} was learned for images of {learned[0]} x {learned[1]} without a period, but the images of the "
            f"data have {attack.size[0]} x {attack.size[1]}. Set --data.size to {list(learned)}, or learn a periodic "
            "perturbation with --model.tile.",
            setting="data.size",
            kind="wrong_shape",
        )
    attack.perturbation, attack.epsilon = perturbation, perturbation.epsilon
    own = attack.victim.fingerprint()
    has_scene = path.suffix.lower() not in CHECKPOINTS + ARRAYS and metadata.get("victim_fingerprint", own) == own
    scene = load_scene(path, learned) if has_scene else None
    if isinstance(attack.objective, StaticTarget) and scene is not None and tuple(scene.shape) == attack.size:
        attack.objective.scene = scene.numpy()  # other data may lack the image from which the target was made


def _check_scored(folder: Path, digest: str) -> None:
    """Check that a folder contains no metrics of another perturbation.

    Raises:
        InputError: it contains such metrics, or its metrics cannot be read.
    """
    file = folder / "metrics.json"
    if file.exists() and read_json(file).get(SCORED) != digest:
        raise InputError(
            f"{folder} contains metrics of another perturbation. Set another --trainer.default_root_dir.",
            setting="trainer.default_root_dir",
            kind="conflict",
        )


def _with_defaults(args: ArgsType) -> ArgsType:
    """Return arguments that start from an untargeted experiment on synthetic scenes, for a pattern that ships.

    So a configuration with a network alone suffices; what it and further arguments set overrides the experiment.
    """
    given = config_files_first(sys.argv[1:]) if args is None else args
    if not isinstance(given, list):
        return given
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--perturbation", nargs="?", default="", const="")  # the command reports a missing value
    name = parser.parse_known_args(given)[0].perturbation
    path = find_perturbation(name)
    prints = any(word.startswith("--print_config") for word in given)
    if name and not (prints or path.suffix or path.parent != Path() or path.exists()):  # before an objective is missing
        raise InputError(
            f"There is no perturbation {name}. The patterns that ship are {', '.join(PATTERNS)}; a finished run writes "
            "perturbation.safetensors in its folder.",
            setting="perturbation",
            kind="missing_file",
        )
    is_shipped = path.parent == paths.shipped("checkpoints")
    return [f"--config={UNTARGETED}", *given] if is_shipped else given


def main(args: ArgsType = None) -> RunCLI:
    """Score a perturbation and return the command line. One device is used, so that no image is scored twice."""
    cli = RunCLI(
        UniversalAttack,
        [SuccessMetrics(), Pictures(), Results(), Dashboard()],
        program="python -m uap.evaluate",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        checkpoint_parameter="perturbation",
        add_arguments=_arguments,
        trainer_settings={"devices": 1, "num_nodes": 1, "strategy": "auto"},
        args=_with_defaults(args),
    )
    path = find_perturbation(cli.config.perturbation)
    load_into(cli.model, path, cli.config.unit, cli.config.epsilon)
    cli.model.scored_file = hashlib.sha256(path.read_bytes()).hexdigest()
    _check_scored(cli.folder, cli.model.scored_file)
    cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    return cli


if __name__ == "__main__":
    run_command(main)
