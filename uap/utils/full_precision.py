"""Matrix products in full float32, whatever the settings of torch allow."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply float32 matrices in float32 instead of TF32 or bfloat16, and restore the settings of torch at the end.

    A backward pass outside of the block uses the restored settings.

    Example:
        >>> torch.set_float32_matmul_precision("high")
        >>> with full_precision():
        ...     product = torch.ones(2, 2) @ torch.ones(2, 2)
        >>> torch.get_float32_matmul_precision()
        'high'
        >>> torch.set_float32_matmul_precision("highest")
    """
    if not hasattr(torch.backends.mkldnn, "matmul"):  # before torch 2.9
        general = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(general)
        return
    # the general setting cannot be read once a program has set that of a backend
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
