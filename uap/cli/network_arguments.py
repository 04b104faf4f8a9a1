"""The networks, attacks and images of the commands that attack images on several networks."""

import argparse
import math
from collections.abc import Sequence

from uap.attacks import NamedAttack, listed, named_attack
from uap.cli.data_arguments import data_from_words
from uap.data import SegmentationData
from uap.evaluation.detection_networks import build_detection, find_detection
from uap.evaluation.experiment import device_trainer
from uap.utils.errors import InputError, in_message_of
from uap.utils.run_folder import unique_names
from uap.victims import Victim
from uap.victims.building import build_victim, build_wrapper, find_victim, find_wrapper
from uap.victims.detection import DetectionVictim


def grey_levels(text: str) -> float:
    """Return an epsilon of the command line.

    Raises:
        ArgumentTypeError: it is not above 0 and up to 255.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 255:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 255 grey levels")
    return value


def names_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of the names of segmentation networks, `networks`."""
    parser.add_argument(
        "networks", metavar="NETWORK", nargs="+",
        help="a configuration of configs/victim/ by name, or any YAML file with model.victim",
    )  # fmt: skip


def network_arguments(parser: argparse.ArgumentParser, *, epsilons: tuple[float, ...]) -> None:
    """Add the arguments `--weights`, `--wrappers`, `--attacks`, `--epsilons` and `--data`.

    Args:
        parser: the parser.
        epsilons: the default of `--epsilons`.
    """
    parser.add_argument(
        "--weights", metavar="FILE", nargs="+",
        help="a weight file for each network, in the same order; - for that of the configuration (default: those of "
        "the configurations)",
    )  # fmt: skip
    parser.add_argument(
        "--wrappers", metavar="NAME", nargs="+", default=[],
        help="defenses, scales or a dense CRF around each network, compared with the network itself: names of "
        "configs/wrapper/, such as jpeg_75 and multiscale, or YAML files",
    )  # fmt: skip
    parser.add_argument("--attacks", metavar="NAME", nargs="+", help=f"of {listed()}")
    parser.add_argument(
        "--epsilons", metavar="E", nargs="+", type=grey_levels,
        help=f"in grey levels (default: {' '.join(f'{epsilon:g}' for epsilon in epsilons)}; for Houdini 32)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="CLASS",
        help="a labeled data set, such as CamVid; its settings as --data.root FOLDER, --data.split NAME, "
        "--data.size [H,W], --data.batch_size N",
    )  # fmt: skip


def attacks_of(given: argparse.Namespace, default: Sequence[str] = ()) -> list[NamedAttack]:
    """Return the attacks of `--attacks`, each once.

    Args:
        given: the arguments, with `attacks` and `epsilons`.
        default: their names without `--attacks`.

    Raises:
        InputError: there is no such attack, or `--epsilons` is given and no attack has an epsilon.
    """
    attacks = [named_attack(name) for name in dict.fromkeys(given.attacks or default)]
    if attacks and given.epsilons and not any(attack.has_epsilon for attack in attacks):
        raise InputError(
            f"--epsilons was given, but no attack of {', '.join(attack.name for attack in attacks)} has one. Leave "
            "--epsilons out, or add an attack that has one, such as FGSM.",
            setting="epsilons",
            kind="conflict",
        )
    return attacks


def refuse_unused(given: argparse.Namespace, settings: list[str], names: Sequence[str], reason: str) -> None:
    """Refuse options that a command would not use.

    Args:
        given: the arguments.
        settings: the words `--data.SETTING` of the command line, if the command uses none of them.
        names: the options that it does not use, without dashes.
        reason: a sentence on what the command uses instead, and what to do.

    Raises:
        InputError: one of them is given.
    """
    unused = [f"--{name}" for name in names if getattr(given, name)] + settings[:1]
    if unused:
        name = unused[0].split("=")[0]
        raise InputError(f"{name} has no use here. {reason}", setting=name.removeprefix("--"), kind="conflict")


