"""Every error code that a module raises stands in the catalogue, so that `/problems/<code>` can explain it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from django.utils import translation

from apps.common.problem_codes import CODES
from apps.inventory.refusals import REFUSALS

APPS = Path(__file__).resolve().parent.parent.parent / "apps"


def _codes_in(tree: ast.AST) -> Iterator[str]:
    """Return the codes of `Problem(404, "code", …)`, and of `problems=(("code", 404),)` of endpoints and DRF views."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Problem":
            yield from (text.value for text in node.args[1:2] if isinstance(text, ast.Constant))
        declared = None
        if isinstance(node, ast.keyword) and node.arg == "problems":
            declared = node.value
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "problems" for target in node.targets):
            declared = node.value
        if isinstance(declared, ast.Tuple):
            for pair in declared.elts:
                if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant):
                    yield str(pair.elts[0].value)


def _raised() -> dict[str, str]:
    return {
        code: str(path.relative_to(APPS))
        for path in APPS.rglob("*.py")
        if "sandbox" not in path.parts
        for code in _codes_in(ast.parse(path.read_text()))
    }


def test_every_code_that_is_raised_is_explained() -> None:
    raised = _raised()
    assert {"missing_scope", "malformed_json", "unknown_sku"} <= set(raised)
    assert {code: where for code, where in raised.items() if code not in CODES} == {}
    assert set(REFUSALS) - set(CODES) == set()


def test_the_search_finds_a_code_that_nobody_explained() -> None:
    assert list(_codes_in(ast.parse('raise problems.Problem(409, "out_of_thin_air", _("…"))'))) == ["out_of_thin_air"]
    assert list(_codes_in(ast.parse('@endpoint(problems=(("a_code", 404), ("b_code", 409)))\ndef x(): ...'))) == [
        "a_code",
        "b_code",
    ]


def test_every_entry_says_what_it_is_and_what_to_do_in_both_languages() -> None:
    for language in ("en", "pt-br"):
        with translation.override(language):
            assert all(str(entry.title) and str(entry.action).endswith(".") for entry in CODES.values())
