"""How run folders are called in tables."""

from pathlib import Path

import pytest

from uap.errors import InputError
from uap.run_folder import unique_names


def test_names_are_as_short_as_can_be() -> None:
    for name in ("a/x/one", "b/x/one", "two.5"):
        Path(name).mkdir(parents=True)
    Path("three.yaml").touch()
    assert unique_names([Path("a/x/one"), Path("two.5"), Path("three.yaml")]) == ["one", "two.5", "three"]
    assert unique_names([Path("a/x/one"), Path("b/x/one")]) == ["a/x/one", "b/x/one"]
    assert unique_names([Path("a")]) == ["a"]
    with pytest.raises(InputError, match="a was given twice"):
        unique_names([Path("a"), Path("b"), Path("./a")])