def scored_data(given: argparse.Namespace, settings: list[str], program: str) -> SegmentationData:
    """Return the images of a command line, set up.

    Args:
        given: the arguments, with `data` and `images`.
        settings: the words `--data.SETTING` with their values.
        program: the command, for its messages.

    Raises:
        InputError: there is no `--data`, or the data cannot be built or read.
    """
    if not given.data:
        raise InputError(
            "There are no images. Add --data CLASS, such as --data CamVid --data.root data/camvid, or --data "
            "StreetScenes for synthetic scenes.",
            setting="data",
            kind="missing_setting",
        )
    data = data_from_words(given.data, settings, given.images, program)
    data.prepare_data()
    data.setup("validate")
    return data


def build_victims(names: list[str], weights: list[str] | None, data: SegmentationData) -> dict[str, Victim]:
    """Return the networks by name, on the device and tried at the size of the data.

    Raises:
        InputError: one cannot be built, does not take the size, or there are more or fewer weight files than networks.
    """
    given = _weights(names, weights)
    files = [find_victim(name) for name in names]
    device = device_trainer().strategy.root_device
    victims = {}
    for title, file, of_file in zip(unique_names(files), files, given, strict=True):
        victims[title] = build_victim(file, of_file).to(device)
        _check(title, victims[title], data)
    return victims


def build_any(
    names: list[str], weights: list[str] | None, data: SegmentationData
) -> dict[str, Victim | DetectionVictim]:
    """Return segmentation and detection networks by name; the arguments and errors are those of `build_victims`."""
    found: dict[str, Victim | DetectionVictim] = {}
    for name, file in zip(names, _weights(names, weights), strict=True):
        if (path := find_detection(name)) is not None:
            found[path.stem] = build_detection(name, file)
        else:
            found |= build_victims([name], [file or "-"], data)
    return found


def _weights(names: list[str], weights: list[str] | None) -> list[str | None]:
    """Return the weight file of each network; None for that of its configuration.

    Raises:
        InputError: the number of files is not that of the networks.
    """
    if weights is None:
        return [None] * len(names)
    if len(weights) != len(names):
        raise InputError(
            f"--weights has {len(weights)} files, expected {len(names)}, one for each network in the same order.",
            setting="weights",
            kind="conflict",
        )
    return [None if file == "-" else file for file in weights]


def wrap(victims: dict[str, Victim], wrappers: list[str], data: SegmentationData) -> dict[str, dict[str, Victim]]:
    """Return each network's wrapped victims, by the names of the network and of the wrapped victim.

    Raises:
        InputError: a wrapper cannot be built, or does not take the size.
    """
    files = [find_wrapper(name) for name in wrappers]
    builders = dict(zip(unique_names(files), map(build_wrapper, files), strict=True))
    wrapped: dict[str, dict[str, Victim]] = {
        name: {f"{name}, {wrapper}": build(victim).to(victim.mean.device) for wrapper, build in builders.items()}
        for name, victim in victims.items()
    }
    for of_network in wrapped.values():
        for title, victim in of_network.items():
            _check(title, victim, data)
    return wrapped


def warn_of_classes(victims: dict[str, Victim]) -> None:
    """Print a warning if networks have different classes, so that their IoU is over different classes."""
    tables = {
        frozenset(name for name in victim.table.names if not name.startswith("void")) for victim in victims.values()
    }
    if len(tables) > 1:
        counts = ", ".join(f"{name} has {len(victim.table)}" for name, victim in victims.items())
        print(
            f"warning: the networks have different classes ({counts}), and the IoU of each is over its own classes "
            "that the labels have. Compare their IoU ratios with care.",
            flush=True,
        )


def _check(title: str, victim: Victim, data: SegmentationData) -> None:
    with in_message_of(title):
        victim.check(data.size)
