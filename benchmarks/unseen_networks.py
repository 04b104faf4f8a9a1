"""Networks and images for patterns that are scored on networks that they were not learned on."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from uap.datasets import CamVid
from uap.datasets.synthetic import render_scene
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim

Leave = Literal["family", "network"]


@dataclass(frozen=True)
class Network:
    """A network by its file in `configs/victim/`; a scored network leaves out all others of its family."""

    name: str
    family: str
    weights: str | None = None
    learned_on: bool = True
    """Whether patterns are learned on it if families are left out; `--sources` names others."""
    scored: bool = True
    """Whether it is scored if families are left out."""


NONE = Network("none", "none")
"""Left out, so that a pattern is learned on all networks, and its metrics are their means."""

NETWORKS = {
    "streetscenes": [
        Network("espnet_streetscenes", "ESPNet"),
        Network("fast_scnn_streetscenes", "Fast-SCNN"),
        Network("fcn8s_streetscenes", "FCN-8s"),
        Network("fcn8s_resnet_streetscenes", "FCN-8s on ResNet", scored=False),
        Network("dilated_frontend_streetscenes", "DilatedNet", scored=False),
    ],
    "camvid": [
        Network("espnet_camvid", "ESPNet", "espnet_camvid_p2_q8.pth"),
        Network("cgnet_camvid", "CGNet", "cgnet_camvid_m3_n21.pth"),
        Network("espnetv2_s05_cityscapes", "ESPNetv2", "edgenets/espnetv2_s_0.5_city_512x256.pth", learned_on=False),
        Network("espnetv2_s10_cityscapes", "ESPNetv2", "edgenets/espnetv2_s_1.0_city_512x256.pth"),
        Network("espnetv2_cityscapes", "ESPNetv2", "edgenets/espnetv2_s_2.0_city_512x256.pth", False, False),
        Network("dicenet_s05_cityscapes", "DiCENet", "edgenets/dicenet_s_0.5_city_512x256.pth", False, False),
        Network("dicenet_s10_cityscapes", "DiCENet", "edgenets/dicenet_s_1.0_city_512x256.pth", False, False),
        Network("dicenet_cityscapes", "DiCENet", "edgenets/dicenet_s_1.5_city_512x256.pth"),
        Network("espnet_cityscapes", "ESPNet", "espnet_cityscapes_p2_q8.pth", learned_on=False),
    ],
}


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Images with labels."""

    def __init__(self, images: list[Tensor], labels: list[Tensor]) -> None:
        """Keep images `(3, H, W)` and labels `(H, W)`."""
        self.pairs = list(zip(images, labels, strict=True))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image and its labels."""
        return self.pairs[index]


@dataclass(frozen=True)
class Study:
    """The networks, the images `(N, 3, H, W)` that are learned from, and those to score with labels, by network."""

    victims: dict[Network, Victim]
    train: Tensor
    test: dict[Network, Pairs]
    crop: tuple[int, int] | None
    """Height and width of the parts of the images that are learned from."""
    names: list[str] | None
    """The networks that patterns are learned on; None for those of the tables."""
    leave: Leave
    """What is left out: the scored network and its family, or the scored network alone."""

    def sources(self, left_out: Network) -> list[Network]:
        """Return the networks that a pattern for a left-out network is learned on."""
        if self.names:
            used = [one for one in self.victims if one.name in self.names]
        else:
            used = [one for one in self.victims if one.learned_on or self.leave == "network"]
        if self.leave == "network":
            return [one for one in used if one is not left_out]
        return [one for one in used if one.family != left_out.family]

    def scored(self, names: list[str] | None, also: Sequence[Network] = ()) -> list[Network]:
        """Return the networks that are scored; without names those of the tables, and `also`."""
        if names == [NONE.name]:
            return [NONE]
        if names:
            return [one for one in self.victims if one.name in names]
        return [one for one in self.victims if one.scored or self.leave == "network" or one in also]


def streetscenes(args: argparse.Namespace) -> Study:
    """Return the study on synthetic scenes of 128 x 256."""
    images, scored = args.images, args.scored
    victims = {one: build_victim(find_victim(one.name)) for one in NETWORKS["streetscenes"]}
    scenes = [render_scene(seed=0, index=i, size=(128, 256)) for i in range(images + scored)]
    pictures = torch.from_numpy(np.stack([scene for scene, _ in scenes])).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(np.stack([labels for _, labels in scenes])).long()
    pairs = Pairs([*pictures[images:]], [*labels[images:]])
    return Study(victims, pictures[:images], dict.fromkeys(victims, pairs), None, args.sources, args.leave)


def camvid(args: argparse.Namespace) -> Study:
    """Return the study on photographs of 360 x 480, evenly spread over the splits."""
    images, scored, weights = args.images, args.scored, args.victims
    victims = {one: build_victim(find_victim(one.name), str(weights / str(one.weights))) for one in NETWORKS["camvid"]}
    train, test = (CamVid(str(args.camvid), split=split, size=(360, 480)) for split in ("train", "val"))
    spread = [round(i * (len(train) - 1) / max(1, images - 1)) for i in range(images)]
    shown = test.subset([round(i * (len(test) - 1) / max(1, scored - 1)) for i in range(scored)])
    pairs = {}
    for one, victim in victims.items():
        own = shown.with_classes(victim.table)
        items = [own[row] for row in range(scored)]
        pairs[one] = Pairs([item["image"] for item in items], [item["labels"].long() for item in items])
    pictures, crop = torch.stack([train[i]["image"] for i in spread]).float(), (args.crop[0], args.crop[1])
    return Study(victims, pictures, pairs, crop, args.sources, args.leave)
