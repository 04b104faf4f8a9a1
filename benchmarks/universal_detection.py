"""python -m benchmarks.universal_detection [--scored N]: detectors against universal perturbations.

Each perturbation is learned on 16 synthetic scenes of 128 x 256 with 5 passes and epsilon 10: three objectives, on the
network, on random patches too, and on the blur too, as large as the image or as a tile, and a tile on random crops
alone. Success and the AUC of the detectors, in per cent, with the 95 % interval over images in brackets, are those of
other scenes, rounded to 8 bits.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch

import uap
from uap.cli.arguments import positive
from uap.datasets.synthetic import render_scene
from uap.detectors import Detector, KnownPattern, named_detectors
from uap.metrics import roc
from uap.objectives import HideClasses, Objective, StaticTarget, Untargeted
from uap.victims import AlsoBlurred, Patched, Victim
from uap.victims.building import build_victim, find_victim

TRAINING, SIZE = 16, (128, 256)
CROP, TILE = (64, 64), (32, 32)
DETECTORS = ("SpatialConsistency:10", "ScaleConsistency:3", "Uncertainty:entropy", "TilePeriod:8")


@dataclass(frozen=True)
class Learned:
    """A perturbation: the network that it is learned on, its objective, its tile, and the crops that a step sees."""

    victim: Victim
    objective: Objective
    tile: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None


def perturbations(victim: Victim, image: torch.Tensor) -> dict[str, Learned]:
    """Return the perturbations by name."""
    objectives = {
        "untargeted": Untargeted(),
        "static": StaticTarget.of_image(victim, image),
        "person and car hidden": HideClasses(["person", "car"]),
    }
    networks = {"": victim, ", on patches": Patched(victim, 3), ", on the blur": AlsoBlurred(victim, 3.0)}
    tiles = {"": None, ", tile 32 x 32": TILE}
    whole = {
        f"{name}{way}{shape}": Learned(network, objective, tile)
        for name, objective in objectives.items()
        for way, network in networks.items()
        for shape, tile in tiles.items()
    }
    crops = {
        f"{name}, on crops, tile 32 x 32": Learned(victim, objective, TILE, CROP)
        for name, objective in objectives.items()
    }
    return whole | crops


def with_interval(benign: torch.Tensor, attacked: torch.Tensor) -> str:
    """Return the AUC in per cent with its interval, as text."""
    low, high = roc.auc_interval(benign, attacked)
    return f"{100 * roc.auc(benign, attacked):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    """Learn the perturbations, and print a row for each."""
    parser = argparse.ArgumentParser("python -m benchmarks.universal_detection", allow_abbrev=False)
    parser.add_argument("--scored", type=positive, default=24, help="number of scored scenes (default: %(default)s)")
    count = TRAINING + parser.parse_args().scored
    victim = build_victim(find_victim("espnet_streetscenes"))
    scenes = [render_scene(seed=0, index=i, size=SIZE)[0] for i in range(count)]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float()
    train, test = images[:TRAINING], images[TRAINING:]
    detectors: dict[str, Detector] = {}
    for name in DETECTORS:
        detectors |= named_detectors(name)
    benign = {title: detector(victim, test) for title, detector in detectors.items()}
    for name, one in perturbations(victim, train[0]).items():
        objective = one.objective
        delta = uap.learn(
            one.victim, train, objective, epsilon=10, tile=one.tile, passes=5, random_crop=one.crop, progress=False
        )
        attacked = delta.eight_bit(test).float()
        found = uap.evaluation.evaluate(victim, test, delta, objective, progress=False).metrics["8-bit"]
        key = next(key for key in ("success_rate", "hidden", "kept") if key in found)
        known = KnownPattern(delta.proto.detach())
        scores = {title: (benign[title], detector(victim, attacked)) for title, detector in detectors.items()}
        scores["KnownPattern"] = (known(victim, test), known(victim, attacked))
        cells = ", ".join(f"{title} {with_interval(*pair)}" for title, pair in scores.items())
        print(f"{name}: {key} {100 * found[key]:.1f}; {cells}", flush=True)


if __name__ == "__main__":
    main()
