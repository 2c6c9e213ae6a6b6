"""The page at ``/sandbox``: accounts, listings, last sales, last calls, and the main controls as plain forms.

Written in Portuguese without gettext: the sandbox stands apart from the hub and runs without its settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from .call import Answer, Call, Doc
from .controls import last_calls, state_body
from .faults import ACTIONS
from .items import render
from .marketplace import Marketplace
from .markup import STATUS_WORDS, html_page
from .orders import render as render_order
from .selling import policy

ITEMS_A_PAGE = 25
ROWS_SHOWN = 15
SECTIONS = (
    ("items", "Anúncios"),
    ("orders", "Vendas"),
    ("accounts", "Contas"),
    ("selling", "Ritmo"),
    ("faults", "Falhas"),
    ("notifications", "Notificações"),
    ("quota", "Limite"),
    ("calls", "Chamadas"),
)
FAULT_WORDS = {
    "status": "responder um código de erro",
    "timeout": "não responder",
    "timeout_after_applying": "aplicar e não responder",
    "reset": "derrubar a conexão",
    "reset_after_applying": "aplicar e derrubar a conexão",
    "delay": "atrasar",
    "slow_header": "cabeçalho a conta-gotas",
    "slow_body": "corpo a conta-gotas",
    "wrong_json": "JSON cortado ao meio",
    "empty": "aplicar, depois 204 sem corpo",
    "html": "responder HTML de gateway",
    "lie": "responder 200 e não mudar nada",
    "wrong_quantity": "guardar outra quantidade",
    "redirect": "redirecionar",
    "partial": "resposta parcial (206)",
}


def get_page(market: Marketplace, call: Call) -> Answer:
    """``GET /sandbox``; ``busca`` filters the listings, ``pagina`` pages them."""
    with market.state.lock:
        state = state_body(market)
        body = (
            _flash(call)
            + _summary(state)
            + _items(market, call)
            + _orders(market)
            + _accounts(state)
            + _selling(market)
            + _faults(state)
            + _notifications(state)
            + _rate_limit(state)
            + _calls(market)
        )
    return Answer(200, html_page("Mercado de testes", body), content_type="text/html; charset=utf-8")


def _flash(call: Call) -> str:
    if call.query.get("erro"):
        return f'<p class="flash bad" role="alert">{escape(call.query["erro"])}</p>'
    if call.query.get("ok"):
        return f'<p class="flash good" role="status">{escape(call.query["ok"])}</p>'
    return ""


def _summary(state: Doc) -> str:
    counts = state["counts"]
    shown = (
        ("Anúncios", counts["items"]),
        ("Vendas", counts["orders"]),
        ("Notificações pendentes", counts["notifications_pending"]),
        ("Notificações perdidas", counts["notifications_missed"]),
        ("Chamadas recebidas", counts["calls"]),
    )
    links = "".join(f'<a href="#{place}">{name}</a>' for place, name in SECTIONS)
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in shown)
    return (
        "<p>Este servidor se comporta como a API do Mercado Livre. O que você fizer aqui acontece só nele e é"
        f' notificado aos aplicativos conectados.</p><dl class="summary">{cells}</dl>'
        f'<nav class="row" aria-label="Nesta página">{links}</nav>'
    )


def _words(value: str) -> str:
    return escape(STATUS_WORDS.get(value, value))


def _table(label: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> str:
    """A table whose rows turn into cards on a narrow screen. Cells are HTML already."""
    if not rows:
        return f"<p>{empty}</p>"
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    lines = "".join(
        "<tr>"
        + "".join(f'<td data-label="{column}">{cell}</td>' for column, cell in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    caption = f'<caption class="hidden">{label}</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _field(label: str, name: str, value: object = "", kind: str = "text", extra: str = "") -> str:
    shown = "" if value is None else escape(str(value))
    return f'<label>{label}<input type="{kind}" name="{name}" value="{shown}" {extra}></label>'


def _choice(label: str, name: str, options: list[tuple[str, str]], chosen: str = "") -> str:
    lines = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label>{label}<select name="{name}">{lines}</select></label>'


def _button(path: str, text: str, label: str, fields: Doc | None = None, quiet: bool = True) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{escape(str(value))}">' for name, value in (fields or {}).items()
    )
    look = ' class="quiet"' if quiet else ""
    return (
        f'<form method="post" action="{path}">{hidden}'
        f'<button{look} aria-label="{escape(label)}">{escape(text)}</button></form>'
    )


# --- listings ------------------------------------------------------------------------------------------------------


def _items(market: Marketplace, call: Call) -> str:
    search = call.query.get("busca", "").strip()
    page = max(1, call.number("pagina", 1))
    table = market.state.tables["item"]
    found = [item for item in table.values() if _is_found(item, search.lower())] if search else list(table.values())
    first = (page - 1) * ITEMS_A_PAGE
    shown = found[first : first + ITEMS_A_PAGE]
    rows = [row for item in shown for row in _item_rows(render(item, owner=True, everything=True), item)]
    columns = ("Anúncio", "SKU", "Estado", "Disponível", "Vendidos", "Vender", "Mudar estoque")
    return (
        '<section aria-labelledby="items"><h2 id="items">Anúncios</h2>'
        '<form class="row" method="get" action="/sandbox">'
        f"{_field('Buscar por código, SKU ou título', 'busca', search, 'search')}<button>Buscar</button></form>"
        + _table("Anúncios", columns, rows, "Nenhum anúncio aqui.")
        + _pages(search, page, len(found))
        + "</section>"
    )


def _is_found(item: Doc, search: str) -> bool:
    skus = [item["seller_sku"], *(variation["seller_sku"] for variation in item["variations"])]
    return any(search in str(text).lower() for text in (item["id"], item["title"], *skus))


def _item_rows(body: Doc, item: Doc) -> Sequence[tuple[str, ...]]:
    state = _words(body["status"]) + "".join(f" ({_words(one)})" for one in body["sub_status"])
    if item["logistic_type"] == "fulfillment":
        state += " · Full"
    places = body["variations"] or [body]
    rows = []
    for place in places:
        fields = {"item_id": body["id"]}
        name = f"{escape(body['title'])} <small>{escape(body['id'])}</small>"
        sku = item["seller_sku"]
        if body["variations"]:
            fields["variation_id"] = place["id"]
            values = ", ".join(str(one["value_name"]) for one in place["attribute_combinations"])
            name += f"<br>{escape(values)} <small>{place['id']}</small>"
            sku = next((one["seller_sku"] for one in item["variations"] if one["id"] == place["id"]), "")
        label = f"Quantidade de {sku or body['id']}"
        edit = (
            f'<form class="row" method="post" action="/sandbox/items/{escape(body["id"])}">'
            + (f'<input type="hidden" name="variation_id" value="{place["id"]}">' if body["variations"] else "")
            + f'<input type="number" name="available_quantity" min="0" max="99999" required'
            f' aria-label="{escape(label)}"'
            f' value="{place["available_quantity"]}"><button class="quiet">Gravar</button></form>'
        )
        sell = (
            '<form class="row" method="post" action="/sandbox/sell">'
            + "".join(f'<input type="hidden" name="{key}" value="{value}">' for key, value in fields.items())
            + f'<input type="number" name="quantity" min="1" value="1" required aria-label="Unidades de'
            f' {escape(str(sku or body["id"]))} a vender"><button>Vender</button></form>'
        )
        quantity = str(place["available_quantity"])
        rows.append((name, escape(sku or "–"), state, quantity, str(place["sold_quantity"]), sell, edit))
    return rows


def _pages(search: str, page: int, total: int) -> str:
    last = max(1, -(-total // ITEMS_A_PAGE))
    if last == 1:
        return ""
    links = []
    for number, text in ((page - 1, "Anterior"), (page + 1, "Próxima")):
        if 1 <= number <= last:
            query = urlencode({"busca": search, "pagina": number})
            links.append(f'<a href="/sandbox?{escape(query)}">{text}</a>')
    return f'<nav class="row" aria-label="Páginas de anúncios">Página {page} de {last} {" ".join(links)}</nav>'


# --- sales and accounts --------------------------------------------------------------------------------------------


def _orders(market: Marketplace) -> str:
    table = market.state.tables["order"]
    rows = []
    for key in list(table)[: -ROWS_SHOWN - 1 : -1]:
        body = render_order(market, table[key])
        line = body["order_items"][0]
        act = ""
        if body["status"] != "cancelled":
            act = _button(f"/sandbox/orders/{key}/cancel", "Cancelar", f"Cancelar a venda {key}")
        act += _button(f"/sandbox/orders/{key}/notify", "Notificar de novo", f"Notificar de novo a venda {key}")
        rows.append(
            (
                f"{key}" + (f"<br><small>carrinho {body['pack_id']}</small>" if body["pack_id"] else ""),
                escape(line["item"]["title"]) + f" <small>{escape(line['item']['seller_sku'] or '')}</small>",
                str(line["quantity"]),
                _words(body["status"]),
                escape(str(body["date_created"])[:19].replace("T", " ")),
                f'<div class="row">{act}</div>',
            )
        )
    columns = ("Venda", "Produto", "Unidades", "Estado", "Feita em (UTC-4)", "Ações")
    return (
        '<section aria-labelledby="orders"><h2 id="orders">Últimas vendas</h2>'
        + _table("Últimas vendas", columns, rows, "Nenhuma venda ainda.")
        + "</section>"
    )


def _accounts(state: Doc) -> str:
    rows = []
    for account in state["accounts"]:
        user_id = account["user_id"]
        kill = "".join(
            _button("/sandbox/tokens/kill", text, f"{text}: {account['nickname']}", {"user_id": user_id, "kind": kind})
            for kind, text in (
                ("access", "Derrubar acesso"),
                ("refresh", "Derrubar renovação"),
                ("grant", "Revogar tudo"),
            )
        )
        again = _button(
            f"/sandbox/accounts/{user_id}/grant", "Autorizar de novo", f"Autorizar de novo {account['nickname']}"
        )
        granted = "vale" if account["refresh_token"] else "não vale mais"
        rows.append(
            (
                f"{escape(account['nickname'])} <small>{user_id}</small>",
                account["client_id"],
                escape(", ".join(account["tags"])),
                granted,
                f'<div class="row">{kill}{again}</div>',
            )
        )
    applications = [
        (
            f"{escape(application['name'])} <small>{application['client_id']}</small>",
            escape(application["notification_url"] or "não definido"),
            escape(", ".join(application["topics"])),
        )
        for application in state["applications"]
    ]
    columns = ("Conta", "Aplicativo", "Marcas", "Token de renovação", "Ações")
    return (
        '<section aria-labelledby="accounts"><h2 id="accounts">Contas e aplicativos</h2>'
        + _table("Contas", columns, rows, "Nenhuma conta ainda.")
        + _table(
            "Aplicativos", ("Aplicativo", "Endereço de notificação", "Tópicos"), applications, "Nenhum aplicativo."
        )
        + "</section>"
    )


# --- behaviour -----------------------------------------------------------------------------------------------------


def _selling(market: Marketplace) -> str:
    now = policy(market.state)
    least, most = now["pace_seconds"]
    words = f"Agora: uma venda a cada {least} a {most} segundos." if now["on"] else "Agora: nada se vende sozinho."
    return (
        '<section aria-labelledby="selling"><h2 id="selling">Vendas por conta própria</h2>'
        f"<p>{words} De vez em quando um comprador desiste, um volume sai, um número ou preço é editado à mão.</p>"
        '<form class="grid" method="post" action="/sandbox/selling">'
        + _choice("Vender sozinho", "on", [("true", "sim"), ("false", "não")], "true" if now["on"] else "false")
        + _field("No mínimo a cada (segundos)", "least", least, "number", 'min="1" max="3600" required')
        + _field("No máximo a cada (segundos)", "most", most, "number", 'min="1" max="3600" required')
        + "<button>Gravar</button></form></section>"
    )


def _faults(state: Doc) -> str:
    columns = ("O que faz", "Método", "Caminho", "Vezes que restam", "Por cento")
    rows = [
        (
            escape(FAULT_WORDS[fault["action"]]) + (f" {fault['status']}" if "status" in fault else ""),
            escape(fault.get("method", "todos")),
            escape(fault.get("path") or "todos"),
            str(fault.get("times", "sempre")),
            str(fault.get("percent", 100)),
        )
        for fault in state["faults"]
    ]
    methods = [("", "todos"), *((name, name) for name in ("GET", "PUT", "POST"))]
    actions = [(action, FAULT_WORDS[action]) for action in ACTIONS]
    return (
        '<section aria-labelledby="faults"><h2 id="faults">Falhas de propósito</h2>'
        + _table("Falhas em vigor", columns, rows, "Nenhuma falha em vigor: tudo responde bem.")
        + (_button("/sandbox/faults/clear", "Tirar todas as falhas", "Tirar todas as falhas") if rows else "")
        + '<form class="grid" method="post" action="/sandbox/faults">'
        + _choice("O que fazer", "action", actions)
        + _choice("Método", "method", methods)
        + _field("Caminho (expressão regular)", "path", "^/items/", extra='list="paths"')
        + '<datalist id="paths"><option value="^/items/"><option value="^/orders/"><option value="^/oauth/token">'
        '<option value="^/user-products/"></datalist>'
        + _field("Código (para erro, HTML ou redirecionamento)", "status", "", "number", 'min="200" max="599"')
        + _field("Espera em milissegundos", "delay_ms", "", "number", 'min="0"')
        + _field("Quantas vezes (vazio: sempre)", "times", 1, "number", 'min="1"')
        + _field("Por cento das chamadas", "percent", 100, "number", 'min="1" max="100"')
        + "<button>Pôr esta falha</button></form></section>"
    )


def _notifications(state: Doc) -> str:
    policy = state["notifications"]
    yes_no = [("true", "sim"), ("false", "não")]

    def switch(label: str, name: str) -> str:
        return _choice(label, name, yes_no, "true" if policy[name] else "false")

    def number(label: str, name: str, low: int = 0) -> str:
        return _field(label, name, policy[name], "number", f'min="{low}" required')

    return (
        '<section aria-labelledby="notifications"><h2 id="notifications">Notificações</h2>'
        '<form class="grid" method="post" action="/sandbox/notifications">'
        + switch("Enviar", "enabled")
        + number("Enviar cada uma quantas vezes", "duplicate", 1)
        + number("Atraso em milissegundos", "delay_ms")
        + number("Perder, por cento", "drop_percent")
        + switch("As perdidas aparecem em missed_feeds", "drop_to_missed_feeds")
        + switch("Embaralhar a ordem", "shuffle")
        + number("Oito tentativas em quantos segundos", "retry_seconds", 1)
        + number("Venda só aparece depois de (milissegundos)", "order_visible_after_ms")
        + "<button>Gravar</button></form></section>"
    )


def _rate_limit(state: Doc) -> str:
    policy = state["rate_limit"]
    now = f"{policy['per_minute']} chamadas por minuto" if policy["per_minute"] else "sem limite"
    return (
        '<section aria-labelledby="quota"><h2 id="quota">Limite de chamadas</h2>'
        f"<p>Agora: {now}.</p>"
        '<form class="grid" method="post" action="/sandbox/rate_limit">'
        + _field("Chamadas por minuto (vazio: sem limite)", "per_minute", policy["per_minute"], "number", 'min="1"')
        + _field(
            "Retry-After em segundos (vazio: não enviar)", "retry_after", policy["retry_after"], "number", 'min="1"'
        )
        + "<button>Gravar</button></form></section>"
    )


def _calls(market: Marketplace) -> str:
    rows = [
        (
            escape(entry["time"][11:23]),
            escape(f"{entry['method']} {entry['path']}"),
            str(entry["status"]) if entry["status"] is not None else "sem resposta",
            f"{entry['duration_ms']} ms",
            escape("; ".join(_change_words(change) for change in entry["applied"])) or "–",
            escape(FAULT_WORDS.get(entry["fault"] or "", "–")),
        )
        for entry in last_calls(market, ROWS_SHOWN)
    ]
    columns = ("Hora (UTC)", "Chamada", "Resposta", "Duração", "O que mudou", "Falha")
    return (
        '<section aria-labelledby="calls"><h2 id="calls">Últimas chamadas</h2>'
        + _table("Últimas chamadas", columns, rows, "Nenhuma chamada ainda.")
        + '<p><a href="/sandbox/journal">Diário completo, uma linha JSON por chamada</a></p></section>'
    )


def _change_words(change: Doc) -> str:
    if "available_quantity" in change:
        before, after = change["available_quantity"]
        return f"{change['item']}: {before} → {after}"
    if "order" in change:
        return f"venda {change['order']} {STATUS_WORDS.get(change['status'][1], change['status'][1])}"
    return ", ".join(f"{name} {value}" for name, value in change.items())
