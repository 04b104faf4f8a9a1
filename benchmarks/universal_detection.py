"""python -m benchmarks.universal_detection [--camvid FOLDER --weights FILE]: detectors of universal perturbations.

Each perturbation is learned on 16 synthetic scenes of 128 x 256, or photographs of CamVid of 360 x 480, with 5 passes
and epsilon 10: three objectives, on the network, on random patches too, and on the blur too, as large as the image or
as a tile, and a tile on random crops alone. Blurred tiles have no fine detail, which the detector of a period looks at:
they are learned with smoothed gradients and blurred afterwards, and one of them is blurred noise. Success and the AUC
of the detectors, in per cent, with the 95 % interval over images in brackets, are those of other images, rounded to 8
bits.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

import uap
from uap.cli.arguments import positive
from uap.datasets import CamVid
from uap.datasets.synthetic import render_scene
from uap.detectors import Detector, KnownPattern, named_detectors
from uap.metrics import roc
from uap.objectives import HideClasses, Objective, StaticTarget, Untargeted
from uap.universal.optim import smoothed
from uap.universal.perturbation import Perturbation
from uap.victims import AlsoBlurred, Patched, Victim
from uap.victims.building import build_victim, find_victim

TRAINING, EPSILON, BLUR = 16, 10, 2.0
DETECTORS = ("SpatialConsistency:10", "ScaleConsistency:3", "Uncertainty:entropy", "TilePeriod:8")


@dataclass(frozen=True)
class Setup:
    """The network, the images that perturbations are learned on and scored on, and the sides of tiles and crops."""

    victim: Victim
    train: Tensor
    test: Tensor
    tile: tuple[int, int]
    crop: tuple[int, int]


@dataclass(frozen=True)
class Learned:
    """A perturbation: the network that it is learned on, its objective, its tile, and the crops that a step sees."""

    victim: Victim
    objective: Objective
    tile: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    blur: float = 0.0
    """Standard deviation, in pixels, of the blur of its gradients and of the result."""
    passes: int = 5
    """0 for noise."""


def synthetic(scored: int) -> Setup:
    """Return synthetic scenes and the ESPNet that ships."""
    scenes = [render_scene(seed=0, index=i, size=(128, 256))[0] for i in range(TRAINING + scored)]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float()
    victim = build_victim(find_victim("espnet_streetscenes"))
    return Setup(victim, images[:TRAINING], images[TRAINING:], (32, 32), (64, 64))


def photographs(root: Path, weights: str, scored: int) -> Setup:
    """Return images of CamVid, evenly spread over the splits, and the published ESPNet."""

    def spread(split: Literal["train", "val"], count: int) -> Tensor:
        data = CamVid(str(root), split=split, size=(360, 480))
        return torch.stack([data[i * len(data) // count]["image"] for i in range(count)]).float()

    victim = build_victim(find_victim("espnet_camvid"), weights)
    return Setup(victim, spread("train", TRAINING), spread("val", scored), (128, 128), (256, 256))


def perturbations(setup: Setup) -> dict[str, Learned]:
    """Return the perturbations by name."""
    victim = setup.victim
    objectives = {
        "untargeted": Untargeted(),
        "static": StaticTarget.of_image(victim, setup.train[0]),
        "person and car hidden": HideClasses(["person", "car"]),
    }
    networks = {"": victim, ", on patches": Patched(victim, 3), ", on the blur": AlsoBlurred(victim, 3.0)}
    tiles = {"": None, ", tile": setup.tile}
    rows = {
        f"{name}{way}{shape}": Learned(network, objective, tile)
        for name, objective in objectives.items()
        for way, network in networks.items()
        for shape, tile in tiles.items()
    }
    for name, objective in objectives.items():
        rows[f"{name}, on crops, tile"] = Learned(victim, objective, setup.tile, setup.crop)
        rows[f"{name}, blurred tile"] = Learned(victim, objective, setup.tile, blur=BLUR)
    rows["noise, blurred tile"] = Learned(victim, Untargeted(), setup.tile, blur=BLUR, passes=0)
    return rows


def perturbation(one: Learned, images: Tensor) -> Perturbation:
    """Learn a perturbation; blur its tile, and clip it to epsilon at about its former magnitude."""
    delta = Perturbation(one.tile or (images.shape[-2], images.shape[-1]), EPSILON)
    if one.passes:
        delta = uap.learn(
            one.victim, images, one.objective, EPSILON, tile=one.tile, passes=one.passes, smoothing=one.blur,
            random_crop=one.crop, progress=False,
        )  # fmt: skip
    else:
        noise = torch.randn(delta.proto.shape, generator=torch.Generator().manual_seed(0))
        delta.load_state_dict({"proto": EPSILON * noise.sign()})
    if one.blur:
        blurred = smoothed(delta.proto.detach(), one.blur)
        delta.load_state_dict({"proto": (EPSILON * blurred / blurred.std()).clamp(-EPSILON, EPSILON)})
    return delta


def with_interval(benign: torch.Tensor, attacked: torch.Tensor) -> str:
    """Return the AUC in per cent with its interval, as text."""
    low, high = roc.auc_interval(benign, attacked)
    return f"{100 * roc.auc(benign, attacked):.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def main() -> None:
    """Learn the perturbations, and print a row for each."""
    parser = argparse.ArgumentParser("python -m benchmarks.universal_detection", allow_abbrev=False)
    parser.add_argument("--scored", type=positive, default=24, help="number of scored images (default: %(default)s)")
    parser.add_argument("--camvid", type=Path, help="folder of CamVid (default: synthetic scenes)")
    parser.add_argument("--weights", help="weights of the ESPNet of CamVid")
    parser.add_argument("--rows", nargs="+", help="names of perturbations (default: all)")
    args = parser.parse_args()
    setup = photographs(args.camvid, args.weights, args.scored) if args.camvid else synthetic(args.scored)
    detectors: dict[str, Detector] = {}
    for name in DETECTORS:
        detectors |= named_detectors(name)
    rows = perturbations(setup)
    unknown = [name for name in args.rows or () if name not in rows]
    if unknown:
        parser.error(f"there is no row {unknown[0]}; the rows are {'; '.join(rows)}")
    victim, test = setup.victim, setup.test
    benign = {title: detector(victim, test) for title, detector in detectors.items()}
    for name in args.rows or rows:
        objective, delta = rows[name].objective, perturbation(rows[name], setup.train)
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
