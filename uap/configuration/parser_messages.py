"""What jsonargparse says of a wrong setting, in a sentence: it prints its usage and every type that it tried."""

import re

from uap.configuration.class_names import known_classes, unknown_class

NOISE = re.compile(
    r"Does not validate|Subtypes: |Errors:$|Given value type: |Given value: NestedArg|Expected an? <class 'NoneType'>|"
    r"Expected a path but .* either not accessible or invalid|Problem with given class_path .*:$"
)
"""Lines that help nobody who gave a setting."""

KEY = re.compile(r'Parser key "(?P<key>[^"]+)":')
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "tuple": "[...]",
    "list": "[...]",
    "NoneType": "null",
}


def sentence(message: str) -> str:
    """Return a parser's message as setting, fault and advice."""
    if (cure := wrapper_for(message)) is not None:
        return cure
    return f"{fault(message)}. --print_config shows the settings and their values."


def fault(message: str) -> str:
    """Return what is left of a parser's message when the types that it tried are left out: setting and fault."""
    found = [line.strip().removeprefix("- ") for line in message.splitlines()]
    # a class that cannot be imported is said on one line with the fault, or on two
    lines = [re.sub(r"^Problem with given class_path '[^']*': *", "", line) for line in found if line]
    keys = [match["key"] for line in lines if (match := KEY.search(line))]
    faults = [_plain(line) for line in (KEY.sub("", line).strip() for line in lines) if line and not NOISE.search(line)]
    text = "; ".join(dict.fromkeys(faults)) or " ".join(message.split())
    where = f"{'.'.join(keys)}: " if keys else ""
    wanted = unknown_class(message)
    like, others = known_classes(".".join(keys), wanted) if wanted else ([], [])
    if like or others:
        meant = f" Did you mean {like[0]}?" if like else ""
        return f"{where}there is no class {wanted}.{meant} There are {', '.join([*like, *others])}"
    return f"{where}{text.rstrip('.')}"


SETTINGS_OBJECT = re.compile(
    r"class_path '(?P<raised>[\w.]+)':\s+'(NoneType|dict|Namespace|NestedArg)' object has no attribute '\w+'|"
    r"required: (?P<required>args|cfg|config|opts?|hparams|params)\b|"
    r"[.\"](?P<given>args|cfg|config|opts?|hparams|params)\":\s+(Problem with [^\n]*:\s+)?Option '\w+' is not accepted"
)
"""What is said of a class whose constructor wants its settings as attributes of one object."""


def wrapper_for(message: str) -> str | None:
    """Return the cure of a class that wants its settings as one object, as of argparse; None of other messages."""
    found = SETTINGS_OBJECT.search(message)
    if found is None:
        return None
    named = re.findall(r"class_path(?:'?: |=| )'([\w.]+)'", message)
    path = found["raised"] or next((name for name in reversed(named) if name != "argparse.Namespace"), "my_net.Net")
    return wrapper(path)


def wrapper(path: str) -> str:
    """Return the wrapper to write around a class, by its import path, that wants its settings as one object."""
    module, _, name = path.rpartition(".")
    return (
        f"{path} wants its settings as attributes of one object, as argparse gives them, which no configuration can "
        "write. Wrap it in a module of your own, and name that in class_path with init_args: {settings: {...}}:\n"
        f"import argparse, {module}\n"
        f"class {name}WithSettings({path}):\n"
        "    def __init__(self, settings: dict): super().__init__(argparse.Namespace(**settings))"
    )


def _plain(text: str) -> str:
    """Return a line with its types in words."""
    text = re.sub(r"typing\.Literal\[(.*?)\]", lambda match: "one of " + match[1].replace("'", ""), text)
    text = re.sub(r"<class '([\w.]+)'>", lambda match: KINDS.get(match[1], match[1].rsplit(".", 1)[-1]), text)
    text = re.sub(r"a dot import path string: .*", "a class by its whole path, such as uap.losses.CrossEntropy", text)
    text = re.sub(r"a tuple with (\d) elements", r"[...] with \1 values", text)
    text = re.sub(r" Add the import path to .*", "", text)
    text = re.sub(r"\ban? (one of|a |true|null|\[)", r"\1", text)
    text = re.sub(r"^Type .* expects a function or a callable class:\s*", "", text)
    return re.sub(r"\.? *(?:Given|Got) value: ", ", got ", text).removeprefix(", ")
