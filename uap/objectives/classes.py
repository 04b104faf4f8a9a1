"""Classes that an objective is given: ids or names."""

from collections.abc import Sequence
from numbers import Integral

from uap.objectives.base import Model
from uap.utils.errors import InputError


def check_classes(owner: str, setting: str, given: object, kinds: tuple[type, ...]) -> None:
    """Check that an argument is a list of classes; `True` and `False` are no ids.

    Args:
        owner: the objective, for the message.
        setting: the dotted name of the argument.
        given: what was given.
        kinds: of each class: `int` for an id, `str` for a name.

    Raises:
        InputError: it is no list, or one of them is of another type.

    Example:
        >>> check_classes("HideClasses", "model.objective.hide", ["person"], (str,))
        >>> check_classes("HideClasses", "model.objective.hide", "person", (str,))
        Traceback (most recent call last):
            ...
        uap.utils.errors.InputError: HideClasses got hide='person', expected a list of names of classes.
    """
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else None
    allowed = tuple(Integral if kind is int else kind for kind in kinds)
    if listed is None or any(isinstance(one, bool) or not isinstance(one, allowed) for one in listed):
        words = " or ".join({int: "ids", str: "names"}[kind] for kind in kinds)
        raise InputError(
            f"{owner} got {setting.rpartition('.')[2]}={given!r}, expected a list of {words} of classes.",
            setting=setting,
            kind="wrong_type",
        )


def class_id(victim: Model, name: int | str, classes: int) -> int:
    """Return a class id for an id or a name, for a network with a number of outputs.

    Raises:
        InputError: the network has no such class or no names, or neither an id nor a name is given.

    Example:
        >>> class_id(lambda images: images, 2, 3)
        2
    """
    if isinstance(name, bool) or not isinstance(name, int | str):
        raise InputError(f"The class {name!r} is neither an id nor a name. Give one of the two.", kind="wrong_type")
    if isinstance(name, int):
        if not 0 <= name < classes:
            raise InputError(f"There is no class {name}, expected an id from 0 to {classes - 1}.", kind="out_of_range")
        return name
    table = getattr(victim, "table", None)
    if table is None:
        raise InputError(
            f"The class {name!r} is a name, but the network has no class names. Wrap it in uap.Victim.",
            kind="not_supported",
        )
    return int(table.ids([name])[0])
