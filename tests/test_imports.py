"""Imports run one way, and the two heavy libraries stay where they belong (design of the house)."""

import ast
from importlib.metadata import distribution
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "uap"

LAYERS = [
    {
        "errors",
        "class_errors",
        "class_names",
        "config_files",
        "config_paths",
        "memory",
        "parser_messages",
        "parts",
        "paths",
        "pickled_objects",
        "plain_yaml",
        "processes",
        "progress",
        "attack_metrics",
        "labels",
        "rivals",
        "run_folder",
        "safe_load",
        "scenes",
        "short_help",
        "slurm",
        "used_folder",
        "whole_file",
    },
    {"perturbation", "perturbation_files", "targets", "losses", "metrics", "optim", "reach", "victims", "checkpoints"},
    {"data"},
    {"attack", "attacks", "training", "callbacks"},
    {"cli", "door"},
    {"scoring"},
    {"fit", "evaluate", "attack_images", "train_victim", "apply", "apply_files", "report", "transfer", "robustness"},
    {"reproduce"},
]
"""Each room imports from rooms before it, or from its own layer; the `__main__.py` of a room is a door."""


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it but as a program: there it may open a door."""
    found, tree = set(), ast.parse(path.read_text())
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'")
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def layer(name: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms)


def test_imports_run_one_way() -> None:
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__" or path.name == "__main__.py":
            continue
        for module in imports(path):
            if module.startswith("uap.") and room(module) not in (own, "__version__"):
                assert layer(room(module)) <= layer(own), f"{path} imports {module}"


def test_tensor_code_knows_no_lightning_no_wandb_and_no_data_set() -> None:
    names = ("perturbation.py", "targets.py", "losses/*.py", "metrics.py", "optim.py")
    for path in [path for name in names for path in PACKAGE.glob(name)]:
        for module in imports(path):
            assert not module.startswith(("pytorch_lightning", "wandb", "uap.data")), f"{path} imports {module}"


def test_wandb_and_albumentations_are_imported_in_one_file_each() -> None:
    users = {
        library: [
            str(path.relative_to(PACKAGE))
            for path in sorted(PACKAGE.rglob("*.py"))
            if any(module.split(".")[0] == library for module in imports(path))
        ]
        for library in ("wandb", "albumentations")
    }
    assert users == {"wandb": ["callbacks/wandb_run.py"], "albumentations": ["data/transforms.py"]}


def test_albumentations_is_the_mit_release() -> None:
    assert "MIT" in str(distribution("albumentations").metadata["License"])
