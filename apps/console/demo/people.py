"""Who works at the demo shop. Their logins stand in docs/console/README.md; the password is the demo's."""

from django.contrib.auth.models import User

from apps.console.demo.shop import LOGIN, PASSWORD
from apps.console.models import SavedView
from apps.tenants import audit, permissions, team
from apps.tenants.models import ApiKey, Membership, Tenant

PEOPLE = (
    ("demo-analista", "Lívia", "Prates", permissions.ANALYST),
    ("demo-operador", "Caetano", "Reis", permissions.OPERATOR),
    ("demo-gestor", "Marina", "Couto", permissions.MANAGER),
)
KEYS = (
    ("Checkout do site", ["stock:read", "stock:reserve"]),
    ("Painel de BI", ["stock:read", "movements:read"]),
)
"""Programs that have a key. Its text is thrown away: nobody can use these, they show what the page looks like."""

VIEWS = (
    ("demo-gestor", "stock", "Em falta agora", "state=oversold", True),
    ("demo-gestor", "orders", "Prontos para retirar", "status=PRONTO", True),
    ("demo", "syncs", "Recusas do canal", "status=ERROR", False),
    ("demo", "all-movements", "Ajustes à mão", "kind=ADJUSTMENT", True),
)
"""Saved views: whose, of which list, name, filters, whether colleagues see it."""


def hire(tenant: Tenant) -> None:
    """Give the shop its people and its programs' keys, once."""
    boss = Membership.objects.get(tenant=tenant, user__username=LOGIN)
    for username, first, last, role in PEOPLE:
        if User.objects.filter(username=username).exists():
            continue
        made = team.add(boss, username=username, first_name=first, last_name=last, email="", role=role)
        made.user.set_password(PASSWORD)
        made.user.save()
    for owner, page, name, query, is_shared in VIEWS:
        user = User.objects.get(username=owner)
        values = {"query": query, "is_shared": is_shared}
        SavedView.objects.get_or_create(tenant=tenant, page=page, owner=user, name=name, defaults=values)
    for name, scopes in KEYS:
        if not ApiKey.objects.filter(tenant=tenant, name=name).exists():
            key, _text = ApiKey.issue(tenant, name=name, scopes=scopes)
            audit.record(tenant, f"user:{boss.user_id}", "key.made", f"key:{key.prefix}", name=name, scopes=scopes)
