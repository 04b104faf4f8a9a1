"""YAML that is no larger than it looks."""

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses aliases before anything is made of them: a few of them make more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has YAML aliases, *name: write out what they stand for")
        return super().compose_node(parent, index)


def plain_yaml(text: str) -> Any:
    """Return what YAML text without aliases holds.

    Raises:
        ValueError: it has aliases, or is no YAML.
    """
    try:
        return yaml.load(text, _Loader)  # it is a safe one
    except (yaml.YAMLError, RecursionError, LookupError, AttributeError, TypeError) as error:
        # the last three come of tags without a value, such as !!int
        raise ValueError(" ".join(str(error).split())) from error
