"""The command line of `uap transfer`, whose rows are of three kinds with options of their own."""

import argparse
from pathlib import Path

from uap.cli.arguments import positive, sample_arguments
from uap.cli.network_arguments import network_arguments, refuse_unused

PROGRAM = "uap transfer"

EPSILONS = (8.0,)
"""The default of `--epsilons`: that of Arnab et al., table 1."""

OF_ATTACKS = ("wrappers", "epsilons", "joint", "steps", "control")
"""Options that `--attacks` alone has a use for."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Evaluates attacks on networks and images that they were not made on. The rows are perturbations "
        "of uap fit, with random signs of the same epsilon as the control; with --attacks, the rows are attacks on "
        "each image, made on one network and evaluated on all. Writes transfer.md, transfer.csv and transfer.json. "
        "Targets are translated to the classes of another network by their names. A perturbation that is not periodic "
        "is evaluated on images of the size that it was learned for. Cells that were scored before are not scored "
        "again.",
        epilog=f"examples: {PROGRAM} runs/espnet runs/cgnet --evaluate-on runs/espnet runs/cgnet other.yaml; {PROGRAM} "
        "espnet_streetscenes --wrappers scale_50 multiscale --evaluate-on fcn8s_streetscenes --attacks FGSM "
        "IterativeFGSMII --epsilons 8 --data StreetScenes --images 16",
        allow_abbrev=False,
    )
    parser.add_argument(
        "rows", metavar="RUN_OR_NETWORK", nargs="+",
        help="a row of the matrices: the folder of a run of uap fit; with --attacks a configuration of configs/victim/ "
        "by name, or any YAML file with model.victim",
    )  # fmt: skip
    parser.add_argument(
        "--evaluate-on", "--onto", metavar="RUN_OR_NETWORK", nargs="+",
        help="the columns: run folders or networks. A network without data uses the images of the runs (default: the "
        "networks and data of the rows). With --attacks, networks besides those of the rows",
    )  # fmt: skip
    network_arguments(parser, epsilons=EPSILONS)
    parser.add_argument(
        "--sums", metavar="A+B", nargs="*",
        help="evaluate the perturbations of DAG on segmentation and detection networks, and sums of those of several "
        "rows, such as espnet_streetscenes+fcn8s_streetscenes, each with the control of permuted pixels (default "
        "without a value: the sum of all rows)",
    )  # fmt: skip
    parser.add_argument(
        "--joint", metavar="A+B", nargs="+", default=[],
        help="with --attacks, make them also on several rows together, such as espnet_camvid+cgnet_camvid, "
        "with one target for all (Kang et al., IEEE Access 2020)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", metavar="S", nargs="+", type=positive,
        help="with --attacks, the numbers of steps of each attack, such as 1 10 50 (default: that of the attack)",
    )  # fmt: skip
    parser.add_argument(
        "--control", action="store_true",
        help="with --attacks, score random signs too, whose root mean square on each image is that of the attack's "
        "change; their rows end with `, noise`",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("transfer"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


def check_used(given: argparse.Namespace, settings: list[str]) -> None:
    """Check that the kind of the rows has a use for each option.

    Args:
        given: the arguments.
        settings: the words `--data.SETTING` with their values.

    Raises:
        InputError: it has none for an option.
    """
    if given.sums is not None:
        reason = (
            "--sums runs DAG in the paper's form on each row, and adds the perturbations. Leave the option out, or "
            "leave --sums out to run --attacks."
        )
        refuse_unused(given, [], ("attacks", *OF_ATTACKS), reason)
    elif not given.attacks:
        reason = (
            "It belongs to attacks on images. Name them with --attacks, such as --attacks FGSM, or leave it out: saved "
            "perturbations use the networks and data of their runs."
        )
        refuse_unused(given, settings, ("weights", "data", *OF_ATTACKS), reason)
