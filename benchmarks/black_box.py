"""python -m benchmarks.black_box [--on camvid --camvid FOLDER --victims FOLDER]: patterns on networks they never saw.

Each untargeted pattern is learned without the scored network and its family, at equal gradient evaluations: a step
has 4 images of a single network, or an image of 4 networks. The metrics are those of other images, rounded to 8 bits:
the share of pixels that keep their class, the mean IoU with the clean prediction, and that with the labels.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from uap.datasets import CamVid
from uap.datasets.synthetic import render_scene
from uap.evaluation import evaluate
from uap.objectives import Untargeted
from uap.universal.learn import learn
from uap.universal.optim import smoothed
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.victims import Victim
from uap.victims.building import build_victim, build_wrapper, find_victim, find_wrapper

AT_ONCE = 4
"""Gradient evaluations of a step: on 4 images of a network, 2 images of 2 networks, or an image of 3 or 4."""


@dataclass(frozen=True)
class Pattern:
    """How a pattern is learned; `networks` is 0 for random signs, 1, or as many as are not left out."""

    networks: int = AT_ONCE
    tile: int | None = 128
    random_shift: bool = True
    random_scale: tuple[float, float] | None = None
    smoothing: float = 0.0


PATTERNS = {
    "random signs": Pattern(networks=0),
    "random smooth signs": Pattern(networks=0, smoothing=2),
    "single, as large as the image": Pattern(1, tile=None, random_shift=False),
    "single, tile 128, shift": Pattern(1),
    "joint, as large as the image": Pattern(tile=None, random_shift=False),
    "joint, tile 128": Pattern(random_shift=False),
    "joint, tile 128, shift": Pattern(),
    "joint, tile 64, shift": Pattern(tile=64),
    "joint, tile 32, shift": Pattern(tile=32),
    "joint, tile 128, shift, scale": Pattern(random_scale=(0.75, 1.5)),
    "joint, tile 64, shift, scale": Pattern(tile=64, random_scale=(0.75, 1.5)),
    "joint, tile 128, shift, smooth": Pattern(smoothing=1),
    "joint, tile 128, shift, smoother": Pattern(smoothing=2),
    "joint, tile 64, shift, smooth": Pattern(tile=64, smoothing=1),
}


@dataclass(frozen=True)
class Network:
    """A network by its file in `configs/victim/`; a scored network leaves out all others of its family."""

    name: str
    family: str
    weights: str | None = None
    learned_on: bool = True
    """Whether patterns are learned on it; `--sources` names others."""
    scored: bool = True


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

    def sources(self, left_out: Network) -> list[Network]:
        """Return the networks that a pattern for a left-out network is learned on."""
        used = [one for one in self.victims if (one.name in self.names if self.names else one.learned_on)]
        return [one for one in used if one.family != left_out.family]

    def learn(self, sources: list[Network], how: Pattern, epsilon: float, passes: int, seed: int) -> Perturbation:
        """Return a pattern that is learned on some networks, or random signs."""
        tile = None if how.tile is None else (how.tile, how.tile)
        if not how.networks:
            perturbation = Perturbation((128, 128), epsilon)
            noise = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(seed))
            perturbation.load_state_dict({"proto": epsilon * smoothed(noise, how.smoothing).sign()})
            return perturbation
        batch = max(1, AT_ONCE // len(sources))
        return learn(
            self.victims[sources[0]],
            self.train,
            Untargeted(),
            epsilon,
            ensemble=[self.victims[one] for one in sources[1:]],
            tile=tile,
            passes=max(1, passes * AT_ONCE // len(sources)),
            batch_size=batch,
            random_shift=how.random_shift,
            random_scale=how.random_scale,
            random_crop=self.crop,
            smoothing=how.smoothing,
            seed=seed,
            progress=False,
        )

    def score(self, network: Network, pattern: Perturbation | None) -> dict[str, float]:
        """Return the metrics of a pattern on a network; for `NONE`, the means over those that it is learned on."""
        if network is NONE:
            every = [self.score(one, pattern) for one in self.sources(NONE)]
            return {key: sum(one[key] for one in every) / len(every) for key in every[0]}
        found = evaluate(
            self.victims[network], self.test[network], pattern, Untargeted(), scored=("8-bit",), progress=False
        )
        keys = ("kept", "miou_clean_prediction", "miou_clean", "miou_adversarial")
        return {key: found.metrics["8-bit"][key] for key in keys}


def streetscenes(images: int, scored: int, sources: list[str] | None) -> Study:
    """Return the study on synthetic scenes of 128 x 256."""
    victims = {one: build_victim(find_victim(one.name)) for one in NETWORKS["streetscenes"]}
    scenes = [render_scene(seed=0, index=i, size=(128, 256)) for i in range(images + scored)]
    pictures = torch.from_numpy(np.stack([scene for scene, _ in scenes])).permute(0, 3, 1, 2).float()
    labels = torch.from_numpy(np.stack([labels for _, labels in scenes])).long()
    pairs = Pairs([*pictures[images:]], [*labels[images:]])
    return Study(victims, pictures[:images], dict.fromkeys(victims, pairs), None, sources)


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
    return Study(victims, pictures, pairs, crop, args.sources)


def score_row(study: Study, name: str, left_out: Network, args: argparse.Namespace, seed: int) -> dict[str, float]:
    """Return the metrics of a pattern on a left-out network; for a single network, their means over the networks."""
    how, sources = PATTERNS[name], study.sources(left_out)
    found = []
    for group in [[one] for one in sources] if how.networks == 1 else [sources]:
        known = "+".join(one.name for one in group) if how.networks else "none"
        words = [args.on, name, known, f"{args.epsilon:g}", f"{args.images} x {args.passes}", str(seed)]
        words += [args.wrapper] if args.wrapper else []
        words += [f"crop {study.crop}"] if study.crop else []
        file = args.out / f"{', '.join(words)}.safetensors"
        if not file.exists():
            size = str(list(study.train.shape[-2:]))
            save_perturbation(study.learn(group, how, args.epsilon, args.passes, seed), file, {"size": size})
        found.append(study.score(left_out, load_perturbation(file)[0]))
    return {key: sum(one[key] for one in found) / len(found) for key in found[0]}


def main() -> None:
    """Learn and score the patterns, and print a row for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--on", choices=list(NETWORKS), default="streetscenes")
    parser.add_argument("--camvid", type=Path, default=Path("data/camvid"))
    parser.add_argument("--victims", type=Path, default=Path("victims"), help="folder of the published weights")
    parser.add_argument("--patterns", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument(
        "--left_out", nargs="+", help="names of the scored networks; all by default; none learns on all"
    )
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="networks that patterns are learned on")
    parser.add_argument("--crop", type=int, nargs=2, default=(256, 256), help="part of a photograph in a step")
    parser.add_argument("--files", nargs="+", default=[], help="score these files or shipped patterns")
    parser.add_argument("--wrapper", help="name in configs/wrapper/ of a defense before each network, such as jpeg_75")
    parser.add_argument("--epsilon", type=float, default=10)
    parser.add_argument("--passes", type=int, default=2, help="passes of a joint pattern over its images")
    parser.add_argument("--images", type=int, default=20, help="images that patterns are learned from")
    parser.add_argument("--scored", type=int, default=16, help="images that patterns are scored on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("black_box"), help="folder that keeps the learned patterns")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    study = camvid(args) if args.on == "camvid" else streetscenes(args.images, args.scored, args.sources)
    for network in study.victims if args.wrapper else ():
        study.victims[network] = build_wrapper(find_wrapper(args.wrapper))(study.victims[network])
    for file in args.files:
        for network in study.victims:
            if args.left_out and network.name not in args.left_out:
                continue
            _print(file, network, [study.score(network, load_perturbation(file)[0])])
    if args.files:
        return
    scored = [one for one in study.victims if (one.name in args.left_out if args.left_out else one.scored)]
    for name in args.patterns:
        for left_out in scored if args.left_out != ["none"] else [NONE]:
            _print(name, left_out, [score_row(study, name, left_out, args, seed) for seed in range(args.seeds)])


def _print(name: str, network: Network, rows: list[dict[str, float]]) -> None:
    cells = [f"{key} " + " ".join(f"{100 * row[key]:.1f}" for row in rows) for key in rows[0]]
    print(f"{name} | {network.name} | {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
