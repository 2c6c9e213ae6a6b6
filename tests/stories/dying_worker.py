"""A worker that kills itself with SIGKILL at a named point of the road.

Run it by `python -m tests.stories.dying_worker "<point>"`.

It runs the same functions as the Celery ticks, in a process of its own, so what it leaves behind is what a machine that
lost its power would: half a transaction rolled back by PostgreSQL, a lease nobody ends, a call nobody answers for.
"""

import sys

from tests.dying import Points, die_at

#: point: (function to die at, whether the function still runs to its end first)
POINTS: Points = {
    "the event is claimed": ("apps.events.inbox._process", False),
    "the order is read": ("apps.events.inbox._take_in", False),
    "the effect's key is written, nothing else": ("apps.orders.intake.take_in", False),
    "order and stock are written, not committed": ("apps.orders.intake.take_in", True),
    "order and stock are committed": ("apps.events.inbox._take_in", True),
    "the details are read, not written": ("apps.events.inbox._finish", False),
    "the details are written, the stock not followed": ("apps.events.inbox._finish", True),
    "the listings are marked, not committed": ("apps.sync.queue._mark_due", True),
    "the ledger is followed": ("apps.sync.queue.follow", True),
    "the listing is claimed": ("apps.sync.push._compute", False),
    "the log is opened, nothing handed on": ("apps.sync.push._compute", True),
    "the log is opened, the call not made": ("apps.sync.telling.send", False),
    "the number is put, the log not finished": ("apps.sync.telling.send", True),
    "log and claim are ended": ("apps.sync.push._settle", True),
    "the push is settled": ("apps.sync.push._push", True),
}

#: the same for the search of what no notification told
SEARCH_POINTS: Points = {
    "the orders are found, nothing is stored": ("apps.events.search.keep", False),
    "the events are stored, the watermark not moved": ("apps.events.models.Watch.save", False),
    "events and watermark are written, not committed": ("apps.events.models.Watch.save", True),
    "events and watermark are committed": ("apps.events.search.keep", True),
}

#: the same for the comparison with the channel
RECONCILE_POINTS: Points = {
    "the channel is read, nothing is written": ("apps.sync.divergences.write", False),
    "differences and place are written, not committed": ("apps.sync.models.ReconcileRun.save", True),
    "a step is committed": ("apps.sync.reconcile._compare", True),
    "all is compared, the run not ended": ("apps.sync.reconcile._end", False),
}

#: the same for a job over many events
BULK_POINTS: Points = {
    "the members are taken, not committed": ("apps.events.inbox.claim_again", True),
    "the members are committed, nothing is read": ("apps.events.inbox.work_on", False),
    "a member's order is taken in, its event not settled": ("apps.events.inbox._finish", False),
    "the event is settled, the member not": ("apps.events.inbox.work_on", True),
    "the member is settled": ("apps.events.bulk_work._claim", False),
}


if __name__ == "__main__":
    import django

    django.setup()
    point, _at, nth = sys.argv[1].partition("@")
    die_at(point, POINTS | SEARCH_POINTS | RECONCILE_POINTS | BULK_POINTS, nth=int(nth or 1))

    if point in BULK_POINTS:
        from apps.events import bulk_work

        bulk_work.go_on(30)
    elif point in RECONCILE_POINTS:
        from apps.events.unheard import find_sales
        from apps.sync import reconcile

        reconcile.go_on(find_sales, steps=100, max_seconds=30)
    elif point in SEARCH_POINTS:
        from apps.events.search import search_next

        search_next()
    else:
        from tests.market import work_until_quiet

        work_until_quiet()
