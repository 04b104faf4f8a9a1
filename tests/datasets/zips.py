"""The files of `make_cityscapes` as the official zip files of Cityscapes."""

import shutil
import zipfile
from pathlib import Path

from tests.helpers import make_cityscapes


def make_zips(root: Path, train: int = 6) -> Path:
    make_cityscapes(root, train)
    for kind in ("leftImg8bit", "gtFine"):
        pack(root, kind, root / f"{kind}_trainvaltest.zip")
    return root


def pack(root: Path, folder: str, archive: Path) -> Path:
    """Move the content of a folder into a zip file."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted((root / folder).rglob("*")):
            packed.write(path, path.relative_to(root))
    shutil.rmtree(root / folder)
    return archive
