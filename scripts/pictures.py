"""Photograph every screen of a running Saldo into docs/console/, and write the page that shows them.

`scripts/screenshots` starts a throwaway Saldo with the demo and calls this. A screen is one entry of SCREENS; a test
sees to it that none of the console's menu is forgotten (tests/console/test_pictures.py).
"""

import argparse
import base64
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.launcher import ROOT

FOLDER = ROOT / "docs" / "console"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--force-prefers-reduced-motion", "--lang=pt-BR"]
SIZES = {"wide": (1280, 860, 1500), "phone": (360, 740, 1600)}
"""Width, height of the window, and the most that is shown of a longer page, in CSS pixels."""
THEMES = {"": "light", "-dark": "dark"}
QUALITY = 62


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen. `follow`: go on to the first link whose address matches, and so on, for pages that have a number."""

    name: str
    address: str
    title: str
    sentence: str
    follow: tuple[str, ...] = ()


SCREENS = (
    Screen("inicio", "/", "Início", "How the shop stands at a glance; every chart links to its list and has a table."),
    Screen(
        "pendencias",
        "/console/pendencias/",
        "Pendências",
        "What keeps stock or numbers from being right, a line a cause.",
    ),
    Screen(
        "pendencia",
        "/console/pendencias/?state=seen",
        "Uma pendência",
        "What it means, what to do, who has seen it.",
        (r"^/console/pendencias/\d+/$",),
    ),
    Screen(
        "oversell", "/console/oversell/", "Casos de oversell", "Where more is promised than there is, and for whom."
    ),
    Screen(
        "divergencias", "/console/divergencias/", "Divergências", "Where the channel shows another number than Saldo."
    ),
    Screen(
        "estoque", "/console/estoque/", "Estoque", "Every product at every place, and what the channels show of it."
    ),
    Screen(
        "produto",
        "/console/estoque/?product=TAC-VINHO-6",
        "Um produto",
        "Its places, its balance at any moment, and every movement.",
        (r"^/console/estoque/\d+/$",),
    ),
    Screen(
        "movimentacoes", "/console/movimentacoes/", "Movimentações", "Change, new total, who, why and which document."
    ),
    Screen("reservas", "/console/reservas/", "Reservas", "What is promised to whom, and until when."),
    Screen("lotes", "/console/lotes/", "Lotes", "Batches by their date; what expired is off sale by itself."),
    Screen("pedidos", "/console/pedidos/", "Pedidos", "Sales of the channels, from received to picked up."),
    Screen(
        "pedido",
        "/console/pedidos/?status=PRONTO",
        "Um pedido",
        "An order with its parcel.",
        (r"^/console/pedidos/\d+/$",),
    ),
    Screen("anuncios", "/console/anuncios/", "Anúncios", "Every number that a channel shows, and how telling it went."),
    Screen("anuncio", "/console/anuncios/", "Um anúncio", "One listing and its duty.", (r"^/console/anuncios/\d+/$",)),
    Screen(
        "por-que",
        "/console/estoque/?product=CAF-MOKA-6",
        "Por que este número?",
        "The sum behind a published number.",
        (r"^/console/anuncios/\d+/por-que/$",),
    ),
    Screen(
        "mapear",
        "/console/anuncios/mapear/",
        "Mapear anúncios",
        "What each listing without a product probably sells, and why Saldo thinks so.",
    ),
    Screen("mapeamentos", "/console/mapeamentos/", "Mapeamentos", "What a channel's SKUs and states mean here."),
    Screen("sincronizacoes", "/console/sincronizacoes/", "Sincronizações", "Each try to tell a channel a number."),
    Screen("eventos", "/console/eventos/", "Eventos", "What the channels told, and how far Saldo has come with it."),
    Screen(
        "evento",
        "/console/eventos/?status=MAPEAMENTO",
        "Um evento",
        "The whole road of one notification, and what it held.",
        (r"^/console/eventos/\d+/$",),
    ),
    Screen("reprocessamentos", "/console/reprocessamentos/", "Reprocessamentos", "Many at once: plan, confirm, watch."),
    Screen("conectores", "/console/conectores/", "Conectores", "The accounts on the channels and their state."),
    Screen(
        "conector",
        "/console/conectores/",
        "Um conector",
        "One account: rule, limits.",
        (r"^/console/conectores/\d+/$",),
    ),
    Screen(
        "assistente",
        "/console/conectores/",
        "Assistente",
        "Seven steps from a new account to its first ten listings.",
        (r"^/console/conectores/\d+/$", r"/assistente/$"),
    ),
    Screen("exportacoes", "/console/exportacoes/", "Exportações", "Lists as files, made by a job."),
    Screen("saude", "/console/saude/", "Saúde", "Every part of the installation and its last sign of life."),
    Screen("auditoria", "/console/auditoria/", "Auditoria", "Who did what, with before and after."),
    Screen("usuarios", "/console/usuarios/", "Usuários e papéis", "Who works here, and with which role."),
    Screen("chaves", "/console/chaves/", "Chaves e segredos", "The programs that may come in."),
    Screen("perfil", "/console/perfil/", "Perfil", "One's own password and second factor."),
    Screen("visoes", "/console/visoes/", "Visões salvas", "Filters under a name, own and shared."),
    Screen("busca", "/console/busca/?q=caneca", "Busca", "Ctrl+K: a SKU, a listing, an order, an event, a trace id."),
)

HEAD = """# The console in pictures

