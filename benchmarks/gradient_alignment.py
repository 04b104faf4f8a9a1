"""Ways to combine the gradients of several networks, for patterns that shall transfer to another one."""

import torch
from torch import Tensor


def agreeing(gradients: Tensor) -> Tensor:
    """Return the sum, each value weighted by the share of networks that agree on its sign.

    The weight is the absolute value of the mean sign, 0 if as many networks have one sign as the other. It is a soft
    form of the AND-mask of Parascandolo et al. (ICLR 2021, arXiv 2009.00329).

    Args:
        gradients: `(M, ...)`, one for each network.

    Example:
        >>> agreeing(torch.tensor([[1.0, 3.0], [3.0, -1.0]])).tolist()
        [4.0, 0.0]
    """
    return gradients.sum(0) * gradients.sign().mean(0).abs()


def projected(gradients: Tensor) -> Tensor:
    """Return the sum of gradients without their conflicting parts (Yu et al., NeurIPS 2020, arXiv 2001.06782).

    A gradient loses its component along each other one that it has a negative scalar product with.

    Args:
        gradients: `(M, ...)`, one for each network.

    Example:
        >>> projected(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])).tolist()
        [0.5, 1.5]
    """
    rows = gradients.flatten(1)
    result = torch.zeros_like(rows[0])
    for row in rows:
        for other in rows:
            product = row @ other
            if product < 0:
                row = row - product / other.square().sum() * other
        result += row
    return result.view_as(gradients[0])
