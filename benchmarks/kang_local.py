"""python -m benchmarks.kang_local: what decides how many pixels the local attack of Kang et al. swaps.

The three tasks of the paper on synthetic scenes of 128 x 256, float images, 50 steps. Each variant replaces a part of
`TanhAffine(local=True)`; the last row is the baseline, with the computing time of both.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from uap.attacks import SourceSignSteps, TanhAffine, named_attack, source_region, tanh_affine
from uap.attacks.base import Attack
from uap.datasets.synthetic import render_scene
from uap.evaluation import evaluate
from uap.losses.base import cross_entropy
from uap.objectives import Goal
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim

SIZE, FIRST = (128, 256), 100
TASKS = ("People", "Road", "Building")
KEYS = ("swapped", "source_kept", "preserved", "source_change")

Parts = dict[str, Callable[..., Any]]
"""Functions that replace those of the same name in `uap.attacks.tanh_affine`."""


def clean_region(logits: Tensor, clean: Tensor, goal: Goal) -> Tensor:
    """Return the source region of the clean image, in every step."""
    return source_region.region_of(goal)


def label_alone(logits: Tensor, clean: Tensor, goal: Goal) -> Tensor:
    """Return the cross entropy with the label, without the term of the clean class."""
    return cross_entropy(logits, goal.labels)


def with_clean_values() -> Parts:
    """Return parts that give pixels their clean values as soon as they have left the source region."""
    regions: list[Tensor] = []

    def inferred(logits: Tensor, clean: Tensor, goal: Goal) -> Tensor:
        regions[:] = [source_region.still_source(logits, clean, goal)]
        return regions[0]

    def shown(image: Callable[..., Tensor], base: Tensor, affine: Tensor, images: Tensor, changed: Tensor) -> Tensor:
        return image(base, affine, images, regions[0] if regions else changed)

    return {"still_source": inferred, "_image": partial(shown, tanh_affine._image)}


VARIANTS: dict[str, tuple[dict[str, Any], Callable[[], Parts]]] = {
    "algorithm 1": ({}, dict),
    "weights of eq. 4 as printed": ({"weights": "printed"}, dict),
    "equal weights": ({"weights": None}, dict),
    "clean values outside of the inferred region": ({}, with_clean_values),
    "region of the clean image": ({}, lambda: {"still_source": clean_region}),
    "label alone, region of the clean image": (
        {},
        lambda: {"source_losses": label_alone, "still_source": clean_region},
    ),
}
"""The settings of each variant, and what it replaces."""


def scored(victim: Victim, images: Tensor, attack: Attack, parts: Callable[[], Parts]) -> str:
    """Return the means over the tasks, the share of swapped pixels of each task, and the computing time, as text."""
    found, start = [], time.process_time()
    for task in TASKS:
        objective = named_attack(f"TanhAffineLocal{task}").objective()
        with ExitStack() as stack:
            for part, function in parts().items():
                stack.enter_context(mock.patch.object(tanh_affine, part, function))
            result = evaluate(
                victim, images, attack, objective, scored=("float",), batch_size=len(images), progress=False
            )
        found.append([result.metrics["float"][key] for key in KEYS])
    milliseconds = 1000 * (time.process_time() - start) / (50 * len(TASKS) * len(images))
    means = ", ".join(f"{key} {value:.3f}" for key, value in zip(KEYS, np.mean(found, 0), strict=True))
    swapped = ", ".join(f"{task} {values[0]:.3f}" for task, values in zip(TASKS, found, strict=True))
    return f"{means} | swapped: {swapped} | {milliseconds:.0f} ms a step"


def main() -> None:
    """Attack with each variant, and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--networks", nargs="+", default=["espnet_streetscenes", "fast_scnn_streetscenes"])
    parser.add_argument("--images", type=int, default=2)
    args = parser.parse_args()
    scenes = [render_scene(seed=0, index=FIRST + i, size=SIZE)[0] for i in range(args.images)]
    images = torch.from_numpy(np.stack(scenes)).permute(0, 3, 1, 2).float()
    for name in args.networks:
        victim = build_victim(find_victim(name))
        for title, (settings, parts) in VARIANTS.items():
            print(f"{name} | {title} | {scored(victim, images, TanhAffine(local=True, **settings), parts)}", flush=True)
        print(f"{name} | sign steps, epsilon 2 | {scored(victim, images, SourceSignSteps(), dict)}", flush=True)


if __name__ == "__main__":
    main()
