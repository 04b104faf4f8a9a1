"""python -m benchmarks.dag_convergence --camvid F --victims F --voc F [--out FILE]: convergence of DAG.

Plots the share of active targets over the steps of dense adversary generation in the paper's form, with gamma 0.5, for
one image of each setting, and prints the last share, the steps and the perceptibility.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from uap.attacks import DAG
from uap.cli.arguments import positive
from uap.datasets import CamVid
from uap.datasets.pictures import open_image
from uap.datasets.synthetic import render_scene
from uap.evaluation.boxes import attack_boxes
from uap.evaluation.detection_networks import build_detection
from uap.metrics.perceptibility import perceptibility
from uap.objectives import RandomClasses
from uap.victims.building import build_victim, find_victim


def pixels(picture: NDArray[np.uint8]) -> Tensor:
    """Return a picture `(H, W, 3)` as an image `(1, 3, H, W)`."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


def runs(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[DAG], Tensor], Tensor]]:
    """Yield the title of each curve, the attack of its image as a function of the algorithm, and the image."""
    voc = pixels(np.array(open_image(given.voc / "2007_000033.png").resize((384, 384))))
    camvid = CamVid(root=given.camvid, split="val")[0]["image"][None].float()
    scene = pixels(render_scene(seed=0, index=0)[0])

    def segmentation(name: str, weights: str | None, image: Tensor) -> Callable[[DAG], Tensor]:
        victim = build_victim(find_victim(name), weights)
        return lambda attack: attack(victim, image, RandomClasses("stuff"), torch.Generator().manual_seed(0))

    def detection(name: str, weights: str | None, image: Tensor) -> Callable[[DAG], Tensor]:
        victim = build_detection(name, weights)
        return lambda attack: attack_boxes(victim, image, attack)[0]

    files = {name: str(given.victims / name) for name in ("espnet_camvid_p2_q8.pth", "fastestdet_coco_352.pth")}
    espnetv2 = str(given.victims / "edgenets" / "espnetv2_s_1.0_pascal_384x384.pth")
    yield "ESPNetv2, airplane of Pascal VOC", segmentation("espnetv2_s10_voc", espnetv2, voc), voc
    yield "FastestDet, CamVid", detection("fastestdet_coco", files["fastestdet_coco_352.pth"], camvid), camvid
    yield "ESPNet, objects, CamVid", segmentation("espnet_camvid", files["espnet_camvid_p2_q8.pth"], camvid), camvid
    yield "ESPNet, objects, synthetic scene", segmentation("espnet_streetscenes", None, scene), scene
    yield "Faster R-CNN, synthetic scene", detection("faster_rcnn_streetscenes", None, scene), scene


def main() -> None:
    """Attack the images, print a line for each, and write the plot."""
    parser = argparse.ArgumentParser("python -m benchmarks.dag_convergence", allow_abbrev=False)
    for name in ("camvid", "victims", "voc"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--steps", type=positive, default=100)
    parser.add_argument("--out", type=Path, default=Path("dag_convergence.png"))
    given = parser.parse_args()
    figure = Figure(figsize=(7.0, 4.2), dpi=110, layout="constrained")
    plot = figure.subplots()
    for title, make, image in runs(given):
        attack = DAG(steps=given.steps)
        adversarial = make(attack)
        assert attack.cost.active is not None
        active = attack.cost.active[0]
        p = float(perceptibility(image, adversarial))
        steps = int(attack.cost.steps[0])
        print(f"{title}: {100 * float(active.min()):.1f} % active at best, {steps} steps, p {p:.1e}", flush=True)
        plot.plot(100 * active[: steps + 1], label=title)
    plot.set_xlabel("step")
    plot.set_ylabel("active targets in %")
    plot.grid(alpha=0.3)
    plot.legend(fontsize=8)
    figure.savefig(given.out)


if __name__ == "__main__":
    main()
