"""A parser's complaint, in a sentence."""

import pytest

from uap.parser_messages import sentence

NESTED = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'uap.data.base.SegmentationData'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'uap.data.CamVid':
        Parser key "size":
          Expected a tuple with 2 elements. Got value: [100]
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='size', val=[100])"""

CLASS = """Parser key "model.loss":
  - Expected a path but Entropi either not accessible or invalid
  - Does not validate against any of the Union subtypes
  Subtypes: [<class 'uap.losses.base.Loss'>, <class 'NoneType'>]
  Errors:
    - Expected a dot import path string: Entropi
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: Entropi"""

ADVICE = ". --print_config shows the settings and their values."


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (NESTED, "data.size: Expected [...] with 2 values, got [100]"),
        (CLASS, "model.loss: Expected a class by its whole path, such as uap.losses.CrossEntropy; got Entropi"),
        ("unrecognized arguments: hello", "unrecognized arguments: hello"),
        ("Parser key \"a\":\n  Expected a <class 'int'>. Got value: x", "a: Expected a whole number, got x"),
        ("Errors:", "Errors:"),
    ],
)
def test_what_a_user_needs_is_left(message: str, expected: str) -> None:
    assert sentence(message) == expected.rstrip(".") + ADVICE
