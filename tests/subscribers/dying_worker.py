"""A worker that kills itself with SIGKILL at a named joint: `python -m tests.subscribers.dying_worker "<joint>"`.

What it leaves behind is what a machine that lost its power would: half a transaction, a lease nobody ends.
"""

import sys

from tests.dying import Points, die_at

#: joint: (function to die at, whether the function still runs to its end first)
JOINTS: Points = {
    "the feed is read, nothing queued": ("apps.subscribers.following.queue", False),
    "the deliveries are queued, not committed": ("apps.subscribers.following.queue", True),
    "the feed is followed": ("apps.subscribers.following.follow", True),
    "a lane is claimed": ("apps.subscribers.delivering.take_turn", False),
    "a try is opened, nothing sent": ("apps.subscribers.delivering._call", False),
    "the event is sent, nothing written": ("apps.subscribers.delivering._call", True),
    "the answer came, nothing settled": ("apps.subscribers.lanes.settle_delivered", False),
    "the delivery is settled, the turn not ended": ("apps.subscribers.lanes.settle_delivered", True),
    "the turn is ended": ("apps.subscribers.lanes.end_turn", True),
}


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1], JOINTS)

    from apps.subscribers import delivering, following

    while following.follow():
        pass
    crew = delivering.Crew()
    crew.work(20)
    crew.go_home()
