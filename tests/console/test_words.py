"""No text escapes translation: templates, code, catalogue, and every screen as a Brazilian reader gets it."""

import ast
import re
from collections.abc import Iterator
from contextlib import nullcontext
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.base import DebugLexer, Token, TokenType
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.inventory.models import Location
from apps.tenants.models import Membership
from tests import factories, screens
from tests.console.test_pages import CATALOGUE, ROOT, _entries, open_shop, signed_in
from tests.screens import Cast, Screen

READ = ("alt", "title", "placeholder", "aria-label")
"""Attributes that people read or hear."""

NAMES = {
    *("Saldo", "SKU", "GTIN", "HTTP", "Menu", "Ctrl", "Enter", "R$", "ID", "Webhooks", "EAN", "MLB", "cURL"),
    *("OpenAPI", "JSON", "CSV", "API", "PT", "EN", "Swagger UI", "PIX"),
    *("Mercado Livre", "ERP", "WMS", "cm"),
}
"""Names and keys, the same in every language."""

TECHNICAL = re.compile(r"[a-z]+(?:[_.][a-z]+)+|[a-z]+:\d+")
"""The channel's own names of its fields (`client_id`), which its pages show in every language, names of
files, and what the audit trail writes (`order:17`)."""

LETTERS = re.compile(r"[^\W\d_]{2,}")
TAG = " "  # stands where the template has a tag or variable: neither a word nor an attribute


def is_text(words: str) -> bool:
    """Tell whether it has words that a reader of another language would not understand."""
    for name in sorted(NAMES, key=len, reverse=True):
        words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "", words)
    return LETTERS.search(words) is not None


class Reader(HTMLParser):
    """Collects what people read of a page: text nodes, and the attributes that are shown or spoken."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "code", "pre", "kbd", "template"):
            self.inside.append(tag)
        self.found += [value for name, value in attributes if name in READ and value]
        told = dict(attributes)
        if tag == "input" and told.get("type") in ("submit", "button") and told.get("value"):
            self.found.append(str(told["value"]))

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside and (words := " ".join(data.split())):
            self.found.append(words)


def read(markup: str) -> list[str]:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader.found


# --- Templates ------------------------------------------------------------------------------------------------------

UNREAD_BLOCKS = {"blocktranslate": "endblocktranslate", "blocktrans": "endblocktrans", "comment": "endcomment"}


def bare(source: str) -> str:
    """Return a template's own text: what its tags and variables give is left out, and so is what is translated."""
    parts: list[str] = []
    until = ""
    for token in DebugLexer(source).tokenize():
        word = _word(token)
        if until:
            until = "" if word == until else until
        elif token.contents == "block page":  # the name of a page's CSS class
            until = "endblock"
        elif word in UNREAD_BLOCKS:
            until = UNREAD_BLOCKS[word]
        else:
            parts.append(token.contents if token.token_type is TokenType.TEXT else TAG)
    return "".join(parts)


def _word(token: Token) -> str:
    return token.contents.split(maxsplit=1)[0] if token.token_type is TokenType.BLOCK and token.contents else ""


TEMPLATES = sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_no_text_of_its_own(path: Path) -> None:
    found = [words for words in read(bare(path.read_text())) if is_text(words) and not TECHNICAL.fullmatch(words)]
    assert not found, "put it into {% translate %}"


def test_a_bare_word_in_a_template_would_be_seen() -> None:
    assert [
        words for words in read(bare('<p title="Stock">{% translate "Stock" %} left {{ n }}</p>')) if is_text(words)
    ]
    assert not [
        words for words in read(bare("<p>{% blocktranslate %}left{% endblocktranslate %} 3 SKU</p>")) if is_text(words)
    ]


# --- Code -----------------------------------------------------------------------------------------------------------

SAYERS = {"success", "info", "warning", "error", "debug"}  # of django.contrib.messages
SPOKEN = {
    "label",
    "help_text",
    "verbose_name",
    "verbose_name_plural",
    "empty_label",
    "description",
    "short_description",
}


def spoken(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a module that people come to read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.ClassDef) and any("Choices" in ast.unparse(base) for base in node.bases):
            values = [row.value for row in node.body if isinstance(row, ast.Assign)]
            yield from (value.elts[-1] for value in values if isinstance(value, ast.Tuple))
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if isinstance(key, ast.Constant) and key.value in READ)
        elif isinstance(node, ast.ClassDef | ast.Assign) and isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if any(name in SPOKEN for name in names):
                yield node.value


def _of_call(node: ast.Call) -> Iterator[ast.expr]:
    called = ast.unparse(node.func)
    name = called.rpartition(".")[2]
    if called.startswith("messages.") and name in SAYERS:
        yield from node.args[1:2]
    if name in ("ValidationError", "Badge", "Figure"):
        yield from node.args[:1]
    if name == "add_error":
        yield from node.args[1:2]
    for keyword in node.keywords:
        if keyword.arg in SPOKEN:
            yield keyword.value
        elif keyword.arg == "choices" and isinstance(keyword.value, ast.List):
            pairs = (pair for pair in keyword.value.elts if isinstance(pair, ast.Tuple))
            yield from (pair.elts[-1] for pair in pairs)
        elif keyword.arg == "error_messages" and isinstance(keyword.value, ast.Dict):
            yield from keyword.value.values


