"""OAuth: the consent page, the two grants, and who a bearer token is (contract §1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import Counter
from html import escape
from itertools import count
from typing import NoReturn
from urllib.parse import urlencode

from .call import Answer, Call, Doc, Refusal
from .clock import now_seconds
from .marketplace import Marketplace
from .markup import html_page

CODE_LIFE_SECONDS = 600
REFRESH_LIFE_SECONDS = 182 * 24 * 3600
"""Six months (contract §1.3)."""
MAX_LIVE_TOKENS = 50
"""Access tokens kept per grant; the oldest goes first."""
USED_TOKENS_KEPT = 50
"""Used refresh tokens remembered per grant, so that the journal can tell a reuse from nonsense."""

INVALID_GRANT = "Error validating grant. Your authorization code or refresh token may be expired or it was already used"

_UNAUTHORIZED_BODIES: tuple[Doc, ...] = (
    {"message": "invalid_token", "error": "not_found", "status": 401, "cause": []},
    {"code": "unauthorized", "message": "invalid access token"},
    {"message": "expired_token", "error": "unauthorized", "status": 401, "cause": []},
    {"message": "user not authorized", "error": "unauthorized_request_error", "status": 401, "cause": []},
)
"""The forms of contract §1.5, in turn."""
_unauthorized_turn = count()


def identify(market: Marketplace, call: Call) -> str:
    """Put the seller and application of the bearer token into ``call``.

    Returns: "" when the token is good, else why it is not (``missing`` or ``invalid``).
    """
    header = call.headers.get("Authorization") or ""
    if not header.startswith("Bearer "):
        return "missing"
    with market.state.lock:
        token = market.state.get("token", header[7:].strip())
    if token is None or token["expires"] <= now_seconds():
        return "invalid"
    call.user_id, call.client_id = token["user_id"], token["client_id"]
    return ""


def unauthorized(reason: str) -> Answer:
    """401 in one of its many forms; the status is what counts (contract §1.5)."""
    if reason == "missing":
        message = "authorization value not present"
        return Answer(401, {"message": message, "error": "unauthorized", "status": 401, "cause": []})
    return Answer(401, _UNAUTHORIZED_BODIES[next(_unauthorized_turn) % len(_UNAUTHORIZED_BODIES)])


def grant_key(client_id: str, user_id: int) -> str:
    """The key of a seller's grant to an application."""
    return f"{client_id}:{user_id}"


def fresh_grant(market: Marketplace, client_id: str, user_id: int) -> Doc:
    """Grant, or grant again: a new refresh token, the old one dies. Called inside ``state.change()``."""
    grant = market.state.get("grant", grant_key(client_id, user_id)) or {
        "client_id": client_id,
        "user_id": user_id,
        "used": [],
        "tokens": [],
    }
    grant["revoked"] = False
    _rotate(grant)
    market.state.save("grant", grant_key(client_id, user_id), grant)
    return grant


def kill_tokens(market: Marketplace, grant: Doc, kind: str) -> None:
    """End the access tokens (``access``), the refresh token (``refresh``) or both and the grant (``grant``)."""
    if kind in ("access", "grant"):
        for token in grant["tokens"]:
            market.state.drop("token", token)
        grant["tokens"] = []
    if kind in ("refresh", "grant"):
        grant["refresh_token"] = None
    if kind == "grant":
        grant["revoked"] = True
    market.state.save("grant", grant_key(grant["client_id"], grant["user_id"]), grant)


def _rotate(grant: Doc) -> None:
    if grant.get("refresh_token"):
        grant["used"] = [*grant["used"], grant["refresh_token"]][-USED_TOKENS_KEPT:]
    grant["refresh_token"] = f"TG-{secrets.token_hex(16)}-{grant['user_id']}"
    grant["refresh_until"] = now_seconds() + REFRESH_LIFE_SECONDS


# --- POST /oauth/token ---------------------------------------------------------------------------------------------


def post_token(market: Marketplace, call: Call) -> Answer:
    """``POST /oauth/token`` with a form body (contract §1.2 to §1.4)."""
    form = _token_form(call)
    with market.state.change():
        application = _application(market, form)
        call.client_id = application["client_id"]
        if form.get("grant_type") == "refresh_token":
            grant = _spend_refresh_token(market, call, application, form)
        elif form.get("grant_type") == "authorization_code":
            grant = _spend_code(market, application, form)
        else:
            _refuse_token("unsupported_grant_type", f"Unsupported grant type: {form.get('grant_type', '')[:40]}")
        call.user_id = grant["user_id"]
        body = _issue(market, application, grant)
    call.applied.append({"token": "issued", "grant_type": form["grant_type"], "user_id": grant["user_id"]})
    return Answer(200, body)


