"""What jsonargparse says of a wrong setting, in a sentence: it prints its usage and every type that it tried."""

import re

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
    return f"{where}{text.rstrip('.')}"


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
