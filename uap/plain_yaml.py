"""YAML that is no larger than it looks."""

from typing import Any

import yaml


def plain_yaml(text: str) -> Any:
    """Return what YAML text holds, without aliases: a few of them make more of it than any memory holds.

    Raises:
        ValueError: it has aliases, or is no YAML.
    """
    try:
        content = yaml.safe_load(text)  # first: its depth is bounded, and to scan what is too deep takes hours
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it has YAML aliases, *name: write out what they stand for")
        return content
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error
