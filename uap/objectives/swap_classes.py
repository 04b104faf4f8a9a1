"""Classes replaced by other classes, the clean prediction elsewhere."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from uap.objectives.base import Mask, PredictionObjective, ReadTarget
from uap.objectives.classes import check_classes
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError, in_setting


class SwapClasses(PredictionObjective):
    """Predict a destination class in the place of each source class (Kang et al., IEEE Access 2020, eq. 7 and 8).

    The region of the goal are the pixels that are predicted as a source class on the clean image. Everywhere else the
    label is the clean prediction. The paper's tasks are people to vegetation, and vehicles to road or building.

    Args:
        swap: the destination by source class, names of classes of the network.
        min_pixels: learn from images whose clean prediction has at least so many pixels of source classes.

    Raises:
        InputError: there is no class, a class is its own destination, or the classes are no names.

    Example:
        >>> import numpy as np
        >>> from uap.utils.class_tables import LabelTable
        >>> objective = SwapClasses({"person": "road"})
        >>> objective.bind(LabelTable(("road", "sky", "person"), ((0, 0, 0),) * 3))
        >>> labels, region = objective.make(np.array([[1, 2, 2]], np.uint8))
        >>> labels.tolist(), region.tolist()
        ([[1, 0, 0]], [[False, True, True]])
    """

    metrics: ClassVar[tuple[str, ...]] = ("swapped", "source_kept", "preserved", "source_change")
    has_region: ClassVar[bool] = True

    def __init__(self, swap: dict[str, str], min_pixels: int = 1) -> None:
        """Name the classes."""
        if not isinstance(swap, dict):
            raise InputError(
                f"SwapClasses got swap={swap!r}, expected the destination by source class, such as {{person: road}}.",
                setting="model.objective.swap",
                kind="wrong_type",
            )
        check_classes("SwapClasses", "model.objective.swap", [*swap, *swap.values()], (str,))
        unchanged = [name for name, destination in swap.items() if name == destination]
        if not swap or unchanged:
            given = f"{unchanged[0]!r} as its own destination" if unchanged else "no class"
            raise InputError(
                f"SwapClasses got {given}. Name a destination for each source class, such as swap: {{person: road}}.",
                setting="model.objective.swap",
                kind="conflict" if unchanged else "missing_setting",
            )
        self.swap = swap
        self.min_pixels = min_pixels
        self.sources: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The objective in tables."""
        return ", ".join(f"{source} to {destination}" for source, destination in self.swap.items())

    def translated(
        self, ids: Mask, own: LabelTable, other: LabelTable, size: tuple[int, int]
    ) -> tuple["SwapClasses | None", str]:
        """Return the objective with the names of another network; None if it has none of the pairs of classes."""
        pairs = {
            (source, destination): tuple(int(ids[c]) for c in own.ids([source, destination]))
            for source, destination in self.swap.items()
        }
        unknown = [f"{source} to {to}" for (source, to), found in pairs.items() if IGNORE in found]
        known = {other.names[a]: other.names[b] for a, b in pairs.values() if IGNORE not in (a, b) and a != b}
        note = f"this network lacks a class of {', '.join(unknown)}" if unknown else ""
        return (SwapClasses(known, self.min_pixels) if known else None), note

    def bind(self, table: LabelTable, read: ReadTarget | None = None) -> None:
        """Look the classes up.

        Raises:
            InputError: the network does not have one of them.
        """
        with in_setting("model.objective.swap"):
            self.sources = table.ids(list(self.swap))
            self.destinations = np.arange(256, dtype=np.uint8)
            self.destinations[list(self.sources)] = [table.ids([name])[0] for name in self.swap.values()]

    def usable(self, predictions: Mask) -> NDArray[np.bool_]:
        """Return the images `(N,)` with enough pixels of the source classes."""
        inside = np.isin(predictions, self.sources)
        enough: NDArray[np.bool_] = inside.sum(tuple(range(1, predictions.ndim))) >= self.min_pixels
        return enough

    def make(self, prediction: Mask | None) -> tuple[Mask, NDArray[np.bool_]]:
        """Return the prediction with its source classes replaced, and where they were."""
        if prediction is None:
            raise RuntimeError("SwapClasses.make was called before there was a clean prediction")
        if not self.sources:
            raise InputError(
                "SwapClasses needs the names of the network's classes. Wrap it in uap.Victim(classes=...).",
                setting="model.objective.swap",
                kind="not_supported",
            )
        return self.destinations[prediction], np.isin(prediction, self.sources)
