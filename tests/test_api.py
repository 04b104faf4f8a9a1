"""Tests of the public interface: imports are lazy and fast, and do not affect other libraries."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import uap
from uap.__main__ import main


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_no_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import uap; "
        "print({m.split('.')[0] for m in set(sys.modules) - before} - sys.stdlib_module_names)"
    )
    assert run(code).strip() == "{'uap'}"


@pytest.mark.slow
def test_core_imports_neither_lightning_nor_wandb() -> None:
    code = (
        "import sys, uap; uap.learn, uap.attacks.DAG, uap.objectives.Untargeted, uap.evaluation.evaluate, uap.losses; "
        "print([m for m in ('pytorch_lightning', 'wandb', 'albumentations') if m in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_every_public_name_can_be_imported() -> None:
    assert [name for name in uap.__all__ if getattr(uap, name) is None] == []
    assert set(uap.__all__) <= set(dir(uap))
    with pytest.raises(AttributeError, match="nothing"):
        getattr(uap, "nothing")  # noqa: B009


NAMES = re.compile(r"\buap(?:\.[A-Za-z_]\w*){2,}")


@pytest.mark.slow
def test_names_of_the_pages_need_no_other_import_than_that_of_the_package() -> None:
    """Each name is looked up in a process of its own, because an import by another name would hide a missing one."""
    pages = [Path(__file__).parents[1] / page for page in ("README.md", "docs/python_api.md")]
    names = sorted({name for page in pages for name in NAMES.findall(page.read_text())})
    code = (
        "import functools, os, torch, uap\n"
        f"for name in {names}:\n"
        "    if not os.fork():\n"
        "        try: functools.reduce(getattr, name.split('.')[1:], uap)\n"
        "        except Exception: print(name, flush=True)\n"
        "        os._exit(0)\n"
        "    os.wait()"
    )
    assert "uap.metrics.roc" in names
    assert run(code) == ""


def test_command_line_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv[:] = ["uap"]
    with pytest.raises(SystemExit) as ended:
        main()
    listed = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {command}" in listed for command in ("fit", "evaluate", "victims"))


def test_list_of_commands_does_not_import_torch() -> None:
    code = "import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('uap', run_name='__main__')"
    check = f"try:\n    {code}\nexcept SystemExit:\n    print('torch' in sys.modules)"
    assert run(check).splitlines()[-1] == "False"


def test_unknown_command_exits_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    sys.argv[:] = ["uap", "fitt"]
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "fitt" in capsys.readouterr().err


def test_command_equals_its_module() -> None:
    by_name = subprocess.run([sys.executable, "-m", "uap", "fit", "--help"], capture_output=True, text=True)
    by_module = subprocess.run([sys.executable, "-m", "uap.fit", "--help"], capture_output=True, text=True)
    assert by_name.returncode == by_module.returncode == 0
    assert by_name.stdout == by_module.stdout
