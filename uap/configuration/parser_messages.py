"""Short messages for the errors of jsonargparse, which print the usage and every type that was tried."""

import re

from uap.configuration.class_names import known_classes, unknown_class
from uap.utils.errors import Kind

NOISE = re.compile(
    r"Does not validate|Subtypes: |Errors:$|Given value type: |Given value: (NestedArg|Namespace)|"
    r"Expected an? <class 'NoneType'>|Subclass types expect one of|^a (class path \(|dict with)|"
    r"Expected a path but .* either not accessible or invalid|Problem with given class_path .*:$"
)
"""Lines of an error of jsonargparse that are left out."""

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


REQUIRED = re.compile(r"arguments are required: (?P<names>[\w.]+(?:, [\w.]+)*)")
NO_CLASS = re.compile(r"Expected an instantiatable class, but|Not a valid subclass of \w+\. Got value: (\{|None)")
"""Messages about a setting whose value is a class, but without `class_path`: the parser tries the base class."""

YAML = {
    "model.objective": "model: {objective: {class_path: uap.objectives.HideClasses, init_args: {hide: [person]}}}",
    "data": "data: {class_path: uap.data.CamVid, init_args: {root: data/camvid}}",
}
"""By setting: a line of a configuration that sets it."""


def sentence(message: str) -> str:
    """Return a message of the parser as setting, error and advice."""
    if (advice := wrapper_advice(message)) is not None:
        return advice
    if (missing := _missing_class(message)) is not None:
        return missing
    return f"{fault(message)}. --print_config shows the settings and their values."


def setting_of(message: str) -> str | None:
    """Return the dotted name of the setting that a message of the parser is about; None if it names none."""
    keys = _keys(message)
    required = REQUIRED.search(message)
    if required and ", " not in required["names"]:
        keys.append(required["names"])
    return ".".join(keys) or None


def kind_of(message: str) -> Kind:
    """Return the kind of the fault in a message of the parser."""
    if REQUIRED.search(message) or NO_CLASS.search(message):
        return "missing_setting"
    is_name = unknown_class(message) or re.search(r"is not accepted|nrecognized|typing\.Literal|not allowed", message)
    return "unknown_name" if is_name else "wrong_type"


def _lines(message: str) -> list[str]:
    found = [line.strip().removeprefix("- ") for line in message.splitlines()]
    # the message about a class that cannot be imported has one line or two
    return [re.sub(r"^Problem with given class_path '[^']*': *", "", line) for line in found if line]


def _keys(message: str) -> list[str]:
    return [match["key"] for line in _lines(message) if (match := KEY.search(line))]


def _missing_class(message: str) -> str | None:
    """Return a message with the classes of a setting that is missing or has no class; None for other messages."""
    required = REQUIRED.search(message)
    if required is None and NO_CLASS.search(message) is None:
        return None
    setting = required["names"].split(", ")[0] if required else ".".join(_keys(message))
    _, classes = known_classes(setting, "")
    if not classes:
        return None
    problem = "is missing" if required else "has no class: its class_path is missing or names a base class"
    example = f" In YAML: {YAML[setting]}" if setting in YAML else ""
    return f"{setting} {problem}. The classes are {', '.join(classes)}.{example}"


def fault(message: str) -> str:
    """Return the setting and the error of a message of the parser, without the types that were tried."""
    lines, key = _lines(message), ".".join(_keys(message))
    faults = [_plain(line) for line in (KEY.sub("", line).strip() for line in lines) if line and not NOISE.search(line)]
    text = "; ".join(dict.fromkeys(faults)) or " ".join(message.split())
    where = f"{key}: " if key else ""
    unknown = unknown_class(message)
    similar, others = known_classes(key, unknown) if unknown else ([], [])
    if similar or others:
        suggestion = f" Did you mean {similar[0]}?" if similar else ""
        return f"{where}there is no class {unknown}.{suggestion} The classes are {', '.join([*similar, *others])}"
    return f"{where}{text.rstrip('.')}"


SETTINGS_OBJECT = re.compile(
    r"class_path '(?P<raised>[\w.]+)':\s+'(NoneType|dict|Namespace|NestedArg)' object has no attribute '\w+'|"
    r"required: (?P<required>args|cfg|config|opts?|hparams|params)\b|"
    r"[.\"](?P<given>args|cfg|config|opts?|hparams|params)\":\s+(Problem with [^\n]*:\s+)?Option '\w+' is not accepted"
)
"""Messages about a class whose constructor takes one object with the settings as attributes."""


def wrapper_advice(message: str) -> str | None:
    """Return a message with a wrapper class if a class takes its settings as one object; None for other messages."""
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
        f"{path} takes its settings as attributes of one object, as argparse returns them. A configuration cannot "
        "describe such an object. Put this wrapper into a module of your own, and set class_path to the wrapper and "
        "init_args to {settings: {...}}:\n"
        f"import argparse, {module}\n"
        f"class {name}WithSettings({path}):\n"
        "    def __init__(self, settings: dict): super().__init__(argparse.Namespace(**settings))"
    )


def _plain(text: str) -> str:
    """Return a line with its types replaced by words."""
    text = re.sub(r"typing\.Literal\[(.*?)\]", lambda match: "one of " + match[1].replace("'", ""), text)
    text = re.sub(r"<class '([\w.]+)'>", lambda match: KINDS.get(match[1], match[1].rsplit(".", 1)[-1]), text)
    text = re.sub(r"a dot import path string: .*", "the full path of a class, such as uap.losses.CrossEntropy", text)
    text = re.sub(r"a tuple with (\d) elements", r"[...] with \1 values", text)
    text = re.sub(r" Add the import path to .*", "", text)
    text = re.sub(r"\ban? (one of|a |true|null|\[)", r"\1", text)
    text = re.sub(r"^Type .* expects a function or a callable class:\s*", "", text)
    return re.sub(r"\.? *(?:Given|Got) value: ", ", got ", text).removeprefix(", ")