def _refuse_token(error: str, description: str) -> NoReturn:
    body = {"error_description": description, "error": error, "status": 400, "cause": []}
    raise Refusal(Answer(400, body))


def _token_form(call: Call) -> dict[str, str]:
    if call.raw_query:
        _refuse_token("invalid_request", "The parameters must be sent in the body, not in the query string")
    pairs = call.form_pairs()
    if not pairs:
        _refuse_token("invalid_request", "The body must be application/x-www-form-urlencoded")
    repeated = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    if repeated:
        _refuse_token("invalid_request", f"Duplicated parameter: {repeated[0][:40]}")
    form = dict(pairs)
    for name in ("grant_type", "client_id", "client_secret"):
        if not form.get(name):
            _refuse_token("invalid_request", f"Missing parameter: {name}")
    return form


def _application(market: Marketplace, form: dict[str, str]) -> Doc:
    application = market.state.get("application", form["client_id"])
    secret = application["client_secret"] if application else ""
    if application is None or not hmac.compare_digest(secret.encode(), form["client_secret"].encode()):
        _refuse_token("invalid_client", "Invalid client_id or client_secret")
    return application


def _spend_refresh_token(market: Marketplace, call: Call, application: Doc, form: dict[str, str]) -> Doc:
    """Single use, the newest only, bound to the application that got it (contract §1.3)."""
    asked = form.get("refresh_token", "")
    if not asked:
        _refuse_token("invalid_request", "Missing parameter: refresh_token")
    # The seller's id is the tail of the token, as in the real one.
    grant = market.state.get("grant", f"{application['client_id']}:{asked.rpartition('-')[2]}")
    if grant is None or grant["refresh_token"] != asked or grant["refresh_until"] <= now_seconds():
        if grant is not None and asked in grant["used"]:
            call.note = "refresh token already used"
        _refuse_token("invalid_grant", INVALID_GRANT)
    return grant


def _spend_code(market: Marketplace, application: Doc, form: dict[str, str]) -> Doc:
    """A code is good once, for ten minutes, for the redirect address and the verifier it was asked with."""
    for name in ("code", "redirect_uri"):
        if not form.get(name):
            _refuse_token("invalid_request", f"Missing parameter: {name}")
    code = market.state.get("code", form["code"])
    if code is None or code["client_id"] != application["client_id"]:
        _refuse_token("invalid_grant", INVALID_GRANT)
    if code["challenge"] and not form.get("code_verifier"):
        _refuse_token("invalid_request", "code_verifier is a required parameter")
    market.state.drop("code", form["code"])
    good = code["expires"] > now_seconds() and code["redirect_uri"] == form["redirect_uri"]
    if not good or not _verified(code, form.get("code_verifier", "")):
        _refuse_token("invalid_grant", INVALID_GRANT)
    return fresh_grant(market, application["client_id"], code["user_id"])


def _verified(code: Doc, verifier: str) -> bool:
    if not code["challenge"]:
        return True
    if code["method"] == "plain":
        return hmac.compare_digest(verifier.encode(), code["challenge"].encode())
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(digest, code["challenge"].encode())


def _issue(market: Marketplace, application: Doc, grant: Doc) -> Doc:
    """A new pair; the access tokens given before live on until they expire."""
    user_id = grant["user_id"]
    token = f"APP_USR-{application['client_id']}-{secrets.token_hex(16)}-{user_id}"
    expires_in_seconds = application["expires_in"]
    market.state.save(
        "token",
        token,
        {
            "user_id": user_id,
            "client_id": application["client_id"],
            "expires": now_seconds() + expires_in_seconds,
        },
    )
    grant["tokens"].append(token)
    while len(grant["tokens"]) > MAX_LIVE_TOKENS:
        market.state.drop("token", grant["tokens"].pop(0))
    _rotate(grant)
    market.state.save("grant", grant_key(grant["client_id"], user_id), grant)
    return {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": expires_in_seconds,
        "scope": "offline_access read write",
        "user_id": user_id,
        "refresh_token": grant["refresh_token"],
    }


# --- /authorization ------------------------------------------------------------------------------------------------


