"""Time of a step of an image-dependent attack, compared with the forward and backward pass of the network.

    python -m benchmarks.attack_step [--network CGNet|FCN-8s] [--device cuda] [--batch 4] [--size 360 480] [--rounds 9]

All alternate in one process; on a CPU its computing time counts. The step is an iteration of Iterative FGSM or
Iterative FGSM II (Arnab et al., CVPR 2018): normalization, loss, gradient, sign step and clip. The bare pass is the
forward pass and the gradient of the mean of the logits with respect to the normalized image. The plain step is the same
iteration in a few lines of torch with its own cross entropy, so that the cost of the loss and that of the library are
told apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.networks import NETWORKS, new_victim
from benchmarks.step import now
from uap.attacks import IterativeFGSM
from uap.objectives import LeastLikely, Objective, Untargeted
from uap.victims import Victim

STEPS = 3
"""Steps of each timed attack; the clean pass before them is not counted."""


def seconds(run: Callable[[], object], device: str) -> float:
    """Return the time of a call; on a CPU that of the process, which other programs hardly change."""
    clock = time.process_time if device == "cpu" else now
    start = clock()
    run()
    return clock() - start


def report(
    victim: Victim, objective: Objective, device: str, batch: int, size: tuple[int, int], rounds: int
) -> list[tuple[float, float, float]]:
    """Return the times of the bare pass, the plain step and the step in each round."""
    images = torch.randint(0, 256, (batch, 3, *size), device=device).float()
    normalized = torch.randn_like(images).contiguous(memory_format=torch.channels_last).requires_grad_()
    attack = IterativeFGSM(epsilon=8, steps=STEPS)
    with torch.no_grad():
        logits = victim(images).float()
    goal = objective.prepare(victim, images, logits)

    def bare() -> None:
        for _ in range(STEPS):
            torch.autograd.grad(victim.network(normalized).mean(), normalized)

    def plain() -> None:
        adversarial = images.clone()
        for _ in range(STEPS):
            adversarial.requires_grad_()
            logits = victim(adversarial)
            labels = logits.detach().argmin(1) if goal.sign > 0 else goal.labels
            (gradient,) = torch.autograd.grad(goal.sign * F.cross_entropy(logits, labels), adversarial)
            adversarial = (adversarial.detach() - gradient.sign()).clamp(images - 8, images + 8)

    def steps() -> None:
        attack.run(victim, images, goal, objective, logits.argmax(1))

    every = [tuple(seconds(run, device) / STEPS for run in (bare, plain, steps)) for _ in range(rounds + 1)]
    return [(one, two, three) for one, two, three in every[1:]]  # the first is warm-up


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--network", choices=NETWORKS, default="ESPNet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, nargs=2, default=[360, 480])
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    victim = new_victim(given.network, given.device)
    print(
        f"{given.network}, {given.batch} images of {given.size[0]} x {given.size[1]}, {torch.get_num_threads()} threads"
    )
    for name, objective in (("Iterative FGSM", Untargeted()), ("Iterative FGSM II", LeastLikely())):
        times = report(victim, objective, given.device, given.batch, tuple(given.size), given.rounds)
        bare = statistics.median(one for one, _, _ in times)
        print(f"{name}: the bare pass takes {1000 * bare:.0f} ms")
        for title, ratios in (
            ("step / bare pass", [step / one for one, _, step in times]),
            ("plain step / bare pass", [plain / one for one, plain, _ in times]),
            ("step / plain step", [step / plain for _, plain, step in times]),
        ):
            print(f"  {title:<24}{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
