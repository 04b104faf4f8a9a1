"""python -m benchmarks.kang_steps: the metrics of Kang et al. (IEEE Access 2020, figure 6) after each of some steps.

Vehicles become road on synthetic scenes of 128 x 256, on float images. `penalty` is that of `TanhAffine`.
"""

import argparse

import numpy as np
import torch
from torch import Tensor, nn

from uap.attacks import SignSteps, TanhAffine
from uap.attacks.base import Attack
from uap.datasets.synthetic import render_scene
from uap.evaluation import evaluate
from uap.objectives import SwapClasses
from uap.victims.building import build_victim, find_victim

SIZE, FIRST = (128, 256), 100
VEHICLES = dict.fromkeys(("car", "truck", "bus", "train"), "road")
KEYS = ("source_kept", "source_ratio", "swapped", "mean_change", "max_norm")


class Recorded(nn.Module):
    """A network that keeps the images that it sees: those of step 0, 1, and so on, of an attack."""

    def __init__(self, victim: nn.Module) -> None:
        """Wrap a network."""
        super().__init__()
        self.victim = victim
        self.table = victim.table
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the network."""
        self.seen.append(images.detach().clone())
        logits: Tensor = self.victim(images)
        return logits


class Fixed(nn.Module):
    """Replaces images by given ones."""

    def __init__(self, images: Tensor) -> None:
        """Keep the images."""
        super().__init__()
        self.images = images

    def forward(self, images: Tensor) -> Tensor:
        """Return the given images."""
        return self.images


def main() -> None:
    """Attack, and print a row for each step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--networks", nargs="+", default=["espnet_streetscenes", "fast_scnn_streetscenes"])
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--penalties", type=float, nargs="+", default=[100.0])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[2.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 5, 10, 20, 30, 40, 50])
    args = parser.parse_args()
    scenes = [render_scene(seed=0, index=FIRST + i, size=SIZE)[0] for i in range(args.images)]
    images, last = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float(), max(args.steps)
    attacks: dict[str, Attack] = {}
    for penalty in args.penalties:
        attacks[f"tanh, penalty {penalty:g}"] = TanhAffine(last, penalty=penalty)
        attacks[f"tanh, local, penalty {penalty:g}"] = TanhAffine(last, penalty=penalty, local=True)
    for epsilon in args.epsilons:
        attacks[f"sign steps, epsilon {epsilon:g}"] = SignSteps(epsilon, epsilon / 20, last)
    for name in args.networks:
        victim = build_victim(find_victim(name))
        for title, attack in attacks.items():
            recorded = Recorded(victim)
            final = attack(recorded, images, SwapClasses(VEHICLES))
            after = [*recorded.seen[1:], final]  # without the clean prediction
            for step in args.steps:
                found = evaluate(
                    victim, images, Fixed(after[step]), SwapClasses(VEHICLES), batch_size=len(images), progress=False
                ).metrics["float"]
                print(f"{name} | {title} | step {step} | {', '.join(f'{key} {found[key]:.3f}' for key in KEYS)}")


if __name__ == "__main__":
    main()
