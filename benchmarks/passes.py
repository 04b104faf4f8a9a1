"""Variants of the forward and backward pass of a network, and of the loss.

    python -m benchmarks.passes [--network CGNet|FCN-8s] [--device cuda] [--batch 4] [--size 360 480] [--rounds 7]

Every round runs each variant once, so a change of the speed of the machine does not affect the ratios. The gradient is
that of the mean of the logits with respect to the normalized image. It is compared with the gradient of the default
variant. The networks have random weights. The rate of the pass is compared with that of a product of two large
matrices.
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
    """Return the forward and backward pass of a network, under autocast to `dtype` if it is given."""

    def run() -> Tensor:
        image.requires_grad_(True)
        with torch.autocast(image.device.type, dtype, enabled=dtype is not None):
            mean = network(image).float().mean()
        return torch.autograd.grad(mean, image)[0]

    return run


def passes(network: nn.Module, image: Tensor) -> dict[str, Pass]:
    """Return the variants by name. The first is the default."""
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    return {
        "default": gradient_of(network, image),
        "PyTorch's PReLU": gradient_of(with_torch_layers(network, FrozenPReLU), image),
        "PyTorch's BatchNorm": gradient_of(with_torch_layers(network, FrozenBatchNorm2d), image),
        "both": gradient_of(with_torch_layers(network, FrozenPReLU, FrozenBatchNorm2d), image),
        "not channels-last": gradient_of(contiguous, image.contiguous()),
        "bf16 autocast": gradient_of(network, image, torch.bfloat16),
        "torch.compile": gradient_of(torch.compile(copy.deepcopy(network)), image),
    }


def losses(image: Tensor) -> dict[str, Pass]:
    """Return the cross entropy of 20 classes at the size of the images, ours and PyTorch's.

    Ours is measured for logits whose exponentials are in range, and for larger logits.
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
        "ours, large logits": run(cross_entropy, small + 100),
        "PyTorch's": run(lambda x, y: F.cross_entropy(x, y, reduction="none"), small),
    }


def seconds_of(variant: Callable[[], object]) -> float:
    """Return the duration of a call, in seconds."""
    start = now()
    variant()
    return now() - start


def flop(network: nn.Module, image: Tensor) -> int:
    """Return the number of floating point operations of a pass. A product and a sum count as two."""
    with FlopCounterMode(display=False) as counter:  # it fails with torch.autograd.grad
        network(image.detach().requires_grad_()).mean().backward()
    return int(counter.get_total_flops())


def product_rate(device: str) -> float:
    """Return the number of operations per second of a product of two large matrices.

    On a CPU, the product is a 1 x 1 convolution, because the rate of the library of the convolutions is of interest.
    """
    side = 4096 if device == "cuda" else 2048
    first, second = torch.randn(2, side, side, device=device)
    pixels = first.view(1, side, side // 32, 32).contiguous(memory_format=torch.channels_last)
    weights = second[..., None, None].contiguous(memory_format=torch.channels_last)

    def product() -> Tensor:
        return first @ second if device == "cuda" else F.conv2d(pixels, weights)

    return 2 * side**3 / statistics.median(seconds_of(product) for _ in range(7))


def compare(variants: dict[str, Pass], rounds: int) -> float:
    """Print the time of each variant, its ratio to the first, and the distance of its gradient from that of the first.

    Returns:
        The median time of the first, in seconds.
    """
    first = next(iter(variants.values()))()
    distances = {name: float((run() - first).norm() / first.norm().clamp(min=1e-30)) for name, run in variants.items()}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            seconds[name].append(seconds_of(run))
    own = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratio = statistics.median(time / base for time, base in zip(times, own, strict=True))
        print(f"{name:<22}{statistics.median(times):>10.4f}{ratio:>10.2f}{distances[name]:>12.1e}", flush=True)
    return statistics.median(own)


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.passes", description=(__doc__ or "").split("\n")[0], allow_abbrev=False
    )
    parser.add_argument("--network", choices=list(NETWORKS), default="ESPNet", help="(default: %(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to run (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=4, help="images per pass (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=[360, 480], help="height and width (default: 360 480)")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each variant (default: %(default)s)")
    given = parser.parse_args()
    keep_freed_memory()  # as the commands do
    network = new_victim(given.network, given.device).network
    image = torch.randn(given.batch, 3, *given.size, device=given.device).contiguous(memory_format=torch.channels_last)
    where = f"{given.device}, {torch.get_num_threads()} threads"
    print(f"{given.network}, {given.batch} images of {given.size[0]} x {given.size[1]}, {where}")
    print(f"{'':<22}{'seconds':>10}{'ratio':>10}{'gradient':>12}   (medians of {given.rounds}; relative distance)")
    seconds = compare(passes(network, image), given.rounds)
    compare(losses(image), given.rounds)
    operations, product = flop(network, image), product_rate(given.device)
    print(
        f"{operations / given.batch / 1e9:.1f} GFLOP per image, {operations / seconds / 1e9:.0f} GFLOP/s, "
        f"{operations / seconds / product:.0%} of the rate of a matrix product ({product / 1e9:.0f} GFLOP/s)"
    )


if __name__ == "__main__":
    main()
