"""Eval mode of a network for the time of an attack."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def in_eval_mode(model: object) -> Iterator[None]:
    """Put a module and its submodules into eval mode, and restore the mode of each one afterwards.

    In train mode, dropout and batch statistics would change the prediction from step to step, and BatchNorm would
    update its running statistics on adversarial images.

    Args:
        model: the network; a function that is no module stays as it is.

    Example:
        >>> network = nn.Dropout()
        >>> with in_eval_mode(network):
        ...     network.training
        False
        >>> network.training
        True
    """
    # not `modules()`: some networks have an attribute of that name
    modules = [module for _, module in model.named_modules()] if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
