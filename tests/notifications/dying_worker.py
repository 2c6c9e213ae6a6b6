"""A worker that kills itself with SIGKILL at a named joint: `python -m tests.notifications.dying_worker "<joint>"`.

What it leaves behind is what a machine that lost its power would.
"""

import sys

from tests.dying import Points, die_at

#: joint: (function to die at, whether the function still runs to its end first)
JOINTS: Points = {
    "ready orders are being queued": ("apps.notifications.following.queue_ready", False),
    "ready orders are queued": ("apps.notifications.following.queue_ready", True),
    "a notification is claimed": ("apps.notifications.sending.claim_due", True),
    "the try is opened, nothing sent": ("apps.notifications.sending._send", False),
    "the mail is sent, nothing settled": ("apps.notifications.sending._send", True),
    "the notification is settled": ("apps.notifications.sending._settle", True),
}


if __name__ == "__main__":
    import django

    django.setup()
    die_at(sys.argv[1], JOINTS)

    from apps.notifications import following, sending

    following.queue_ready()
    while sending.send_next():
        pass
