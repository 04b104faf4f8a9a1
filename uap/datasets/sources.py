"""Where the images of a data set are: plain files, members of zip files, or what else can be opened as a picture."""

import abc
import functools
import io
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from uap.datasets.files import FORMATS
from uap.datasets.unreadable import unreadable_file
from uap.utils.errors import InputError
from uap.utils.messages import say_once

GET_ZIP = "Check the path, or download the zip file again."


class Source(abc.ABC):
    """A picture that is no plain file; small, and the same in every process that it is sent to."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name of a file that would hold it."""

    @abc.abstractmethod
    def open(self) -> Image.Image:
        """Return the picture.

        Raises:
            InputError: what it is in cannot be read.
        """

    @abc.abstractmethod
    def stamp(self) -> list[str | int]:
        """Return what changes when the picture does."""


class Item(NamedTuple):
    """One image and, where there are any, its labels."""

    name: str
    image: Path | Source
    labels: Path | Source | None


def named_once(items: list[Item]) -> list[Item]:
    """Return the items with names that differ in more than letter case: a repeated name gets a number."""
    named: list[Item] = []
    taken = {item.name.casefold() for item in items}
    used: set[str] = set()
    for item in items:
        name, number = item.name, 1
        while name.casefold() in used or (number > 1 and name.casefold() in taken):
            number += 1
            name = f"{item.name}_{number}"
        used.add(name.casefold())
        named.append(item._replace(name=name))
    return named


def check_file(path: Path) -> None:
    """Check that what is at a path, if anything, is a file: to read a pipe or a device may take for ever.

    Raises:
        InputError: it is none.
    """
    if not path.is_file() and path.exists():
        raise InputError(f"{path} is a folder, a pipe or a device, expected a file. Check the path.")


def check_labeled(items: list[Item], where: Path, tree: str) -> list[Item]:
    """Return the items of a data set whose labels lie in `where`.

    Raises:
        InputError: some have none there; the message shows the `tree` that is expected.
    """
    missing = [item.image.name for item in items if item.labels is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(items)} images of the split have no labels in {where}, {missing[0]} first. "
            f"Extract or download them again, or move {where} away to go without labels. {tree}"
        )
    return items


def say_unlabeled(items: list[Item], where: Path, sought: list[str]) -> list[Item]:
    """Return the items of a data set none of which has labels, and say once where these were sought."""
    say_once(
        f"No labels for the {len(items)} images in {where}, so they have no IoU figures. Sought: {', '.join(sought)}."
    )
    return items


def stamp(place: Path | Source) -> list[str | int]:
    """Return what changes when a picture does: of a file the path, the length and the time of its last change.

    Raises:
        OSError: the file is not there.
    """
    if isinstance(place, Source):
        return place.stamp()
    facts = place.stat()
    return [str(place.absolute()), facts.st_size, facts.st_mtime_ns]


def stamps(items: list[Item], *, with_labels: bool = False) -> list[list[str | int] | None]:
    """Return the stamp of each image, and of its labels.

    Raises:
        InputError: one is not there.
    """
    places = [place for item in items for place in ([item.image, item.labels] if with_labels else [item.image])]
    try:
        return [None if place is None else stamp(place) for place in places]
    except OSError as error:
        raise unreadable_file(Path(str(error.filename)), error, "Extract the data set again.") from error


@dataclass(frozen=True)
class ZipMember(Source):
    """A picture inside a zip file. It is read into memory and never extracted, so its name can do no harm."""

    archive: Path
    member: str

    @property
    def name(self) -> str:
        """The name of the member without its folders."""
        return self.member.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        """Return the place as messages show it."""
        return f"{self.archive}/{self.member}"

    def open(self) -> Image.Image:
        """Return the picture.

        Raises:
            InputError: the zip file is gone or damaged.
        """
        try:
            content = _archive(self.archive).read(self.member)
        except KeyError:
            raise InputError(f"{self.archive} holds no {self.member}. Check the path, or download it again.") from None
        except OSError as error:
            raise unreadable_file(self.archive, error, GET_ZIP) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise InputError(f"{self} cannot be read ({error}). Download the zip file again.") from error
        return Image.open(io.BytesIO(content), formats=FORMATS)

    def stamp(self) -> list[str | int]:
        """Return the place, the length and the checksum."""
        facts = _archive(self.archive).getinfo(self.member)
        return [str(self.archive.absolute()), self.member, facts.file_size, facts.CRC]


def members(archive: Path) -> list[str]:
    """Return the names in a zip file, sorted; none where the file does not exist.

    Raises:
        InputError: the file is no zip file, or the end of it is missing.
    """
    return sorted(_archive(archive).namelist()) if archive.exists() else []


def _archive(path: Path) -> zipfile.ZipFile:
    """Return a zip file that this process opened: forked workers that shared one would move each other's position."""
    try:
        check_file(path)
        facts = path.stat()
        return _opened(path, os.getpid(), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise unreadable_file(path, error, GET_ZIP) from error
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} cannot be read as a zip file ({error}). It was not downloaded to its end, or is none: download it "
            "again."
        ) from error


@functools.cache
def _opened(path: Path, process: int, length: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
