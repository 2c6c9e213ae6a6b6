"""Django's PostgreSQL backend with a cheaper answer to "does this connection still live?".

Django asks before the first query of every request (CONN_HEALTH_CHECKS), so that a restarted server is noticed, and it
asks with a query: a round trip that costs a read of stock half as much again. But a server that goes away closes its
end of the socket, and an idle connection has nothing else to say: when there is nothing to read, it lives.
"""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that looks at its socket first, and asks the server only when there is something to read."""

    def is_usable(self) -> bool:
        """Tell whether the server is still there."""
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()  # unlike select.select, it takes any number
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or bool(super().is_usable())
