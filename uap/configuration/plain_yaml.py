"""Safe reading of YAML: plain values only, and no aliases."""

from typing import Any

import yaml


class _Loader(yaml.SafeLoader):
    """A loader that refuses aliases before they are expanded: a few nested aliases can exhaust the memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("it has YAML aliases, *name: write their values out")
        return super().compose_node(parent, index)


def plain_yaml(text: str, *, aliases: bool = False) -> Any:
    """Return the plain values of a YAML text.

    Args:
        text: the YAML text.
        aliases: whether aliases are allowed; only for files from a trusted source.

    Raises:
        ValueError: the text is not valid YAML, or has aliases that are not allowed.
    """
    try:
        return (yaml.SafeLoader if aliases else _Loader)(text).get_single_data()
    except (yaml.YAMLError, RecursionError, LookupError, AttributeError, TypeError) as error:
        # the last three are raised for tags without a value, such as !!int
        raise ValueError(" ".join(str(error).split())) from error
