"""The bare forward and backward pass of a network in several ways, and the loss against PyTorch's own.

    python -m benchmarks.passes [--network CGNet|FCN-8s] [--device cuda] [--batch 4] [--size 360 480] [--rounds 7]

Each way takes its turn in every round, so that their ratios hold when the machine's speed drifts. The gradient is that
of the logits' mean to the normalized image; it is compared with that of the pass as it is. The networks are untrained.
The rate of the pass stands beside that of a product of two large matrices.
"""

import argparse
import copy
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import NETWORKS, new_victim, with_torch_layers
from benchmarks.step import now
from uap.losses.base import cross_entropy
from uap.utils.memory import keep_freed_memory
from uap.victims.cpu_kernels import FrozenBatchNorm2d, FrozenPReLU

Pass = Callable[[], Tensor]


def gradient_of(network: Callable[[Tensor], Tensor], image: Tensor, dtype: torch.dtype | None = None) -> Pass:
    """Return the pass of a network on an image, under autocast to `dtype` if there is one."""

    def run() -> Tensor:
        image.requires_grad_(True)
        with torch.autocast(image.device.type, dtype, enabled=dtype is not None):
            mean = network(image).float().mean()
        return torch.autograd.grad(mean, image)[0]

    return run


def passes(network: nn.Module, image: Tensor) -> dict[str, Pass]:
    """Return the ways by name; the first is the one that runs."""
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    return {
        "as it is": gradient_of(network, image),
        "PyTorch's PReLU": gradient_of(with_torch_layers(network, FrozenPReLU), image),
        "PyTorch's BatchNorm": gradient_of(with_torch_layers(network, FrozenBatchNorm2d), image),
        "both": gradient_of(with_torch_layers(network, FrozenPReLU, FrozenBatchNorm2d), image),
        "not channels-last": gradient_of(contiguous, image.contiguous()),
        "bf16 autocast": gradient_of(network, image, torch.bfloat16),
        "torch.compile": gradient_of(torch.compile(copy.deepcopy(network)), image),
    }


def losses(image: Tensor) -> dict[str, Pass]:
    """Return the cross entropy of 20 classes for outputs of the size of the images, ours and PyTorch's.

    Ours for logits whose exponentials are in range, and for larger ones too.
    """
    batch, _, *size = image.shape
    small = torch.randn(batch, 20, *size, device=image.device).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 20, (batch, *size), device=image.device)

    def run(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor) -> Pass:
        def once() -> Tensor:
            logits.requires_grad_(True)
            return torch.autograd.grad(loss(logits, target).mean(), logits)[0]

        return once

    return {
        "cross entropy, ours": run(cross_entropy, small),
        "of large logits": run(cross_entropy, small + 100),
        "PyTorch's": run(lambda x, y: F.cross_entropy(x, y, reduction="none"), small),
    }


def seconds_of(way: Callable[[], object]) -> float:
    """Return how long a way takes."""
    start = now()
    way()
    return now() - start


def flop(network: nn.Module, image: Tensor) -> int:
    """Return the floating point operations of a pass, a product and a sum being two."""
    with FlopCounterMode(display=False) as counter:  # which does not bear torch.autograd.grad
        network(image.detach().requires_grad_()).mean().backward()
    return int(counter.get_total_flops())


def product_rate(device: str) -> float:
    """Return the operations a second of a product of two large matrices.

    On a CPU in the form of a 1 x 1 convolution: it is the library of the convolutions whose rate counts.
    """
    side = 4096 if device == "cuda" else 2048
    first, second = torch.randn(2, side, side, device=device)
    pixels = first.view(1, side, side // 32, 32).contiguous(memory_format=torch.channels_last)
    weights = second[..., None, None].contiguous(memory_format=torch.channels_last)

    def product() -> Tensor:
        return first @ second if device == "cuda" else F.conv2d(pixels, weights)

    return 2 * side**3 / statistics.median(seconds_of(product) for _ in range(7))


def compare(ways: dict[str, Pass], rounds: int) -> float:
    """Print the time of each way, its ratio to the first, and how far its gradient is from the first's.

    Returns:
        The seconds of the first.
    """
    first = next(iter(ways.values()))()
    apart = {name: float((way() - first).norm() / first.norm().clamp(min=1e-30)) for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(seconds_of(way))
    own = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratio = statistics.median(time / base for time, base in zip(times, own, strict=True))
        print(f"{name:<22}{statistics.median(times):>10.4f}{ratio:>10.2f}{apart[name]:>12.1e}", flush=True)
    return statistics.median(own)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.passes", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--network", choices=list(NETWORKS), default="ESPNet", help="(default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images per pass (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=[360, 480], help="height and width (default: 360 480)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way (default: %(default)s)")
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    network = new_victim(given.network, given.device).network
    image = torch.randn(given.batch, 3, *given.size, device=given.device).contiguous(memory_format=torch.channels_last)
    where = f"{given.device}, {torch.get_num_threads()} threads"
    print(f"{given.network}, {given.batch} images of {given.size[0]} x {given.size[1]}, {where}")
    print(f"{'':<22}{'seconds':>10}{'ratio':>10}{'gradient':>12}   (medians of {given.rounds}; its distance)")
    seconds = compare(passes(network, image), given.rounds)
    compare(losses(image), given.rounds)
    operations, product = flop(network, image), product_rate(given.device)
    print(
        f"{operations / given.batch / 1e9:.1f} GFLOP an image, {operations / seconds / 1e9:.0f} GFLOP/s, "
        f"{operations / seconds / product:.0%} of the {product / 1e9:.0f} of a matrix product"
    )


if __name__ == "__main__":
    main()
