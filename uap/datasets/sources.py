"""The items of data sets, and images that are not plain files, such as members of zip files."""

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
    """An image inside another file; a small object that can be pickled."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The name that the image would have as a plain file."""

    @abc.abstractmethod
    def open(self) -> Image.Image:
        """Return the image.

        Raises:
            InputError: the file that contains it cannot be read.
        """

    @abc.abstractmethod
    def stamp(self) -> list[str | int]:
        """Return plain values that change when the image changes."""


class Item(NamedTuple):
    """An image of a data set.

    Attributes:
        name: name of the image, without a suffix.
        image: path of the image.
        labels: path of the labels; None without labels.
    """

    name: str
    image: Path | Source
    labels: Path | Source | None


def with_unique_names(items: list[Item]) -> list[Item]:
    """Return the items with unique names, regardless of case: repeated names get a number."""
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
    """Check that a path is a file or does not exist, because reading a pipe or device may never end.

    Raises:
        InputError: the path is a folder, a pipe or a device.
    """
    if not path.is_file() and path.exists():
        raise InputError(
            f"{path} is a folder, a pipe or a device, expected a file. Check the path.", kind="unusable_file"
        )


def check_labeled(items: list[Item], where: Path, tree: str) -> list[Item]:
    """Check that all items have labels, and return them.

    Args:
        items: the items of a data set.
        where: the folder or zip file of the labels, for the message.
        tree: the expected folders, for the message.

    Raises:
        InputError: an item has no labels.
    """
    missing = [item.image.name for item in items if item.labels is None]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(items)} images of the split have no labels in {where}, {missing[0]} first. "
            f"Extract or download them again, or move {where} away to use no labels. {tree}",
            kind="missing_file",
        )
    return items


def say_unlabeled(items: list[Item], where: Path, searched: list[str]) -> list[Item]:
    """Report once that a data set has no labels, and return its items.

    Args:
        items: the items of the data set.
        where: the folder of the images, for the message.
        searched: the paths and patterns of labels that do not exist, for the message.
    """
    say_once(
        f"No labels for the {len(items)} images in {where}, so there is no IoU with labels. Searched: "
        f"{', '.join(searched)}."
    )
    return items


def stamp(path: Path | Source) -> list[str | int]:
    """Return plain values that change when an image changes; for a file, its path, length and modification time.

    Raises:
        OSError: the file does not exist.
    """
    if isinstance(path, Source):
        return path.stamp()
    facts = path.stat()
    return [str(path.absolute()), facts.st_size, facts.st_mtime_ns]


def stamps(items: list[Item], *, with_labels: bool = False) -> list[list[str | int] | None]:
    """Return the stamp of each image, followed by that of its labels if `with_labels` is set.

    Raises:
        InputError: a file does not exist.
    """
    files = [file for item in items for file in ([item.image, item.labels] if with_labels else [item.image])]
    try:
        return [None if file is None else stamp(file) for file in files]
    except OSError as error:
        raise unreadable_file(Path(str(error.filename)), error, "Extract the data set again.") from error


@dataclass(frozen=True)
class ZipMember(Source):
    """An image inside a zip file. It is read into memory and not extracted, so an unsafe name cannot do any harm.

    Attributes:
        archive: the zip file.
        member: name of the image in the zip file.
    """

    archive: Path
    member: str

    @property
    def name(self) -> str:
        """The name of the member without its folders."""
        return self.member.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        """Return the path for messages."""
        return f"{self.archive}/{self.member}"

    def open(self) -> Image.Image:
        """Return the image.

        Raises:
            InputError: the zip file is missing or damaged.
        """
        try:
            content = _archive(self.archive).read(self.member)
        except KeyError:
            raise InputError(
                f"{self.archive} has no member {self.member}. Check the path, or download it again.",
                kind="missing_file",
            ) from None
        except OSError as error:
            raise unreadable_file(self.archive, error, GET_ZIP) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise InputError(
                f"{self} cannot be read ({error}). Download the zip file again.", kind="unusable_file"
            ) from error
        return Image.open(io.BytesIO(content), formats=FORMATS)

    def stamp(self) -> list[str | int]:
        """Return the path, the length and the checksum."""
        facts = _archive(self.archive).getinfo(self.member)
        return [str(self.archive.absolute()), self.member, facts.file_size, facts.CRC]


def members(archive: Path) -> list[str]:
    """Return the names of the members of a zip file, sorted; an empty list if the file does not exist.

    Raises:
        InputError: the file is not a zip file, or is truncated.
    """
    return sorted(_archive(archive).namelist()) if archive.exists() else []


def _archive(path: Path) -> zipfile.ZipFile:
    """Return an open zip file, one per process, because forked workers would share the read position of one file."""
    try:
        check_file(path)
        facts = path.stat()
        return _opened(path, os.getpid(), facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise unreadable_file(path, error, GET_ZIP) from error
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} cannot be read as a zip file ({error}). The download is incomplete, or the file has another "
            "format. Download it again.",
            kind="unusable_file",
        ) from error


@functools.cache
def _opened(path: Path, process: int, length: int, changed: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
