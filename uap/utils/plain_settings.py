"""Objects as plain values, for hashes of everything that a result depends on."""

import hashlib
import inspect
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn


def plain_settings(thing: Any) -> Any:
    """Return the class of an object, its code and its attributes as plain values, for a hash.

    Arrays and tensors become hashes of their content. A module's parameters and buffers are included.

    Example:
        >>> from uap.attacks import FGSM
        >>> name, code, attributes = plain_settings(FGSM(2))
        >>> name, attributes["alpha"]
        ('uap.attacks.fgsm.FGSM', 2)
    """
    if thing is None or isinstance(thing, bool | int | float | str):
        return thing
    if isinstance(thing, Tensor):
        thing = thing.detach().cpu().float().numpy()
    if isinstance(thing, np.ndarray):
        return [list(thing.shape), hashlib.sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()[:16]]
    if isinstance(thing, list | tuple):
        return [plain_settings(one) for one in thing]
    if isinstance(thing, dict):
        return {str(name): plain_settings(value) for name, value in thing.items()}
    if isinstance(thing, partial):
        return [plain_settings(thing.func), plain_settings(thing.args), plain_settings(thing.keywords)]
    if callable(thing) and hasattr(thing, "__qualname__"):  # a function or a class
        return [f"{thing.__module__}.{thing.__qualname__}", code(thing)]
    if not hasattr(thing, "__dict__"):
        return str(thing)
    attributes = {name: value for name, value in sorted(vars(thing).items()) if name[0] != "_" and name != "training"}
    if isinstance(thing, nn.Module):
        attributes |= {"state": dict(thing.state_dict())}
    kind = type(thing)
    return [f"{kind.__module__}.{kind.__qualname__}", code(kind), plain_settings(attributes)]


def code(thing: Any) -> str:
    """Return a hash of the source of a function or a class and of its base classes outside torch.

    Without a source it is empty.

    Example:
        >>> class Old:
        ...     pass
        >>> code(Old)
        ''
    """
    kinds = [kind for kind in getattr(thing, "__mro__", (thing,)) if kind.__module__.split(".")[0] not in LIBRARIES]
    texts = [text for text in map(source, kinds) if text]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16] if texts else ""


def source(kind: Any) -> str:
    """Return the source of a function or a class; empty without one.

    Example:
        >>> source(source).splitlines()[0]
        'def source(kind: Any) -> str:'
    """
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return ""


LIBRARIES = ("builtins", "abc", "torch", "typing")
"""Packages whose code is not part of a hash."""
