"""uap COMMAND [ARGUMENT ...]: the same as python -m uap.COMMAND."""

import runpy
import sys

COMMANDS = {
    "fit": "learn a universal perturbation",
    "attack": "attack each image by itself",
    "evaluate": "score a perturbation on another split or data set",
    "robustness": "compare networks by their IoU ratio over epsilon",
    "distortions": "score a perturbation after JPEG, resizing, noise and shifts",
    "transfer": "score perturbations on other networks and data sets",
    "detect": "score detectors of attacked images by their AUC",
    "boxes": "attack a detection network and score its boxes",
    "apply": "write adversarial images and videos",
    "report": "write one HTML page on one or several runs",
    "reproduce": "run the tables and figures of a paper",
    "train_victim": "train a network to attack",
    "train_boxes": "train a detection network to attack",
    "victims": "list networks, and check how one is set up",
}
"""Every command with a line of help."""


def usage() -> str:
    """Return the list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {help_line}" for name, help_line in COMMANDS.items()]
    return "usage: uap COMMAND [ARGUMENT ...]\n\n" + "\n".join(lines) + "\n\nuap COMMAND --help explains a command."


def main() -> None:
    """Run the command that the first argument names."""
    given = sys.argv[1:2]
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0)
    name = given[0].replace("-", "_")
    if name not in COMMANDS:
        print(f"{given[0]} is no command of uap.\n\n{usage()}", file=sys.stderr)
        raise SystemExit(2)
    sys.argv[:2] = [f"uap {name}"]
    runpy.run_module(f"uap.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
