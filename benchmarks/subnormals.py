"""Forward and backward pass of a network with the subnormal weights of its file, and with zeros in their place.

    python -m benchmarks.subnormals cgnet_camvid VICTIMS/cgnet_camvid_m3_n21.pth [--size 360 480] [--rounds 3]

Every round runs both, so a change of the speed of the machine does not affect the ratio. Logits and gradients are
compared bit for bit.
"""

import argparse
import statistics
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.step import now
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim
from uap.victims.weights import load_weights


def timed(victim: Victim, image: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return the seconds of a forward and backward pass, the logits, and the gradient of their largest ones."""
    start, leaf = now(), image.clone().requires_grad_(True)
    logits = victim(leaf)
    (gradient,) = torch.autograd.grad(logits.amax(1).sum(), leaf)
    return now() - start, logits.detach(), gradient


def main() -> None:
    """Measure both, and print the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("victim", help="name in configs/victim/")
    parser.add_argument("weights", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480))
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    zeroed, as_published = (build_victim(find_victim(args.victim), str(args.weights)) for _ in range(2))
    load_weights(as_published.network, args.weights)  # again: building a victim sets subnormal numbers to 0
    image = torch.rand(1, 3, *args.size, generator=torch.Generator().manual_seed(0)) * 255
    seconds: list[tuple[float, float]] = []
    for _ in range(args.rounds):
        (slow, *expected), (fast, *found) = timed(as_published, image), timed(zeroed, image)
        same = all(map(torch.equal, expected, found))
        seconds.append((slow, fast))
    slow, fast = (statistics.median(times) for times in zip(*seconds, strict=True))
    print(f"as published {slow:.2f} s, zeroed {fast:.2f} s, ratio {slow / fast:.1f}, same result: {same}")


if __name__ == "__main__":
    main()
