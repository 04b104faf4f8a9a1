"""Networks of segmentation-models-pytorch: any of its architectures on any of its encoders."""

from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from uap.utils.errors import InputError, first_line
from uap.victims.adapters.extras import library
from uap.victims.victim import Classes, Victim, table_of

Triple = tuple[float, float, float]


class SegmentationModels(Victim):
    """A network of segmentation-models-pytorch (smp). Needs the extra `smp`."""

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
            architecture: as in smp.create_model; or a local folder, or the id of a repository on the Hugging Face hub,
                that `save_pretrained` of such a network wrote, which knows its encoder and its weights.
            encoder: as in smp.create_model.
            weights: a `.safetensors` or `.pth` file of the whole network.
            classes: a class table by name, or the names of the network's outputs (`void` for one that is no class).
            encoder_weights: published weights of the encoder alone, which are downloaded once; for a network that is to
                be trained.
            channel_order: of the network's input; by default that of the encoder's pre-training, or RGB with a mean and
                std of your own.
            mean: in grey levels; by default that of the encoder's pre-training, which smp looks up on the hub.
            std: in grey levels, likewise.
            settings: `input_size` and `output`, as of Victim.

        Raises:
            InputError: there is no such network, or no weights or preprocessing of it.
        """
        smp = library("segmentation_models_pytorch", "smp")
        published = Path(architecture).is_dir() or "/" in architecture
        try:
            if published:
                network = smp.from_pretrained(architecture, encoder_weights=None)
            else:
                network = smp.create_model(architecture, encoder, encoder_weights, 3, len(table_of(classes)))
        except Exception as error:  # smp, timm and the hub raise errors of many kinds
            raise InputError(f"smp cannot build {architecture} on {encoder}: {first_line(error)}") from error
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
    """Return channel order, mean and std in grey levels of an encoder's pre-training."""
    try:
        found = smp.encoders.get_preprocessing_params(encoder, weights)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"The preprocessing of the encoder {encoder} cannot be looked up ({first_line(error)}). Set "
            "victim.mean and victim.std, in grey levels, and victim.channel_order."
        ) from error
    scale = 255 / found["input_range"][1]
    mean, std = ([scale * value for value in found[name]] for name in ("mean", "std"))
    order: Literal["rgb", "bgr"] = "bgr" if found["input_space"] == "BGR" else "rgb"
    return order, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
