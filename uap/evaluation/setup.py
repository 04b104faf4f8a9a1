"""The evaluation setup of a perturbation: a network and images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from torch import nn

from uap.data import SegmentationData
from uap.data.clean_predictions import with_predictions
from uap.data.samples import Samples
from uap.datasets.sources import stamps
from uap.evaluation.experiment import build_data, facts_of_data
from uap.evaluation.perturbation_scores import score
from uap.evaluation.saved_perturbation import SavedPerturbation
from uap.universal.perturbation import Perturbation
from uap.utils.errors import in_message_of
from uap.victims.building import build_victim


class EvaluationSetup:
    """A network and the images on which perturbations are evaluated, at the size of the experiment or another size."""

    def __init__(
        self, name: str, config: Path, images: int | None, trainer: Trainer, data_from: Path | None = None
    ) -> None:
        """Build the network and find the images.

        Args:
            name: its name in tables.
            config: a configuration file with `model.victim`, and with `data` unless `data_from` is given.
            images: number of images; None for `data.eval_images` of the configuration.
            trainer: gives the device.
            data_from: a configuration file whose `data` replaces that of `config`.

        Raises:
            InputError: the network or the data cannot be built.
        """
        self.name = name
        self.data_from = data_from or config
        self.images = images
        self.trainer = trainer
        self.victim = build_victim(config).to(trainer.strategy.root_device)
        self.cache_key = self.victim.cache_key()
        self.size = build_data(self.data_from).size
        self.loaded: dict[tuple[int, int], SegmentationData] = {}
        self.predicted: dict[tuple[int, int], Samples] = {}

    def data(self, size: tuple[int, int]) -> SegmentationData:
        """Return the images at a size. The first call for a size checks the network on it.

        Raises:
            InputError: the images do not exist, or the network does not support the size.
        """
        if size not in self.loaded:
            with in_message_of(self.name):
                self.loaded[size] = self._load(size)
        return self.loaded[size]

    def _load(self, size: tuple[int, int]) -> SegmentationData:
        self.victim.check(size)
        data = build_data(self.data_from, size, self.images)
        data.prepare_data()
        data.setup("validate")
        return data

    def identity(self, size: tuple[int, int]) -> list[Any]:
        """Return everything that metrics depend on except the perturbation, as plain values for a hash.

        Raises:
            InputError: as of `data`, or an image does not exist.
        """
        images = self.data(size).datasets["scored"].images
        with in_message_of(self.name):
            files = stamps(images.items, with_labels=True)
        network = [self.cache_key, self.victim.table.names]
        return [*network, images.table.names, size, images.reading(), files]

    def facts(self) -> dict[str, str]:
        """Return its properties for tables."""
        data = self.data(self.size)
        return {
            "network": type(self.victim.network).__name__ + (" (random weights)" if self.victim.is_untrained else ""),
            **facts_of_data(data),
        }

    def samples(self, size: tuple[int, int]) -> Samples:
        """Return the images at a size, with clean predictions and with labels in the classes of the network.

        Raises:
            InputError: as of `data`, or the predictions cannot be written.
        """
        if size not in self.predicted:
            samples = self.data(size).datasets["scored"]
            self.predicted[size] = with_predictions(samples, self.victim, self.trainer)
        return self.predicted[size]

    def score(
        self,
        learned: SavedPerturbation,
        title: str,
        change: Callable[[Perturbation], nn.Module | None] = lambda perturbation: perturbation,
    ) -> tuple[dict[str, float] | None, str]:
        """Return the metrics of a perturbation on this network and its images.

        A perturbation that is not periodic is scored on images of the size for which it was learned.

        Args:
            learned: the perturbation and its objective.
            title: title of the progress bar.
            change: maps the perturbation to the module that is scored, or to None for clean images.

        Returns:
            The metrics by name, or None if the network has no class of the target; and a note about missing classes.
        """
        size = learned.size or self.size
        samples = self.samples(size)
        objective, note = learned.target_for(self.victim, size)
        if objective is None:
            return None, note
        attack = change(learned.perturbation.to(self.trainer.strategy.root_device))
        return score(self.victim, samples, objective, attack, title), note
