"""Tests of the layers of imports, and that two large libraries are each imported in one file."""

import ast
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "uap"

LAYERS = [
    {"utils"},
    {"configuration"},
    {"networks", "defenses"},
    {"losses", "objectives", "metrics", "victims"},
    {"attacks", "datasets", "detectors"},
    {"data"},
    {"universal", "training"},
    {"evaluation"},
    {"reporting"},
    {"cli"},
    {"commands"},
    {"reproduction"},
]
"""Each package imports from packages before it, or from its own layer. The files of `uap/` are the commands, and so is
the `__main__.py` of a package. Reproductions run commands; `uap.reproduce` is the command above them."""


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found, tree = set(), ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package(module: str) -> str:
    """Return the package of a module, `commands` for the files in `uap/`."""
    name = module.split(".")[1] if "." in module else ""
    return name if (PACKAGE / name).is_dir() and name else "commands"


def layer(name: str) -> int:
    return next(i for i, packages in enumerate(LAYERS) if name in packages)


def test_packages_import_only_earlier_packages() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).parts
        if parts == ("__init__.py",):
            continue
        own = (
            "reproduction"
            if parts == ("reproduce.py",)
            else "commands"
            if len(parts) == 1 or parts[-1] == "__main__.py"
            else parts[0]
        )
        for module in imports(path):
            if module.startswith("uap.") and module != "uap.__version__" and layer(package(module)) > layer(own):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert wrong == []


def test_core_does_not_import_lightning_files_or_commands() -> None:
    names = ("attacks", "datasets", "defenses", "detectors", "losses", "metrics", "networks", "objectives")
    for path in [path for name in names for path in PACKAGE.glob(f"{name}/*.py")]:
        for module in imports(path):
            assert not module.startswith(("pytorch_lightning", "wandb", "argparse", "uap.data.")), f"{path}: {module}"


def test_wandb_and_albumentations_are_imported_in_one_file_each() -> None:
    users = {
        library: [
            str(path.relative_to(PACKAGE))
            for path in sorted(PACKAGE.rglob("*.py"))
            if any(module.split(".")[0] == library for module in imports(path))
        ]
        for library in ("wandb", "albumentations")
    }
    assert users == {"wandb": ["universal/callbacks/wandb_run.py"], "albumentations": ["data/augmentation.py"]}


def test_albumentations_is_the_mit_release() -> None:
    assert "MIT" in str(distribution("albumentations").metadata["License"])