Made by `scripts/screenshots` from the demo shop; do not edit by hand. `scripts/up` loads the same shop: sign in as
`demo` (administrator), `demo-gestor` (manager), `demo-operador` (operator) or `demo-analista` (reads only), each with
the password `saldo-demo`. Each screen is shown at 1280 and 360 pixels; the dark ones lie beside them (`…-dark.webp`).
"""


def main(arguments: Sequence[str]) -> int:
    """Photograph the Saldo at an address; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts.pictures", description=__doc__)
    parser.add_argument("address", help="of a running Saldo with the demo, such as http://127.0.0.1:8000")
    parser.add_argument("--browser", required=True, help="path of Chromium or Chrome")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--format", choices=("webp", "png"), default="webp")
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=list(SIZES))
    parser.add_argument("--themes", nargs="*", choices=THEMES.values(), default=list(THEMES.values()))
    parser.add_argument("--only", nargs="*", default=[], help="names of screens")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    screens = [screen for screen in SCREENS if not options.only or screen.name in options.only]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=FLAGS)
        missing = []
        for theme, scheme in THEMES.items():
            for size, (width, height, height_max) in SIZES.items():
                if size not in options.sizes or scheme not in options.themes:
                    continue
                page = _signed_in(browser, options.address.rstrip("/"), width, height, scheme)
                for screen in screens:
                    if not _open(page, options.address.rstrip("/"), screen):
                        missing.append(screen.name)
                        continue
                    file = options.folder / f"{screen.name}-{size}{theme}.{options.format}"
                    _photograph(page, file, width, height, height_max)
        browser.close()
    if missing:
        sys.stderr.write(f"No picture of {', '.join(sorted(set(missing)))}: their link was not found.\n")
    if options.folder == FOLDER:
        (FOLDER / "README.md").write_text(text())
    return 1 if missing else 0


def text() -> str:
    """Return docs/console/README.md."""
    parts = [HEAD]
    parts += [
        f"## {screen.title}\n\n{screen.sentence}\n\n"
        f"![{screen.title}, 1280 px]({screen.name}-wide.webp)\n\n![{screen.title}, 360 px]({screen.name}-phone.webp)\n"
        for screen in SCREENS
    ]
    return "\n".join(parts)


def _signed_in(browser: Browser, address: str, width: int, height: int, scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale="pt-BR",
        timezone_id="America/Sao_Paulo",
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(address)
    page.locator("input[name=username]").fill("demo")
    page.locator("input[name=password]").fill("saldo-demo")  # the demo's, as scripts/up prints it
    page.locator("form:has(input[name=password]) button").first.click()
    page.wait_for_load_state()
    return page


def _open(page: Page, address: str, screen: Screen) -> bool:
    """Go to a screen; tells whether it was found."""
    page.goto(address + screen.address)
    for pattern in screen.follow:
        hrefs = page.eval_on_selector_all("main a[href]", "links => links.map(link => link.getAttribute('href'))")
        found = next((href for href in hrefs if re.search(pattern, href)), None)
        if found is None:
            return False
        page.goto(address + found)
    return True


def _photograph(page: Page, file: Path, width: int, height: int, height_max: int) -> None:
    page.wait_for_timeout(250)  # charts draw, htmx asks for the first time
    tall = max(height, min(int(page.evaluate("document.documentElement.scrollHeight")), height_max))
    page.set_viewport_size({"width": width, "height": tall})  # the menu goes all the way down, too
    page.wait_for_timeout(80)
    session = page.context.new_cdp_session(page)
    wanted: dict[str, object] = {
        "format": file.suffix[1:],
        "clip": {"x": 0, "y": 0, "width": width, "height": tall, "scale": 1},
    }
    if file.suffix != ".png":
        wanted["quality"] = QUALITY
    file.write_bytes(base64.b64decode(session.send("Page.captureScreenshot", wanted)["data"]))
    session.detach()
    page.set_viewport_size({"width": width, "height": height})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
