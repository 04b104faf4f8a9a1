"""Clean images of a grid of attacks, predicted once by each network."""

from uap.data import SegmentationData
from uap.data.clean_predictions import with_predictions
from uap.data.samples import Samples
from uap.defenses import RandomDefense
from uap.evaluation.evaluate import evaluate
from uap.evaluation.experiment import device_trainer
from uap.objectives import Untargeted
from uap.utils.progress import shows_bars
from uap.victims import Victim


class CleanImages:
    """The images for each network: with its clean predictions, and with the certainty of these.

    Args:
        data: the images, set up.
    """

    def __init__(self, data: SegmentationData) -> None:
        """Predict nothing yet."""
        self.data = data
        self.trainer = device_trainer()
        self._samples: dict[Victim, Samples] = {}
        self._certainty: dict[Victim, dict[str, float]] = {}

    def samples(self, victim: Victim) -> Samples:
        """Return the images with labels in the classes of a network, and with its predictions if they are not random.

        Raises:
            InputError: an image cannot be read, or the predictions cannot be written.
        """
        if victim not in self._samples:
            samples, is_random = self.data.datasets["scored"], any(random_defenses(victim))
            with_classes = samples.with_classes(victim.table)
            self._samples[victim] = with_classes if is_random else with_predictions(samples, victim, self.trainer)
        return self._samples[victim]

    def certainty(self, victim: Victim) -> dict[str, float]:
        """Return confidence and entropy of the predictions of a network, by their keys in `METRICS`."""
        if victim not in self._certainty:
            images, names = self.samples(victim).loader(), ("confidence", "entropy")
            found = evaluate(
                victim, images, None, Untargeted(), scored=("float",), extra=names, title="Clean", progress=shows_bars()
            )
            self._certainty[victim] = {f"{name}_clean": found.metrics["float"][name] for name in names}
        return self._certainty[victim]


def random_defenses(victim: Victim) -> list[RandomDefense]:
    """Return the defenses of a wrapped victim that sample."""
    return [module for module in victim.modules() if isinstance(module, RandomDefense)]
