"""YAML that is no larger than it looks."""

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """Refuses aliases before anything is made of them: a few of them make more than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has YAML aliases, *name: write out what they stand for")
        return super().compose_node(parent, index)


def plain_yaml(text: str, *, aliases: bool = False) -> Any:
    """Return what YAML text holds, plain values alone; `aliases` are for files whose makers are trusted.

    Raises:
        ValueError: it is no YAML, or has aliases.
    """
    try:
        return (yaml.SafeLoader if aliases else _Loader)(text).get_single_data()
    except (yaml.YAMLError, RecursionError, LookupError, AttributeError, TypeError) as error:
        # the last three come of tags without a value, such as !!int
        raise ValueError(" ".join(str(error).split())) from error
