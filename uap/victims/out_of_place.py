"""Out-of-place execution of networks that change activations in place.

The backward pass to the image needs the overwritten activations, so PyTorch refuses it for such a network. Under
`OutOfPlace`, each in-place function returns a new tensor instead: `x += y` binds `x` to the sum.
"""

import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

NAMESPACES = (Tensor, torch, F)
"""Namespaces in which the out-of-place form of an in-place function is looked up."""


class OutOfPlace(TorchFunctionMode):
    """A torch function mode that replaces in-place changes of activations: `x += y`, `x.add_(y)`, `inplace=True`.

    Activations are tensors that require a gradient. Other tensors, such as counters and masks, change in place as
    before. The replacement is not always correct: functions without an out-of-place form (`x[0] = y`, `x.copy_(y)`)
    still change their tensor, and a statement `x.add_(y)` without an assignment has no effect. Compare the prediction
    with that of the unmodified network.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, or its out-of-place form."""
        settings = dict(kwargs or {})
        if not changes_activation(func, args, settings):
            return func(*args, **settings)
        if "inplace" in settings:
            return func(*args, **settings | {"inplace": False})
        return (out_of_place(func) or func)(*args, **settings)


def changes_activation(func: Any, args: tuple[Any, ...], settings: dict[str, Any]) -> bool:
    """Return whether a call changes its first argument in place, and that argument requires a gradient."""
    name = getattr(func, "__name__", "")
    in_place = settings.get("inplace") or name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    return bool(in_place) and bool(args) and isinstance(args[0], Tensor) and args[0].requires_grad


def out_of_place(func: Any) -> Callable[..., Any] | None:
    """Return the out-of-place form of an in-place function such as `Tensor.add_`, or None."""
    name = func.__name__.removesuffix("_")
    found = (getattr(namespace, name, None) for namespace in NAMESPACES)
    return next((form for form in found if callable(form)), None)


class OutOfPlaceErrors(OutOfPlace):
    """An `OutOfPlace` mode that records the calls for which the replacement is not correct.

    Attributes:
        dropped: code locations at which the result of an in-place function is not used, so that its effect is lost.
        kept: code locations at which a tensor is still changed in place.
    """

    def __init__(self) -> None:
        """Start with empty lists."""
        super().__init__()
        self.dropped: list[str] = []
        self.kept: list[str] = []
        self.last: tuple[weakref.ref[Tensor], str] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call as `OutOfPlace` does; a result without references at the next call was not used."""
        if self.last is not None and self.last[0]() is None:
            self.dropped.append(self.last[1])
        self.last = None
        if not changes_activation(func, args, kwargs or {}):
            return super().__torch_function__(func, types, args, kwargs)
        location = _location(sys._getframe(1))
        if not (kwargs or {}).get("inplace") and out_of_place(func) is None:
            self.kept.append(location)
        result = super().__torch_function__(func, types, args, kwargs)
        self.last = (weakref.ref(result), location) if isinstance(result, Tensor) else None
        return result


def _location(frame: FrameType | None) -> str:
    """Return the module, file and line of the code of the network that called a function of torch."""
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "torch":
        frame = frame.f_back
    if frame is None:
        return "compiled code"
    module = type(frame.f_locals["self"]).__name__ if "self" in frame.f_locals else frame.f_code.co_name
    return f"{module} ({frame.f_code.co_filename.rsplit('/', 1)[-1]}, line {frame.f_lineno})"


def out_of_place_errors(run: Callable[[], object]) -> str:
    """Return the code locations at which the out-of-place execution of `run` is not correct; empty if none is found."""
    errors = OutOfPlaceErrors()
    with suppress(RuntimeError), torch.enable_grad(), errors:  # autograd refuses some changes in the forward pass
        run()
    return ", ".join(dict.fromkeys(errors.dropped or errors.kept))
