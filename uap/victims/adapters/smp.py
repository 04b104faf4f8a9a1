"""Victims from segmentation-models-pytorch (smp), with any of its architectures and encoders."""

from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from uap.utils.errors import InputError, first_line
from uap.victims.adapters.extras import library
from uap.victims.class_table import Classes, table_of
from uap.victims.victim import Victim

Triple = tuple[float, float, float]


class SegmentationModels(Victim):
    """A victim from segmentation-models-pytorch (smp). Needs the extra `smp`."""

    def __init__(
        self,
        architecture: str = "Unet",
        encoder: str = "resnet34",
        weights: str | None = None,
        classes: Classes = "cityscapes",
        encoder_weights: str | None = None,
        channel_order: Literal["rgb", "bgr"] | None = None,
        mean: Triple | None = None,
        std: Triple | None = None,
        **settings: Any,
    ) -> None:
        """Build the network and load its weights.

        Args:
            architecture: architecture of smp.create_model; or a local folder, or the id of a repository on the Hugging
                Face hub, with a network saved by `save_pretrained`, which includes encoder and weights.
            encoder: encoder of smp.create_model.
            weights: a `.safetensors` or `.pth` file of the whole network.
            classes: name of a class table, or class names of the outputs (`void` for an output without a class).
            encoder_weights: published weights of the encoder, which are downloaded once; for a network to be trained.
            channel_order: channel order of the input; by default that of the encoder's pretraining, or RGB if mean and
                std are given.
            mean: mean of each channel in grey levels; by default that of the encoder's pretraining, from the hub.
            std: standard deviation of each channel in grey levels, with the same default.
            settings: the settings `input_size` and `output` of `Victim`.

        Raises:
            InputError: the network, its weights or its preprocessing cannot be found.
        """
        smp = library("segmentation_models_pytorch", "smp")
        published = Path(architecture).is_dir() or "/" in architecture
        try:
            if published:
                network = smp.from_pretrained(architecture, encoder_weights=None)
            else:
                network = smp.create_model(architecture, encoder, encoder_weights, 3, len(table_of(classes)))
        except Exception as error:  # smp, timm and the hub raise many types of errors
            raise InputError(
                f"smp cannot build {architecture} on {encoder}: {first_line(error)}", kind="unusable_file"
            ) from error
        if mean is None or std is None:
            found = _preprocessing(smp, network.config["encoder_name"], encoder_weights or "imagenet")
            channel_order, mean, std = channel_order or found[0], mean or found[1], std or found[2]
        super().__init__(
            network,
            weights=weights,
            classes=classes,
            channel_order=channel_order or "rgb",
            mean=mean,
            std=std,
            size_multiple=network.encoder.output_stride if network.requires_divisible_input_shape else 1,
            **settings,
        )


def _preprocessing(smp: ModuleType, encoder: str, weights: str) -> tuple[Literal["rgb", "bgr"], Triple, Triple]:
    """Return channel order, mean and std in grey levels of the pretraining of an encoder."""
    try:
        found = smp.encoders.get_preprocessing_params(encoder, weights)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The preprocessing of the encoder {encoder} cannot be looked up ({first_line(error)}). Set "
            "victim.mean and victim.std, in grey levels, and victim.channel_order.",
            setting="model.victim.mean",
            kind="missing_setting",
        ) from error
    scale = 255 / found["input_range"][1]
    mean, std = ([scale * value for value in found[name]] for name in ("mean", "std"))
    order: Literal["rgb", "bgr"] = "bgr" if found["input_space"] == "BGR" else "rgb"
    return order, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
