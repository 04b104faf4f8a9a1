"""Networks that change activations in place, run as if they did not: the backward pass needs what they overwrite.

PyTorch refuses such a network's backward pass to the image, though its prediction is right. Under `OutOfPlace` each
in-place function gives a new tensor instead: `x += y` binds `x` to the sum, and nothing else notices.
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

HOMES = (Tensor, torch, F)
"""Where the out-of-place form of an in-place function is looked for."""


class OutOfPlace(TorchFunctionMode):
    """Gives a new tensor wherever a function would change an activation: `x += y`, `x.add_(y)`, `inplace=True`.

    An activation is a tensor that the gradient goes through; others, such as counters and masks, change as before.
    What has no out-of-place form (`x[0] = y`, `x.copy_(y)`) changes its tensor, and a statement `x.add_(y)` whose
    result is dropped has no effect: compare the prediction with the network's own.
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
    """Return whether a call changes its first argument in place, and the gradient goes through that."""
    name = getattr(func, "__name__", "")
    in_place = settings.get("inplace") or name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
    return bool(in_place) and bool(args) and isinstance(args[0], Tensor) and args[0].requires_grad


def out_of_place(func: Any) -> Callable[..., Any] | None:
    """Return the form of an in-place function such as `Tensor.add_` that gives a new tensor, if there is one."""
    name = func.__name__.removesuffix("_")
    found = (getattr(home, name, None) for home in HOMES)
    return next((form for form in found if callable(form)), None)


class Places(OutOfPlace):
    """Runs a network as `OutOfPlace` does, and notes where that does not do what the network meant.

    Attributes:
        dropped: where the result of an in-place function is dropped, so that its effect is lost.
        kept: where a tensor is changed in place after all.
    """

    def __init__(self) -> None:
        """Note nothing yet."""
        super().__init__()
        self.dropped: list[str] = []
        self.kept: list[str] = []
        self.last: tuple[weakref.ref[Tensor], str] | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call as `OutOfPlace` does; a result that nobody holds when the next function is called was dropped."""
        if self.last is not None and self.last[0]() is None:
            self.dropped.append(self.last[1])
        self.last = None
        if not changes_activation(func, args, kwargs or {}):
            return super().__torch_function__(func, types, args, kwargs)
        place = _place(sys._getframe(1))
        if not (kwargs or {}).get("inplace") and out_of_place(func) is None:
            self.kept.append(place)
        result = super().__torch_function__(func, types, args, kwargs)
        self.last = (weakref.ref(result), place) if isinstance(result, Tensor) else None
        return result


def _place(frame: FrameType | None) -> str:
    """Return the module, file and line of the network's own code that a function of torch was called from."""
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "torch":
        frame = frame.f_back
    if frame is None:
        return "code that cannot be seen"
    module = type(frame.f_locals["self"]).__name__ if "self" in frame.f_locals else frame.f_code.co_name
    return f"{module} ({frame.f_code.co_filename.rsplit('/', 1)[-1]}, line {frame.f_lineno})"


def places(run: Callable[[], object]) -> str:
    """Return where a network is not the same out of place, in words; empty where it is not seen."""
    seen = Places()
    with suppress(RuntimeError), torch.enable_grad(), seen:  # what autograd forbids in the forward pass
        run()
    return ", ".join(dict.fromkeys(seen.dropped or seen.kept))
