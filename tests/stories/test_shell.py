"""A real account put to work from a shell alone: every command, its `--json`, its errors and its exit codes."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from pytest_django.live_server_helper import LiveServer

from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Location
from apps.sandbox.server import Sandbox
from apps.tenants.models import ApiKey, hash_key
from tests.market import open_market, work_until_quiet


def run(*arguments: str) -> dict[str, object]:
    out = io.StringIO()
    call_command(*arguments, "--json", stdout=out, stderr=io.StringIO())
    return dict(json.loads(out.getvalue()))


def test_from_nothing_to_a_synchronised_sale(transactional_db: None, live_server: LiveServer, sandbox: Sandbox) -> None:
    control = sandbox.control
    application = control.application()
    account = control.account(client_id=application["client_id"], nickname="LOJA DA ANA")
    [item] = control.create_items(account["user_id"], [{"seller_sku": "SHIRT", "available_quantity": 4}])

    assert run("create_tenant", "Loja da Ana")["tenant"] == "loja-da-ana"
    connector = run(
        "create_connector",
        "--tenant=loja-da-ana",
        f"--client-id={application['client_id']}",
        f"--client-secret={application['client_secret']}",
        f"--refresh-token={account['refresh_token']}",
    )
    address = str(connector["notification_url"])
    assert address.startswith("http://127.0.0.1:8000/api/integracoes/ml/notificacoes/")
    control.application(
        client_id=application["client_id"], notification_url=live_server.url + address.partition(":8000")[2]
    )
    imported = run("import_listings", f"--connector={connector['id']}", "--create-products")
    assert imported == {"read": 1, "new": 1, "mapped": 1, "unmapped": 0, "products_made": 1}
    work_until_quiet()
    assert control.item(item)["available_quantity"] == 4  # nothing is said before the stock is known

    received = run("receive_stock", "--tenant=loja-da-ana", "--sku=SHIRT", "--location=CD1", "--quantity=9")
    assert (received["on_hand"], received["available"], received["location_is_new"]) == (9, 9, True)
    work_until_quiet()
    assert control.item(item)["available_quantity"] == 9

    control.sell(item, 2)
    control.wait_until_notified()
    work_until_quiet()
    assert control.item(item)["available_quantity"] == 7
    assert run("prove") == {"holds": True, "findings": []}
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert run("reprocessar", str(event.pk)) == {"reprocessed": 1}
    work_until_quiet()
    event.refresh_from_db()
    assert (event.status, event.reprocess_count) == ("DUPLICADO", 1)
    assert control.item(item)["available_quantity"] == 7


def test_importing_again_changes_no_mapping_and_doubles_nothing(transactional_db, live_server, sandbox) -> None:
    market = open_market(sandbox.control, live_server.url)
    listing = market.listing("SHIRT")
    listing.product = market.product("MUG")
    listing.save()
    again = run("import_listings", f"--connector={market.connector.pk}", "--create-products")
    assert again == {"read": 2, "new": 0, "mapped": 2, "unmapped": 0, "products_made": 0}
    assert market.listing("SHIRT").product == market.product("MUG")


def test_goods_received_twice_with_one_key_are_counted_once(transactional_db, live_server, sandbox) -> None:
    open_market(sandbox.control, live_server.url)
    arguments = ["receive_stock", "--tenant=alice", "--sku=MUG", "--location=CD1", "--quantity=5", "--key=NF-1"]
    assert run(*arguments) == run(*arguments)


def test_an_api_key_is_shown_once_and_kept_as_a_hash(db: None) -> None:
    run("create_tenant", "Ana", "--user=ana", "--password=uma-senha-longa")
    made = run("create_api_key", "--tenant=ana", "--scopes=stock:read", "--days=30")
    key = ApiKey.objects.get()
    assert key.key_hash == hash_key(str(made["key"]))
    assert str(made["key"]) not in str(vars(key))
    assert (key.scopes, key.is_usable) == (["stock:read"], True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create_tenant"], "Give the tenant a name"),
        (["create_tenant", "!!!"], "The tenant was not made"),
        (["create_tenant", "Bia", "--time-zone=Mars/Olympus"], "Mars/Olympus"),
        (["create_api_key", "--tenant=ana", "--scopes=everything"], "resource:action"),
        (["create_api_key", "--tenant=bruno"], "There is no tenant 'bruno'. Known: ana."),
        (["receive_stock", "--tenant=ana", "--sku=X", "--location=A", "--quantity=1"], "has no product 'X'"),
        (["import_listings", "--connector=99"], "There is no connector 99"),
        (["reprocessar"], "Say which events"),
        (["reprocessar", "--since=yesterday"], "is not a moment with a zone"),
        (["create_connector", "--tenant=ana", "--client-id=1"], "Give --client-secret"),
    ],
)
def test_an_error_is_one_clear_sentence(db: None, arguments: list[str], sentence: str) -> None:
    run("create_tenant", "Ana")
    with pytest.raises(CommandError, match=sentence):
        call_command(*arguments, stdout=io.StringIO(), stderr=io.StringIO())
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(*arguments, "--json", stdout=out, stderr=io.StringIO())
    assert ended.value.code == 1
    assert sentence in json.loads(out.getvalue())["error"]


def test_a_refused_quantity_leaves_nothing_behind(transactional_db, live_server, sandbox) -> None:
    open_market(sandbox.control, live_server.url)
    with pytest.raises(CommandError, match="Nothing was received"):
        call_command("receive_stock", "--tenant=alice", "--sku=MUG", "--location=NEW", "--quantity=-1")
    assert not Location.objects.filter(code="NEW").exists()


@pytest.mark.corrupts
def test_a_broken_ledger_ends_prove_with_exit_code_1(transactional_db, live_server, sandbox) -> None:
    open_market(sandbox.control, live_server.url)
    Balance.objects.update(on_hand=77)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("prove", stdout=out)
    assert ended.value.code == 1
    assert "BROKEN in 2 rows: a balance is the sum of its movements" in out.getvalue()