def literal(node: ast.expr) -> str:
    """Return the text of an expression that is one as it stands, translated by nobody; else nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
    if isinstance(node, ast.BinOp):
        return literal(node.left) or literal(node.right)
    if isinstance(node, ast.IfExp):
        return literal(node.body) or literal(node.orelse)
    return ""


FOR_PROGRAMS = {"api", "sandbox", "migrations", "management"} | {"messages.py", "event_types.py", "pages.py", "api.py"}
"""Rooms and modules whose descriptions stand in the API's document, which is in English, or are an operator's own."""

MODULES = sorted(path for path in (ROOT / "apps").rglob("*.py") if not FOR_PROGRAMS & set(path.parts))


def test_no_code_says_something_that_is_not_translated() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno}": literal(node)
        for path in MODULES
        for node in spoken(ast.parse(path.read_text()))
        if is_text(literal(node)) and not TECHNICAL.fullmatch(literal(node))
    }
    assert not found, "put it into gettext"


def test_a_bare_message_in_code_would_be_seen() -> None:
    code = 'messages.success(request, f"Sent {n}")\nx = CharField(label="Name")\nraise ValidationError(_("No"))'
    assert [literal(node) for node in spoken(ast.parse(code)) if literal(node)] == ["Sent ", "Name"]


# --- The catalogue --------------------------------------------------------------------------------------------------

PLACES = re.compile(r"%\((\w+)\)[sd]|%[sd]")


def test_a_translation_keeps_the_places_for_numbers_and_names() -> None:
    """A missing `%(count)s` leaves out a number, one too many fails at run time. A singular may do without its own."""
    entries = {
        msgid: texts for msgid, texts in _entries(CATALOGUE.with_suffix(".po").read_text()).items() if all(texts)
    }
    places = {msgid: set(PLACES.findall(msgid)) for msgid in entries}
    lost = {msgid: texts for msgid, texts in entries.items() if places[msgid] - set(PLACES.findall(texts[-1]))}
    made_up = {
        msgid: texts
        for msgid, texts in entries.items()
        if len(texts) == 1 and set(PLACES.findall(texts[0])) - places[msgid]
    }
    assert (lost, made_up) == ({}, {})


# --- Pages as they are read -----------------------------------------------------------------------------------------


class English:
    """What would be English on a page: the catalogue's texts that are others in Portuguese."""

    def __init__(self) -> None:
        entries = _entries(CATALOGUE.with_suffix(".po").read_text())
        portuguese = {text for texts in entries.values() for text in texts}  # "Status" is, too
        others = [" ".join(msgid.split()) for msgid in entries if msgid not in portuguese]
        self.plain = {text for text in others if not PLACES.search(text)}
        self.patterns: list[tuple[str, re.Pattern[str]]] = []
        for text in others:
            parts = PLACES.split(text)[::2]  # between the places
            if len(parts) > 1 and len(text.split()) > 3:
                pattern = re.compile(".+?".join(re.escape(part) for part in parts))
                self.patterns.append((max(parts, key=len), pattern))

    def has(self, text: str) -> bool:
        """Tell whether it is one of them, as it stands or with something in its places."""
        return text in self.plain or any(part in text and one.fullmatch(text) for part, one in self.patterns)


def open_screen(cast: Cast, screen: Screen) -> str:
    forges = "csrfmiddlewaretoken" in (screen.form or {})
    client = Client(headers={"accept-language": "pt-BR"}, enforce_csrf_checks=forges)
    for name, value in cast.sessions[screen.who].items():
        client.cookies[name] = value
    if screen.form is None:
        answer = client.get(screen.address, follow=True)
    else:
        form: dict[str, Any] = {
            name: SimpleUploadedFile("linhas.csv", value) if isinstance(value, bytes) else value
            for name, value in screen.form.items()
        }
        answer = client.post(screen.address, form)
    assert answer.status_code == screen.status, screen
    return str(answer.content.decode())


@pytest.mark.timeout(300)
@pytest.mark.django_db
def test_no_screen_speaks_english_to_a_brazilian() -> None:
    cast = screens.build()
    seen: dict[str, set[str]] = {}  # where each text stands
    for screen in (one for one in cast.screens if one.trouble is nullcontext):
        for words in read(open_screen(cast, screen)):
            seen.setdefault(words, set()).add(screen.name)
    english = English()
    found = {words: sorted(places)[:3] for words, places in seen.items() if english.has(words)}
    assert not found


@pytest.mark.django_db
def test_numbers_days_and_plurals_are_the_readers_own() -> None:
    shop = open_shop("Alice")
    place = Location.objects.filter(tenant=shop.tenant).earliest("pk")
    product = factories.ProductFactory(tenant=shop.tenant, sku="PREGO")
    factories.stocked(product, place, 1_234_567)
    manager = factories.member(shop.tenant, Membership.Role.MANAGER)
    brazilian = signed_in(manager)
    american = Client(headers={"accept-language": "en"})
    american.force_login(manager)

    def words(client: Client, name: str, *pk: int) -> str:
        return " ".join(read(client.get(reverse(f"console:{name}", args=pk)).content.decode()))

    assert "1.234.567" in words(brazilian, "movements", product.pk)
    assert "1,234,567" in words(american, "movements", product.pk)
    assert "199,80" in words(brazilian, "order", shop.order.pk)
    today = timezone.localtime(shop.event.received_at, ZoneInfo("America/Sao_Paulo"))
    assert f"{today:%d/%m/%Y %H:%M}" in words(brazilian, "event", shop.event.pk)

    waits, wait = "1 evento espera", "2 eventos esperam"
    assert waits in words(brazilian, "listing", shop.unmapped.pk)
    factories.EventFactory(
        tenant=shop.tenant, connector=shop.connector, status="MAPEAMENTO", waiting_for=[shop.unmapped.item_id]
    )
    assert wait in words(brazilian, "listing", shop.unmapped.pk)
