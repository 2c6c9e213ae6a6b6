"""Who the seller is, the application, and the seller's depots (contract §1.6, §5.6)."""

from __future__ import annotations

from .call import Answer, Call, Doc, refuse
from .clock import west4
from .marketplace import Marketplace, caller, must_be_caller


def get_me(market: Marketplace, call: Call) -> Answer:
    """``GET /users/me``; with the fault ``partial`` a 206 without the parts named."""
    with market.state.lock:
        body = _own(market.account(caller(call)))
    if call.fault is not None and call.fault_is("partial"):
        missing = call.fault.get("missing", ["seller_reputation"])
        for name in missing:
            body[name] = None
        return Answer(206, body, {"X-Content-Missing": ", ".join(missing)})
    return Answer(200, body)


def get_user(market: Marketplace, call: Call, user_id: str) -> Answer:
    """``GET /users/{id}``: everything for the own token, the public part for others."""
    with market.state.lock:
        account = market.state.get("account", user_id)
        if account is None:
            refuse(404, "not_found", f"User with id {user_id} not found")
        return Answer(200, _own(account) if account["user_id"] == call.user_id else _public(account))


def get_application(market: Marketplace, call: Call, client_id: str) -> Answer:
    """``GET /applications/{id}``, for its own tokens only."""
    with market.state.lock:
        application = market.state.get("application", client_id)
        if application is None:
            refuse(404, "not_found", f"Application {client_id} not found")
        if client_id != call.client_id:
            refuse(403, "access_denied", "access to the requested resource is forbidden")
        return Answer(
            200,
            {
                "id": int(client_id),
                "name": application["name"],
                "callback_url": application["redirect_uri"],
                "notifications_callback_url": application["notification_url"],
                "notifications_topics": application["topics"],
                "max_requests_per_hour": application["max_requests_per_hour"],
                "certification_status": "not_certified",
                "active": True,
            },
        )


def get_stores(market: Marketplace, call: Call, user_id: str) -> Answer:
    """``GET /users/{id}/stores/search?tags=stock_location``: the depots of a multi-origin seller."""
    must_be_caller(call, int(user_id))
    wanted = {tag for tag in call.query.get("tags", "").split(",") if tag}
    with market.state.lock:
        stores = [
            _store(store, int(user_id))
            for store in market.account(int(user_id))["stores"]
            if wanted <= set(store["tags"])
        ]
    offset, limit = call.number("offset", 0), min(call.number("limit", 50), 50)
    paging = {"offset": offset, "limit": limit, "total": len(stores)}
    return Answer(200, {"paging": paging, "results": stores[offset : offset + limit]})


def _public(account: Doc) -> Doc:
    return {
        "id": account["user_id"],
        "nickname": account["nickname"],
        "country_id": "BR" if account["site_id"] == "MLB" else account["site_id"][2:],
        "address": {"city": "São Paulo", "state": "BR-SP"},
        "user_type": "normal",
        "site_id": account["site_id"],
        "permalink": f"http://perfil.mercadolivre.com.br/{account['nickname']}",
        "seller_reputation": {"level_id": None, "power_seller_status": None},
        "status": {"site_status": "active"},
    }


def _own(account: Doc) -> Doc:
    nickname = account["nickname"]
    allowed = {"allow": True, "codes": [], "immediate_payment": {"required": False, "reasons": []}}
    return {
        **_public(account),
        "registration_date": west4(account["created"]),
        "first_name": "Vendedor",
        "last_name": "de Teste",
        "email": f"{nickname.lower()}@testuser.example",
        "identification": {"type": "CNPJ", "number": "00000000000191"},
        "address": {"address": "Rua do Teste 100", "city": "São Paulo", "state": "BR-SP", "zip_code": "01000000"},
        "phone": {"area_code": "11", "number": "00000000", "extension": "", "verified": False},
        "tags": account["tags"],
        "logo": None,
        "points": 0,
        "seller_experience": "ADVANCED",
        "seller_reputation": {
            "level_id": None,
            "power_seller_status": None,
            "transactions": {"period": "historic", "total": 0, "completed": 0, "canceled": 0},
        },
        "status": {
            "site_status": "active",
            "list": allowed,
            "buy": allowed,
            "sell": allowed,
            "billing": {"allow": True, "codes": []},
            # Read as not accepted on accounts where shipping worked (contract §1.6).
            "mercadoenvios": "not_accepted",
            "mercadopago_account_type": "personal",
            "immediate_payment": False,
            "confirmed_email": True,
            "required_action": "",
        },
    }


def _store(store: Doc, user_id: int) -> Doc:
    return {
        "id": store["id"],
        "user_id": str(user_id),
        "description": store["description"],
        "status": "active",
        "location": {
            "address_id": int(store["id"]),
            "address_line": f"Rua do Depósito {store['id']}",
            "street_name": "Rua do Depósito",
            "street_number": store["id"],
            "latitude": -23.55,
            "longitude": -46.63,
            "city": "São Paulo",
            "state": "São Paulo",
            "country": "Brasil",
            "zip_code": "01000000",
        },
        "tags": store["tags"],
        "network_node_id": store["network_node_id"],
        "services": {"stock_location": ["cross_docking", "xd_drop_off"]},
    }


def get_missed_feeds(market: Marketplace, call: Call) -> Answer:
    """``GET /missed_feeds?app_id=&topic=``: lost notifications of two days; nothing is consumed (contract §2.6)."""
    if call.query.get("app_id") != call.client_id:
        refuse(403, "access_denied", "access to the requested resource is forbidden")
    topic = call.query.get("topic")
    if topic == "items" and not call.query.get("site_id"):
        refuse(400, "bad_request", "site_id is required for topic items")
    offset, limit = call.number("offset", 0), min(call.number("limit", 10), 100)
    rows = market.notifier.missed_rows(str(call.client_id), topic)
    return Answer(200, {"messages": rows[offset : offset + limit]})
