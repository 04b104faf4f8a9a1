"""The data of a command that has no configuration: `--data CLASS --data.SETTING VALUE ...`."""

from typing import cast

from uap.configuration.class_errors import construction
from uap.configuration.config_files import Parser
from uap.data import SegmentationData


def settings_of_data(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command line that are `--data.SETTING` with their values, and the others."""
    settings: list[str] = []
    others: list[str] = []
    row = iter(words)
    for word in row:
        if word.startswith("--data."):
            settings += [word] if "=" in word else [word, next(row, "")]
        else:
            others.append(word)
    return settings, others


def data_from_words(name: str, settings: list[str], eval_images: int | None, program: str) -> SegmentationData:
    """Return the data that a command line names: `--data=CLASS --data.SETTING VALUE ...`.

    Args:
        name: the class.
        settings: words of the command line, as `settings_of_data` returns them.
        eval_images: number of scored images; None leaves it to the settings.
        program: the command, for its messages.

    Raises:
        InputError: there is no such class, or no such setting of it, or one is out of range.
    """
    count = [] if eval_images is None else [f"--data.eval_images={eval_images}"]
    parser = Parser(prog=program)
    parser.add_subclass_arguments(SegmentationData, "data", required=True)
    parsed = parser.parse_args([f"--data={name}", *settings, *count])
    with construction({}, "data"):
        return cast(SegmentationData, parser.instantiate_classes(parsed).data)
