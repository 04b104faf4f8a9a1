"""Victims from Hugging Face transformers: SegFormer, UperNet, DPT, MobileViT, BEiT and others."""

import math
from types import ModuleType
from typing import Any, Literal

from uap.utils.errors import InputError, first_line
from uap.victims.adapters.extras import library
from uap.victims.class_table import Classes
from uap.victims.victim import Victim


class HuggingFace(Victim):
    """A victim from the Hugging Face hub or a local folder, with its classes and the settings of its image processor.

    Only safetensors files are read, and no code of a repository is executed. Needs the extra `transformers`.
    """

    def __init__(
        self,
        name: str,
        classes: Classes | None = None,
        input_size: tuple[int, int] | Literal["processor"] | None = "processor",
        size_multiple: int = 1,
        **settings: Any,
    ) -> None:
        """Load the network and its image processor.

        Args:
            name: id of a repository on the hub (`nvidia/segformer-b0-finetuned-ade-512-512`), which is downloaded once,
                or a local folder with a network and an image processor saved by `save_pretrained`.
            classes: name of a class table, or class names; by default `id2label` of the network.
            input_size: height and width to which images are resized; by default the size of the processor. If the
                processor keeps the aspect ratio (`shortest_edge`) or crops, images are not resized: choose a similar
                `--data.size`. With None, images are never resized.
            size_multiple: height and width of the input must be multiples of this number and of that of the processor.
            settings: the setting `output` of `Victim`.

        Raises:
            InputError: the network does not exist, is not for segmentation, or has no safetensors file.
        """
        network, processor = _load(library("transformers", "transformers"), name)
        labels = network.config.id2label
        mean, std = _mean_and_std(processor)
        super().__init__(
            network,
            weights=None,
            classes=classes or [labels[i] for i in range(len(labels))],
            channel_order="bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb",
            mean=mean,
            std=std,
            size_multiple=math.lcm(size_multiple, getattr(processor, "ensure_multiple_of", None) or 1),
            input_size=_size(processor) if input_size == "processor" else input_size,
            **settings,
        )


def _load(transformers: ModuleType, name: str) -> tuple[Any, Any]:
    try:
        network, report = transformers.AutoModelForSemanticSegmentation.from_pretrained(
            name, use_safetensors=True, output_loading_info=True
        )
        processor = transformers.AutoImageProcessor.from_pretrained(name)
    except Exception as error:  # transformers, the hub and safetensors raise many types of errors
        raise InputError(
            f"{name} cannot be loaded with transformers ({first_line(error)}). Expected a local "
            "folder, or the id of a repository on the hub (which is downloaded at the first use), with config.json, "
            "preprocessor_config.json and model.safetensors of a network for semantic segmentation.",
            kind="unusable_file",
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"{name} lacks {len(missing)} weights of {type(network).__name__} ({missing[0]} first): it was not trained "
            "for segmentation. Choose a segmentation network.",
            kind="unusable_file",
        )
    return network, processor


def _mean_and_std(processor: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and std in grey levels; the processor computes (image * rescale_factor - mean) / std."""
    scale = 1 / processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return (0.0, 0.0, 0.0), (scale, scale, scale)
    mean, std = ([scale * v for v in values] for values in (processor.image_mean, processor.image_std))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _size(processor: Any) -> tuple[int, int] | None:
    """Return the fixed height and width to which a processor resizes images, or None."""
    if not processor.do_resize or processor.do_center_crop or getattr(processor, "keep_aspect_ratio", False):
        return None
    size = dict(processor.size)
    return (size["height"], size["width"]) if {"height", "width"} <= size.keys() else None
