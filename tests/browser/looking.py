"""What a browser sees of a screen: how it is opened, what axe finds, what it weighs, what it asks for and from whom."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

import axe_playwright_python
from django.contrib.staticfiles import finders
from playwright.sync_api import Browser, BrowserContext, Page

from tests.screens import Cast, Screen

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
STANDARD = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]},
    "rules": {"target-size": {"enabled": True}},  # 2.5.8, which axe leaves out by itself
    "resultTypes": ["violations"],
}
COLOURS = {
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
    "resultTypes": ["violations"],
}
"""The rules that look at colours. In the dark a page is the same but for its colours (base.css: the tokens alone)."""

WATCH = """
window.refused = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.refused.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
SEND = """
([address, fields]) => {
  const form = Object.assign(document.createElement("form"), { method: "post", action: address });
  form.enctype = "multipart/form-data";
  const token = document.querySelector("[name=csrfmiddlewaretoken]");
  const add = (name, value) => {
    const input = Object.assign(document.createElement("input"), { name });
    if (typeof value === "object") {
      const files = new DataTransfer();
      files.items.add(new File([value.text], "linhas.csv", { type: "text/csv" }));
      input.type = "file";
      input.files = files.files;
    } else input.value = value;
    form.append(input);
  };
  add("csrfmiddlewaretoken", token.value);
  Object.entries(fields).forEach(([name, value]) => add(name, value));
  document.body.append(form);
  form.submit();
}
"""


class Watched:
    """A page whose requests, failures and refusals are kept.

    Attributes: asked: the addresses of all requests; broken: failed scripts and what stood on the console as an error.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.asked: list[str] = []
        self.broken: list[str] = []
        self.page = context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.broken.append(f"a script failed: {error}"))

    def forget(self) -> None:
        self.asked.clear()
        self.broken.clear()


def context_of(browser: Browser, cast: Cast, who: str, hub: str, width: int, **more: Any) -> BrowserContext:
    """Return a browser's window of one of the cast, who reads Portuguese."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, locale="pt-BR", timezone_id="America/Sao_Paulo", **more
    )
    cookies = [{"name": name, "value": value, "url": hub} for name, value in cast.sessions[who].items()]
    context.add_cookies(cookies)  # type: ignore[arg-type]
    context.add_init_script(WATCH)
    # whatever asks another host gets nothing, and the page stays
    context.route(lambda url: not url.startswith(hub), lambda route: route.fulfill(status=204))
    return context


def show(page: Page, screen: Screen, hub: str) -> int:
    """Open a screen; return the answer's status code."""
    if screen.form is None:
        answer = page.goto(hub + screen.address)
    else:
        page.goto(hub + ("/console/perfil/" if screen.who != "nobody" else screen.address))
        fields = {
            name: {"text": value.decode()} if isinstance(value, bytes) else value for name, value in screen.form.items()
        }
        with page.expect_navigation() as navigation:
            page.evaluate(SEND, [hub + screen.address, fields])
        answer = navigation.value
    assert answer is not None
    return answer.status


def violations(page: Page, options: dict[str, Any] = STANDARD) -> list[str]:
    """Return what axe says is wrong with the page as it stands, one line an element."""
    if not page.evaluate("'axe' in window"):
        session = page.context.new_cdp_session(page)  # the page's policy lets no script in; the debugger may
        session.send("Runtime.evaluate", {"expression": AXE})
        session.detach()
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{rule['id']}: {' '.join(node['target'][-1:])} — {' '.join(node['failureSummary'].split())[:300]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def overflow(page: Page) -> list[str]:
    """Return what is wider than its room: the page than the window, or a table than its card."""
    found: list[str] = page.evaluate(
        """() => {
          const tooWide = (room, inside) => room.scrollWidth <= room.clientWidth + 1 ? [] :
            Array.from(inside.querySelectorAll("*"))
              .filter((one) => one.getBoundingClientRect().right > room.getBoundingClientRect().right + 0.5)
              .slice(-3)
              .map((one) => `${one.tagName}.${one.className}: ${one.textContent.trim().slice(0, 40)}`);
          const page = tooWide(document.documentElement, document.body).map((one) => `wider than the window: ${one}`);
          const cards = Array.from(document.querySelectorAll(".card")).flatMap((card) => tooWide(card, card));
          return page.concat(cards.map((one) => `wider than its card: ${one}`));
        }"""
    )
    return found


def weight_bytes(page: Page) -> int:
    """Return what a first visit transfers: the page, and every file it asks for as WhiteNoise keeps it, compressed."""
    document, files = page.evaluate(
        """() => [performance.getEntriesByType("navigation")[0].encodedBodySize,
                  performance.getEntriesByType("resource").map((one) => new URL(one.name).pathname)]"""
    )
    return int(document) + sum(_stored_bytes(path) for path in set(files))


@cache
def _stored_bytes(path: str) -> int:
    found = finders.find(path.removeprefix("/static/")) if path.startswith("/static/") else None
    return len(gzip.compress(Path(str(found)).read_bytes(), 9)) if found else 0
