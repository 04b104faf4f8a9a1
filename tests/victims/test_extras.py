import subprocess
import sys

import pytest

from uap import fit
from uap.utils.errors import InputError
from uap.victims.adapters.extras import library


def test_installed_library_is_imported() -> None:
    assert library("json", "smp") is sys.modules["json"]


def test_missing_library_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match=r"needs uap_none \(No module .*\)\. Install it: pip install -e '.\[smp\]'\."):
        library("uap_none", "smp")


def test_libraries_of_adapters_are_imported_lazily() -> None:
    heavy = "{'torchvision', 'transformers', 'segmentation_models_pytorch', 'timm', 'huggingface_hub'}"
    code = f"import sys, uap.victims; print({heavy} & set(sys.modules) or 'none')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


@pytest.mark.parametrize(
    ("name", "shown", "hidden"),
    [
        ("Torchvision", ["name", "weights", "classes", "input_size", "size_multiple", "output"], ["network", "mean"]),
        ("HuggingFace", ["name", "classes", "input_size", "size_multiple", "output"], ["network", "weights", "mean"]),
        ("SegmentationModels", ["architecture", "encoder", "weights", "mean", "input_size", "output"], ["network"]),
        ("Exported", ["file", "classes", "channel_order", "mean", "std", "size_multiple", "output"], ["weights"]),
    ],
)
def test_command_line_shows_the_settings_of_an_adapter(
    name: str, shown: list[str], hidden: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        fit.main([f"--model.victim.help=uap.victims.{name}"])
    printed = capsys.readouterr().out
    assert all(f"--model.victim.{option} " in printed for option in shown)
    assert not any(f"--model.victim.{option} " in printed for option in hidden)
