"""Segmentation networks of Hugging Face's transformers: SegFormer, UperNet, DPT, MobileViT, BEiT and others."""

import math
from types import ModuleType
from typing import Any, Literal

from uap.utils.errors import InputError, first_line
from uap.victims.adapters.extras import library
from uap.victims.victim import Classes, Victim


class HuggingFace(Victim):
    """A network of the Hugging Face hub or of a local folder, with its image processor's preprocessing and classes.

    Weights are read as safetensors only, and no code of a repository is run. Needs the extra `transformers`.
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
            name: the id of a repository on the hub (`nvidia/segformer-b0-finetuned-ade-512-512`), which is downloaded
                once, or a local folder that `save_pretrained` of a network and of its image processor wrote.
            classes: a class table by name, or names; those of the network's `id2label` by default.
            input_size: height and width that images are resized to; by default what the processor resizes to. One that
                keeps the proportions (`shortest_edge`) or crops names no such size, and images go in at their own:
                choose `--data.size` like it. `null` lets them in at their own size where the processor would resize.
            size_multiple: the network takes heights and widths that are multiples of it and of what the processor says.
            settings: `output`, as of Victim.

        Raises:
            InputError: there is no such network, or it has no head for segmentation or no safetensors.
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
    except Exception as error:  # transformers, the hub and safetensors raise errors of many kinds
        raise InputError(
            f"{name} cannot be loaded with transformers ({first_line(error)}). Expected a local "
            "folder, or the id of a repository on the hub (which is downloaded at its first use), with config.json, "
            "preprocessor_config.json and model.safetensors of a network for semantic segmentation."
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(
            f"{name} lacks {len(missing)} weights of {type(network).__name__} ({missing[0]} first): it was not trained "
            "for segmentation. Choose a network that was."
        )
    return network, processor


def _mean_and_std(processor: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and std in grey levels; the processor takes (image * rescale_factor - mean) / std."""
    scale = 1 / processor.rescale_factor if processor.do_rescale else 1.0
    if not processor.do_normalize:
        return (0.0, 0.0, 0.0), (scale, scale, scale)
    mean, std = ([scale * v for v in values] for values in (processor.image_mean, processor.image_std))
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _size(processor: Any) -> tuple[int, int] | None:
    """Return the one size that a processor resizes images to, if there is one."""
    if not processor.do_resize or processor.do_center_crop or getattr(processor, "keep_aspect_ratio", False):
        return None
    size = dict(processor.size)
    return (size["height"], size["width"]) if {"height", "width"} <= size.keys() else None
