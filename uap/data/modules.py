"""The LightningDataModule of a data set, with the settings of the data set and of `SegmentationData`."""

import inspect
from functools import partial
from typing import Any

import docstring_parser

from uap.data.datamodule import SegmentationData
from uap.datasets import SegmentationDataset

OWN = tuple(inspect.signature(SegmentationData.__init__).parameters.values())[2:]  # without self and the data set
"""The settings of `SegmentationData`."""


def data_module(dataset: type[SegmentationDataset]) -> Any:
    """Return the subclass of `SegmentationData` for a data set, so that a configuration can name it.

    The arguments of its constructor are those of the data set except `split`, and those of `SegmentationData`. If the
    data set has a `seed`, both get the same.

    Args:
        dataset: the class of the data set.

    Example:
        >>> from uap.datasets import CamVid
        >>> data_module(CamVid)("data/camvid", batch_size=8).batch_size
        8
    """
    of_dataset = {name: p for name, p in inspect.signature(dataset).parameters.items() if name != "split"}
    own = {p.name: p for p in OWN}
    settings = (of_dataset | own).values()

    def __init__(self: SegmentationData, *args: Any, **kwargs: Any) -> None:
        given = inspect.Signature(list(settings)).bind(*args, **kwargs).arguments
        make = partial(dataset, **{name: value for name, value in given.items() if name in of_dataset})
        SegmentationData.__init__(self, make, **{name: value for name, value in given.items() if name in own})

    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    __init__.__signature__ = inspect.Signature([first, *settings])  # type: ignore[attr-defined]  # for the parser
    __init__.__doc__ = _documentation(dataset)
    attributes = {"__init__": __init__, "__doc__": dataset.__doc__, "__module__": "uap.data"}
    return type(dataset.__name__, (SegmentationData,), attributes | {"dataset_class": dataset, "table": dataset.table})


def _documentation(dataset: type[SegmentationDataset]) -> str:
    """Return the documentation of the arguments for the help of commands."""
    classes = (SegmentationDataset, dataset, SegmentationData)
    parts = [docstring_parser.parse(part.__init__.__doc__ or "") for part in classes]
    texts = {p.arg_name: " ".join((p.description or "").split()) for part in parts for p in part.params}
    return "\n".join(["Describe the data.", "", "Args:", *(f"    {name}: {text}" for name, text in texts.items())])
