"""python -m uap.evaluate --perturbation FILE [--config FILE ...] [--SETTING VALUE ...]: score a learned perturbation.

The settings that are changed most, and what they are without a configuration:
  --perturbation FILE               perturbation.safetensors or a checkpoint of a run, or an array: .npy, .pt, .png
  --unit grey-levels|0-to-1         of an array
  --epsilon LEVELS                  of an array, in grey levels
  --config FILE                     settings, such as the run's config.yaml
  --data.root FOLDER                where the data set is (data/streetscenes)
  --data.split NAME                 the images that are scored: train, val or test (val)
  --data.eval_images N              score so many of them, evenly spread (null: all)
  --model.victim.weights FILE       weights of the network, .safetensors or .pth
  --trainer.default_root_dir FOLDER where the figures go (null: runs/TIME-NAME)
  --quiet                           print results and what is wrong, no progress

Example:
  python -m uap.evaluate --config RUN/config.yaml --perturbation RUN/perturbation.safetensors --data.split test

--help-all lists every setting, and --print_config prints all of them with their values. README.md explains.
"""

from uap.cli.short_help import short_help

if __name__ == "__main__":
    short_help(__doc__)

import hashlib
from pathlib import Path

from pytorch_lightning.cli import ArgsType, LightningArgumentParser

from uap.cli.entry import run_command
from uap.cli.lightning_cli import RunCLI
from uap.fit import DEFAULT_CONFIG, attack_arguments
from uap.objectives import StaticTarget
from uap.universal.callbacks.dashboard import Dashboard
from uap.universal.callbacks.pictures import Pictures
from uap.universal.callbacks.results import Results
from uap.universal.callbacks.success import SuccessMetrics
from uap.universal.module import SCORED, UniversalAttack
from uap.universal.perturbation import learned_size, load_scene
from uap.universal.perturbation_files import ARRAYS, CHECKPOINTS, Unit, read_perturbation
from uap.utils.errors import InputError
from uap.utils.text_tables import read_json


def _arguments(parser: LightningArgumentParser) -> None:
    attack_arguments(parser)
    parser.add_argument(
        "--perturbation",
        type=str,
        required=True,
        help="perturbation.safetensors or a checkpoint of a run, or an array.",
    )
    parser.add_argument("--unit", type=Unit | None, default=None, help="Of an array: grey-levels (0 to 255) or 0-to-1.")
    parser.add_argument("--epsilon", type=float | None, default=None, help="Of an array, in grey levels.")


def load_into(attack: UniversalAttack, path: Path, unit: Unit | None = None, epsilon: float | None = None) -> None:
    """Put a perturbation from a file, and the static target it was learned for, in the place of the attack's own.

    On another network the target is made anew: the scene in the file has the classes of the network it was learned on.
    Unit and epsilon are for arrays, as of `read_perturbation`.

    Raises:
        InputError: the file holds no perturbation, or one without a period that was learned for images of another size.
    """
    perturbation, metadata = read_perturbation(path, unit, epsilon)
    learned = learned_size(perturbation, metadata)
    if learned == perturbation.proto.shape[-2:] and learned != attack.size:
        raise InputError(
            f"{path} was learned for images of {learned[0]} x {learned[1]} without a period, the data's are "
            f"{attack.size[0]} x {attack.size[1]}. Set --data.size to {list(learned)}, or learn a periodic one "
            "with --model.tile."
        )
    attack.perturbation = perturbation
    own = attack.victim.fingerprint()
    has_scene = path.suffix.lower() not in CHECKPOINTS + ARRAYS and metadata.get("victim_fingerprint", own) == own
    scene = load_scene(path, learned) if has_scene else None
    if isinstance(attack.objective, StaticTarget) and scene is not None and tuple(scene.shape) == attack.size:
        attack.objective.scene = scene.numpy()  # other data need not have the frame that it was made from


def _check_scored(folder: Path, digest: str) -> None:
    """Check that a folder holds no figures of another perturbation.

    Raises:
        InputError: it does, or its figures cannot be read.
    """
    file = folder / "metrics.json"
    if file.exists() and read_json(file).get(SCORED) != digest:
        raise InputError(f"{folder} holds the figures of another perturbation. Set another --trainer.default_root_dir.")


def main(args: ArgsType = None) -> RunCLI:
    """Score a perturbation as configured; on one device, so that no image counts twice."""
    cli = RunCLI(
        UniversalAttack,
        [SuccessMetrics(), Pictures(), Results(), Dashboard()],
        program="python -m uap.evaluate",
        default_config=DEFAULT_CONFIG,
        monitor="score",
        learned="perturbation",
        add_arguments=_arguments,
        trainer_settings={"devices": 1, "num_nodes": 1, "strategy": "auto"},
        args=args,
    )
    load_into(cli.model, Path(cli.config.perturbation), cli.config.unit, cli.config.epsilon)
    cli.model.scored_file = hashlib.sha256(Path(cli.config.perturbation).read_bytes()).hexdigest()
    _check_scored(cli.folder, cli.model.scored_file)
    cli.trainer.validate(cli.model, datamodule=cli.datamodule, verbose=False)
    return cli


if __name__ == "__main__":
    run_command(main)
