"""The Celery app and what Beat sends when. Celery only wakes workers; the work itself stands in PostgreSQL (law 1)."""

import os

from billiard import pool
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("saldo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# A process of a worker that stops waits, a tenth of a second at a time, until its parent has counted its last result.
# Once in some thirty stops that never happens (billiard 4.3), and it waited 30 s. Nobody wants the results.
pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10

# A tick that no worker took before the next one is due is dropped. `expire_seconds`, whole, is the database schedule's
# word for it; Celery's own `expires` is ignored there.
EVERY_SECOND = {"schedule": 1.0, "options": {"expire_seconds": 1}}

# What a person asked for and looks at: they wait for it anyway, and nothing of stock does.
FOR_PEOPLE = {"schedule": 2.0, "options": {"expire_seconds": 2}}

#: The rhythm. `config.beat.Scheduler` writes these into the database once; from then on the admin's edits win.
app.conf.beat_schedule = {
    "inbox": {"task": "apps.events.tasks.work_through_inbox", **EVERY_SECOND},
    "reprocess many": {"task": "apps.events.tasks.reprocess_on", **FOR_PEOPLE},
    "follow the ledger": {"task": "apps.sync.tasks.follow_ledger", **EVERY_SECOND},
    "push due numbers": {"task": "apps.sync.tasks.push_due", **EVERY_SECOND},
    "push due prices": {"task": "apps.sync.tasks.push_prices", "schedule": 5.0, "options": {"expire_seconds": 5}},
    "expire holds and batches": {
        "task": "apps.inventory.tasks.expire_due",
        "schedule": 2.0,
        "options": {"expire_seconds": 2},
    },
    "tell subscribers": {"task": "apps.subscribers.tasks.follow", **EVERY_SECOND},
    "deliver events": {"task": "apps.subscribers.tasks.deliver", **EVERY_SECOND},
    "tell recipients": {"task": "apps.notifications.tasks.notify", **EVERY_SECOND},
    "look for troubles": {
        "task": "apps.notifications.tasks.look_for_troubles",
        "schedule": 10.0,
        "options": {"expire_seconds": 10},
    },
    "test connectors": {"task": "apps.console.tasks.run_tests", **FOR_PEOPLE},
    "import listings": {"task": "apps.console.tasks.run_imports", **FOR_PEOPLE},
    "map many": {"task": "apps.console.tasks.map_on", **FOR_PEOPLE},
    # at the pace of RECONCILE_CALLS_PER_MINUTE, each account every RECONCILE_EVERY_MINUTES
    "compare with channels": {
        "task": "apps.console.tasks.reconcile_on",
        "schedule": 10.0,
        "options": {"expire_seconds": 10},
    },
    "compare on demand": {"task": "apps.console.tasks.run_reconciles", **FOR_PEOPLE},
    "write exports": {"task": "apps.console.tasks.write_exports", **FOR_PEOPLE},
    "old exports": {"task": "apps.console.tasks.forget_exports", "schedule": 3600.0},
    "stock sync": {"task": "apps.sync.tasks.stock_sync", "schedule": 60.0, "options": {"expire_seconds": 60}},
    # each account has its own pause, ORDER_SEARCH_EVERY_SECONDS: this only asks whose turn it is
    "search orders": {"task": "apps.events.tasks.search_orders", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "missed feeds": {
        "task": "apps.events.tasks.read_missed_feeds",
        "schedule": 900.0,
        "options": {"expire_seconds": 900},
    },
    "silent topics": {
        "task": "apps.events.tasks.look_for_silence",
        "schedule": 600.0,
        "options": {"expire_seconds": 600},
    },
    "look after sources": {
        "task": "apps.sources.tasks.look_after_sources",
        "schedule": 60.0,
        "options": {"expire_seconds": 60},
    },
    "canary": {"task": "apps.console.tasks.canary", "schedule": 10.0, "options": {"expire_seconds": 10}},
    "hours": {"task": "apps.console.tasks.add_up_hours", "schedule": 60.0, "options": {"expire_seconds": 60}},
    "old figures": {"task": "apps.console.tasks.forget_old_figures", "schedule": 3600.0},
    "prove": {"task": "apps.console.tasks.prove", "schedule": 300.0, "options": {"expire_seconds": 300}},
    "prune deliveries": {
        "task": "apps.subscribers.tasks.prune",
        "schedule": 3600.0,
        "options": {"expire_seconds": 3600},
    },
    "checkpoints": {
        "task": "apps.inventory.tasks.follow_history",
        "schedule": 60.0,
        "options": {"expire_seconds": 60},
    },
    "old event bodies": {"task": "apps.events.tasks.forget_old_bodies", "schedule": 3600.0},
    "old idempotency keys": {"task": "apps.inventory.tasks.forget_old_keys", "schedule": 86400.0},
    "ledger partitions": {"task": "apps.inventory.tasks.make_partitions", "schedule": 86400.0},
    "months of the sync log": {"task": "apps.sync.tasks.keep_log_months", "schedule": 86400.0},
}
