"""Measures of the certainty of predictions; each function returns one number per image."""

from torch import Tensor


def confidence(logits: Tensor) -> Tensor:
    """Return the mean probability of the predicted class over the locations of each image.

    Arnab et al. (CVPR 2018, sec. 7.1, arXiv 1711.09856) explain the robustness of CRF-RNN by it: 99.1 % against 95.2 %
    for FCN-8s.

    Args:
        logits: `(N, C, *L)`.

    Returns:
        `(N,)` float32, 0 to 1.

    Example:
        >>> import torch
        >>> confidence(torch.tensor([[[9.0, 0.0], [-9.0, 0.0]]])).tolist()  # (N, C, L) = (1, 2, 2)
        [0.75]
    """
    return logits.float().softmax(1).amax(1).flatten(1).mean(1)


def entropy(logits: Tensor) -> Tensor:
    """Return the mean entropy of the class probabilities over the locations of each image, in nats.

    Arnab et al. (CVPR 2018, sec. 7.1, arXiv 1711.09856): 0.025 for CRF-RNN, 0.13 for FCN-8s.

    Args:
        logits: `(N, C, *L)`.

    Returns:
        `(N,)` float32, 0 to log(C).

    Example:
        >>> import torch
        >>> round(entropy(torch.zeros(1, 2, 5)).item(), 4)  # log 2
        0.6931
    """
    log_probabilities = logits.float().log_softmax(1)
    return -(log_probabilities.exp() * log_probabilities).sum(1).flatten(1).mean(1)
