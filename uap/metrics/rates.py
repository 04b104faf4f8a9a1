"""Torchmetrics that sum counts over batches and ranks, and the distribution of a rate over images."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torchmetrics import Metric


def distribution(counts: Tensor, *, higher_is_better: bool = True) -> dict[str, float | list[float]]:
    """Return the distribution of a rate over images; images without counted pixels are left out.

    Args:
        counts: (images, 2) int64: hits, pixels.
        higher_is_better: whether a higher rate is better for the attacker.

    Returns:
        `worst_decile`, the mean rate of the tenth of the images (rounded down, at least one) with the worst rates for
        the attacker, and `deciles`, the 0th, 10th, ..., 100th percentile of the rate. Empty without images.

    Example:
        >>> distribution(torch.tensor([[1, 4], [3, 4], [0, 0]]))["worst_decile"]
        0.25
    """
    counts = counts[counts[:, 1] > 0].double()
    if not len(counts):
        return {}
    shares = (counts[:, 0] / counts[:, 1]).sort().values
    deciles = shares.quantile(torch.linspace(0, 1, 11, dtype=torch.float64))
    tenth = max(1, len(shares) // 10)
    worst = shares[:tenth] if higher_is_better else shares[-tenth:]
    return {
        "worst_decile": round(float(worst.mean()), 6),
        "deciles": [round(share, 6) for share in deciles.tolist()],
    }


@contextmanager
def without_update_warning() -> Iterator[None]:
    """Suppress the warning of torchmetrics about metrics without an update, because a rank may have no images.

    Example:
        >>> with without_update_warning():
        ...     print(PixelRate().compute())
        tensor(nan, dtype=torch.float64)
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``compute`` method of metric .* was called before the ``update``")
        yield


class PixelRate(Metric):
    """Hits divided by pixels, summed over a data set, with the counts of each image.

    The rate can exceed 1 if the hits are not a subset of the pixels.

    Example:
        >>> rate = PixelRate()
        >>> rate.update(torch.tensor([[1, 4], [3, 4]]), index=torch.tensor([0, 1]))
        >>> rate.compute().item(), rate.per_image().tolist()
        (0.5, [[0, 1, 4], [1, 3, 4]])
    """

    full_state_update = False
    hits: Tensor
    pixels: Tensor

    def __init__(self) -> None:
        """Start without pixels."""
        super().__init__()
        self.add_state("hits", torch.tensor(0, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("pixels", torch.tensor(0, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("images", [], dist_reduce_fx="cat")
        self.images: list[Tensor]
        self.images.append(torch.zeros(0, 3, dtype=torch.int64))  # a rank without images must send the same type

    def update(self, counts: Tensor, index: Tensor) -> None:
        """Add the counts `(N, 2)` of hits and pixels of the images with the indices `(N,)`."""
        self.hits += counts[:, 0].sum()
        self.pixels += counts[:, 1].sum()
        self.images.append(torch.cat([index[:, None].to(counts), counts], dim=1))

    def compute(self) -> Tensor:
        """Return the rate; NaN without pixels."""
        rate = self.hits.cpu().double() / self.pixels.cpu()
        return rate.masked_fill(self.pixels.cpu() == 0, torch.nan)  # hits over no pixel would be infinite

    def per_image(self) -> Tensor:
        """Return `(images, 3)` int64, sorted by index: index, hits, pixels. Every rank must call it."""
        with self.sync_context():
            images = self.images if isinstance(self.images, list) else [self.images]
            rows = torch.cat([torch.zeros(0, 3, dtype=torch.int64), *(counts.cpu() for counts in images)])
        return rows[rows[:, 0].argsort()]


class CountTable(Metric):
    """A table of counts that are summed over a data set.

    Example:
        >>> table = CountTable(1, 2)
        >>> for _ in range(3):
        ...     table.update(torch.tensor([[1, 2]]))
        >>> table.compute().tolist()
        [[3, 6]]
    """

    full_state_update = False
    table: Tensor

    def __init__(self, rows: int, columns: int) -> None:
        """Start with zeros."""
        super().__init__()
        self.add_state("table", torch.zeros(rows, columns, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, counts: Tensor) -> None:
        """Add counts `(rows, columns)`."""
        self.table += counts.to(self.table.device)

    def compute(self) -> Tensor:
        """Return the sums `(rows, columns)` int64, on the CPU."""
        return self.table.cpu()
