"""The base of victims that wrap another victim."""

import hashlib
import json
from typing import Any

import torch
from torch import Tensor, nn

from uap.utils.class_tables import LabelTable
from uap.utils.errors import InputError, first_line
from uap.utils.plain_settings import code
from uap.victims.sanity_checks import noise_images
from uap.victims.victim import Victim


class WrappedVictim(Victim):
    """A victim around another victim, with its classes, weights and preprocessing.

    A subclass implements `forward` and returns its own settings (`settings`), which become part of the fingerprint.
    """

    def __init__(self, victim: Victim) -> None:
        """Wrap a victim.

        Args:
            victim: any victim, wrapped or not.
        """
        nn.Module.__init__(self)  # not that of Victim: it would freeze and lay out the network again
        self.victim = victim
        self.train(False)

    @property
    def table(self) -> LabelTable:  # type: ignore[override]
        """The classes of the outputs."""
        return self.victim.table

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The network of the wrapped victim."""
        return self.victim.network

    @property
    def mean(self) -> Tensor:  # type: ignore[override]
        """The mean of each channel, in grey levels."""
        return self.victim.mean

    @property
    def std(self) -> Tensor:  # type: ignore[override]
        """The standard deviation of each channel, in grey levels."""
        return self.victim.std

    @property
    def is_untrained(self) -> bool:  # type: ignore[override]
        """Whether the weights of the network are random."""
        return self.victim.is_untrained

    def settings(self) -> list[Any]:
        """Return the settings that the logits depend on beside the wrapped victim, as plain values."""
        return []

    def check(self, size: tuple[int, int]) -> None:
        """Check the wrapped victim and run the wrapper on one image; see `Victim.check`."""
        self.victim.check(size)
        try:
            with torch.no_grad():
                self(noise_images(self, size)[:1])
        except InputError:
            raise
        except Exception as error:  # the network may raise any error for a size that the wrapper gives it
            raise InputError(
                f"The network {type(self.network).__name__} fails in {type(self).__name__} on images of {size[0]} x "
                f"{size[1]} ({first_line(error)}). Set --data.size to a size at which it also takes what "
                f"{type(self).__name__} gives it, or leave the wrapper out.",
                setting="data.size",
                kind="not_supported",
            ) from error

    def cache_key(self) -> str:
        """Return a hash of the fingerprint, of the code of the wrapper and of the wrapped victim; see `Victim`."""
        content = json.dumps([self.fingerprint(), self.victim.cache_key(), code(type(self))])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def fingerprint(self) -> str:
        """Return a hash of the wrapped victim and of the settings: 16 hexadecimal digits."""
        content = json.dumps([type(self).__name__, self.victim.fingerprint(), self.settings()])
        return hashlib.sha256(content.encode()).hexdigest()[:16]
