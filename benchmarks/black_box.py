"""python -m benchmarks.black_box [--on camvid --camvid FOLDER --victims FOLDER]: patterns on networks they never saw.

Each pattern is learned without the scored network and, by default, its family. A step has 4 gradient evaluations: on 4
images of a single network, or on an image of 4 networks. On n other networks it has one image, or two if n is 2, and
there are `4 * passes // n` passes over the images, at least one; so 3 or 5 networks get fewer evaluations, and 8 more.

The metrics are those of other images, rounded to 8 bits. An untargeted pattern: the share of pixels that keep their
class, the mean IoU with the clean prediction, and that with the labels. A pattern that hides people: the shares of
their pixels that are hidden, and of the others that stay. A static pattern: the share of pixels of the target, before
and after.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gradient_alignment import agreeing, projected
from benchmarks.unseen_networks import NETWORKS, NONE, Network, Study, camvid, streetscenes
from uap.evaluation import evaluate
from uap.losses import CrossEntropy, FeatureDispersion, FeatureSimilarity, JensenShannon, Loss, Margin
from uap.objectives import HideClasses, Objective, StaticTarget, Untargeted
from uap.universal.learn import learn
from uap.universal.optim import smoothed
from uap.universal.perturbation import Perturbation
from uap.universal.perturbation_files import load_perturbation, save_perturbation
from uap.victims import Victim
from uap.victims.building import build_wrapper, find_wrapper

AT_ONCE = 4
"""Gradient evaluations of a step: on 4 images of a network, 2 images of 2 networks, or an image of 3 or more."""


@dataclass(frozen=True)
class Pattern:
    """How a pattern is learned; `networks` is 0 for random signs, 1, or as many as are not left out."""

    networks: int = AT_ONCE
    tile: int | None = 128
    random_shift: bool = True
    random_scale: tuple[float, float] | None = None
    smoothing: float = 0.0
    loss: Loss | None = None
    momentum: float = 0.9
    flips: bool = False
    """Whether every second image is mirrored."""
    combine: Callable[[Tensor], Tensor] | None = None
    """How the gradients of the networks are combined; None for their sum."""


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
    "joint, tile 64, shift, flips": Pattern(tile=64, flips=True),
    "joint, tile 64, shift, no momentum": Pattern(tile=64, momentum=0),
    "joint, tile 64, shift, masked cross entropy": Pattern(tile=64, loss=CrossEntropy(0)),
    "joint, tile 64, shift, Jensen-Shannon": Pattern(tile=64, loss=JensenShannon()),
    "joint, tile 64, shift, margin": Pattern(tile=64, loss=Margin()),
    "joint, tile 64, shift, agreeing gradients": Pattern(tile=64, combine=agreeing),
    "joint, tile 64, shift, projected gradients": Pattern(tile=64, combine=projected),
    "joint, tile 64, shift, features": Pattern(tile=64, loss=FeatureSimilarity()),
    "joint, tile 64, shift, dispersion": Pattern(tile=64, loss=FeatureDispersion()),
    "joint, tile 128, shift, features": Pattern(loss=FeatureSimilarity()),
    "joint, tile 128, shift, features, smooth": Pattern(loss=FeatureSimilarity(), smoothing=1),
    "joint, tile 128, shift, features, smoother": Pattern(loss=FeatureSimilarity(), smoothing=2),
}


def objective_of(study: Study, name: str) -> Objective:
    """Return the objective; the static target is the prediction of the first network on the first image."""
    if name == "static":
        return StaticTarget.of_image(next(iter(study.victims.values())), study.train[0])
    return HideClasses(["person"]) if name == "hide" else Untargeted()


def metrics_of(objective: Objective) -> tuple[str, ...]:
    """Return the metrics that are printed, by their keys."""
    return objective.metrics + (("miou_clean", "miou_adversarial") if isinstance(objective, Untargeted) else ())


def learned(study: Study, sources: list[Network], how: Pattern, objective: Objective, args: argparse.Namespace,
            seed: int) -> Perturbation:  # fmt: skip
    """Return a pattern that is learned on some networks, or random signs."""
    if not how.networks:
        perturbation = Perturbation((128, 128), args.epsilon)
        noise = torch.randn(3, 128, 128, generator=torch.Generator().manual_seed(seed))
        perturbation.load_state_dict({"proto": args.epsilon * smoothed(noise, how.smoothing).sign()})
        return perturbation
    images = study.train.clone()
    if how.flips:
        images[::2] = images[::2].flip(-1)
    victims = [defended(study.victims[one], args.learned_through) for one in sources]
    return learn(
        victims[0],
        images,
        objective,
        args.epsilon,
        ensemble=victims[1:],
        tile=None if how.tile is None else (how.tile, how.tile),
        passes=max(1, args.passes * AT_ONCE // len(sources)),
        batch_size=max(1, AT_ONCE // len(sources)),
        momentum=how.momentum,
        smoothing=how.smoothing,
        loss=how.loss,
        random_shift=how.random_shift,
        random_scale=how.random_scale,
        random_crop=study.crop,
        combine=how.combine,
        seed=seed,
        progress=False,
    )


def defended(victim: Victim, wrapper: str | None) -> Victim:
    """Return a network behind the defense of a file in configs/wrapper/; without one, the network."""
    return build_wrapper(find_wrapper(wrapper))(victim) if wrapper else victim


def score(
    study: Study, network: Network, pattern: Perturbation | None, objective: Objective, wrapper: str | None
) -> dict[str, float]:
    """Return the metrics of a pattern on a network; for `NONE`, the means over those that it is learned on."""
    if network is NONE:
        return means([score(study, one, pattern, objective, wrapper) for one in study.sources(NONE)])
    victim = defended(study.victims[network], wrapper)
    found = evaluate(victim, study.test[network], pattern, objective, scored=("8-bit",), progress=False)
    return {key: found.metrics["8-bit"][key] for key in metrics_of(objective)}


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric."""
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def score_row(study: Study, name: str, left_out: Network, objective: Objective, args: argparse.Namespace,
              seed: int) -> dict[str, float]:  # fmt: skip
    """Return the metrics of a pattern on a left-out network; for a single network, their means over the networks."""
    how, sources = PATTERNS[name], study.sources(left_out)
    found = []
    for group in [[one] for one in sources] if how.networks == 1 else [sources]:
        known = "+".join(one.name for one in group) if how.networks else "none"
        if study.leave == "network" and how.networks > 1 and not study.names:
            known = f"all but {left_out.name}"
        words = [args.on, name, known, f"{args.epsilon:g}", f"{args.images} x {args.passes}", str(seed)]
        words += [args.learned_through] if args.learned_through else []
        words += [f"crop {study.crop}"] if study.crop else []
        words += [args.objective] if args.objective != "untargeted" else []
        file = args.out / f"{', '.join(words)}.safetensors"
        if not file.exists():
            size = str(list(study.train.shape[-2:]))
            save_perturbation(learned(study, group, how, objective, args, seed), file, {"size": size})
        found.append(score(study, left_out, load_perturbation(file)[0], objective, args.wrapper))
    return means(found)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--on", choices=list(NETWORKS), default="streetscenes")
    parser.add_argument("--camvid", type=Path, default=Path("data/camvid"))
    parser.add_argument("--victims", type=Path, default=Path("victims"), help="folder of the published weights")
    parser.add_argument("--patterns", nargs="+", choices=list(PATTERNS), default=list(PATTERNS))
    parser.add_argument("--objective", choices=["untargeted", "hide", "static"], default="untargeted")
    parser.add_argument("--leave", choices=["family", "network"], default="family", help="what is left out")
    parser.add_argument(
        "--left_out", nargs="+", help="names of the scored networks; all by default; none learns on all"
    )
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="networks that patterns are learned on")
    parser.add_argument("--crop", type=int, nargs=2, default=(256, 256), help="part of a photograph in a step")
    parser.add_argument("--files", nargs="+", default=[], help="score these files or shipped patterns")
    parser.add_argument("--wrapper", help="name in configs/wrapper/ of a defense of scored networks, such as jpeg_75")
    parser.add_argument("--learned_through", help="name of a defense of the networks that patterns are learned on")
    parser.add_argument("--epsilon", type=float, default=10)
    parser.add_argument("--passes", type=int, default=2, help="passes of a joint pattern over its images")
    parser.add_argument("--images", type=int, default=20, help="images that patterns are learned from")
    parser.add_argument("--scored", type=int, default=16, help="images that patterns are scored on")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("black_box"), help="folder that keeps the learned patterns")
    args = parser.parse_args()
    names = [one.name for one in (*NETWORKS[args.on], NONE)]
    for name in (*(args.left_out or ()), *(args.sources or ())):
        if name not in names:
            parser.error(f"{name} is no network of {args.on}, expected {', '.join(names)}")
    if args.on == "camvid" and args.objective == "static":
        parser.error("--objective static needs networks with the same classes: --on streetscenes")
    return args


def main() -> None:
    """Learn and score the patterns, and print a row for each."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    study = camvid(args) if args.on == "camvid" else streetscenes(args)
    objective = objective_of(study, args.objective)
    for file in args.files:
        for network in study.scored(args.left_out, also=study.sources(NONE)):
            _print(file, network, [score(study, network, load_perturbation(file)[0], objective, args.wrapper)])
    for name in [] if args.files else args.patterns:
        for left_out in study.scored(args.left_out):
            rows = [score_row(study, name, left_out, objective, args, seed) for seed in range(args.seeds)]
            _print(name, left_out, rows)


def _print(name: str, network: Network, rows: list[dict[str, float]]) -> None:
    cells = [f"{key} " + " ".join(f"{100 * row[key]:.1f}" for row in rows) for key in rows[0]]
    print(f"{name} | {network.name} | {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
