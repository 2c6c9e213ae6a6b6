"""The whole proof, room by room: what `manage.py prove` prints and Beat runs every five minutes."""

from apps.common.findings import Finding
from apps.events.prove import prove as prove_events
from apps.inventory.prove import prove as prove_ledger
from apps.notifications.prove import prove as prove_notifications
from apps.sources.prove import prove as prove_sources
from apps.subscribers.prove import prove as prove_subscribers
from apps.sync.prove import prove as prove_sync


def prove_all() -> list[Finding]:
    """Return every broken invariant of the hub; an empty list is the proof."""
    return [
        *prove_ledger(),
        *prove_sync(),
        *prove_events(),
        *prove_notifications(),
        *prove_sources(),
        *prove_subscribers(),
    ]