def get_authorization(market: Marketplace, call: Call) -> Answer:
    """The consent page (contract §1.1). The form comes back to the same address by POST."""
    with market.state.lock:
        application = _asking_application(market, call)
        if isinstance(application, Answer):
            return application
        accounts = list(market.state.tables["account"].values())
    choices = "".join(
        f'<label class="choice"><input type="radio" name="user_id" value="{account["user_id"]}" required'
        f"{' checked' if number == 0 else ''}> {escape(account['nickname'])}"
        f" <small>{account['user_id']}</small></label>"
        for number, account in enumerate(accounts)
    )
    body = (
        f"<p>O aplicativo <strong>{escape(application['name'])}</strong> ({application['client_id']}) pede acesso"
        " à sua conta: ler e alterar anúncios, vendas e envios, também quando você não está conectado.</p>"
        f'<form method="post" action="/authorization?{escape(call.raw_query)}">'
        f"<fieldset><legend>Conta do vendedor</legend>{choices or '<p>Nenhuma conta criada ainda.</p>'}</fieldset>"
        '<p class="row"><button name="answer" value="yes">Autorizar</button>'
        '<button class="quiet" name="answer" value="no" formnovalidate>Recusar</button></p></form>'
    )
    return Answer(200, html_page("Autorizar aplicativo", body), content_type="text/html; charset=utf-8")


def post_authorization(market: Marketplace, call: Call) -> Answer:
    """The person's answer: back to the application with a code, or with ``access_denied``."""
    form = dict(call.form_pairs())
    with market.state.change():
        application = _asking_application(market, call)
        if isinstance(application, Answer):
            return application
        if form.get("answer") == "no":
            denied = {"error": "access_denied", "error_description": "The user denied the request"}
            return _back(call, denied)
        account = market.state.get("account", form.get("user_id", ""))
        if account is None:
            return _error_page("Conta desconhecida", "Escolha uma das contas da lista e autorize de novo.")
        if account["operator"]:
            # An operator of the account may not grant; the page says so instead of going back (contract §1.1).
            return _error_page(
                "invalid_operator_user_id",
                "Você entrou como colaborador. O aplicativo não pode se conectar: entre com a conta do administrador.",
            )
        code = f"TG-{secrets.token_hex(16)}-{account['user_id']}"
        market.state.save(
            "code",
            code,
            {
                "client_id": application["client_id"],
                "user_id": account["user_id"],
                "redirect_uri": call.query["redirect_uri"],
                "challenge": call.query.get("code_challenge", ""),
                "method": call.query.get("code_challenge_method", "plain"),
                "expires": now_seconds() + CODE_LIFE_SECONDS,
            },
        )
    return _back(call, {"code": code})


def _asking_application(market: Marketplace, call: Call) -> Doc | Answer:
    """The application that asks, or the page that says what is wrong with its request."""
    application = market.state.get("application", call.query.get("client_id", ""))
    redirect_uri = call.query.get("redirect_uri", "")
    challenge = call.query.get("code_challenge", "")
    if application is None:
        return _error_page("Aplicativo desconhecido", "O client_id não existe: confira o cadastro do aplicativo.")
    if call.query.get("response_type") != "code":
        return _error_page("Pedido inválido", "response_type precisa ser code.")
    registered = application["redirect_uri"]
    if not redirect_uri.startswith(("http://", "https://")) or (registered and redirect_uri != registered):
        return _error_page(
            "Endereço de retorno diferente",
            "redirect_uri precisa ser igual, letra por letra, ao endereço cadastrado no aplicativo.",
        )
    if application["pkce_required"] and not challenge:
        return _error_page("PKCE obrigatório", "O aplicativo exige code_challenge e ele não veio no pedido.")
    if challenge and call.query.get("code_challenge_method", "plain") not in ("S256", "plain"):
        return _error_page("PKCE inválido", "code_challenge_method precisa ser S256 ou plain.")
    return application


def _error_page(title: str, text: str) -> Answer:
    body = f"<p>{escape(text)}</p>"
    return Answer(400, html_page(title, body), content_type="text/html; charset=utf-8")


def _back(call: Call, params: dict[str, str]) -> Answer:
    if "state" in call.query:
        params["state"] = call.query["state"]
    target = call.query["redirect_uri"]
    joined = target + ("&" if "?" in target else "?") + urlencode(params)
    return Answer(302, None, {"Location": joined})
