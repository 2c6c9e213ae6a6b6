"""The commands that make up Saldo. docker-compose.yml starts the same ones; tests/launcher/test_compose.py compares."""

MIGRATE = ["manage.py", "migrate", "--noinput"]
WEB = [
    *("-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "8", "--no-ws"),
    *("--respawn-failed-workers", "config.wsgi:application"),
]
"""Listens where GRANIAN_HOST and GRANIAN_PORT say. Two processes of eight threads: each holds its own connections.

One that dies is replaced while the other answers; without that Granian ends, and nobody answers until it is back."""


def worker(concurrency: int) -> list[str]:
    """Return the Celery worker's command with so many processes.

    Without gossip and mingle: workers have nothing to tell each other, and asking around costs a second at the start.
    """
    return [
        *("-m", "celery", "-A", "config", "worker", "--loglevel", "INFO", "--without-gossip", "--without-mingle"),
        *("--pool", "prefork", "--concurrency", str(concurrency)),
    ]


BEAT = [
    *("-m", "celery", "-A", "config", "beat", "--loglevel", "INFO", "--pidfile="),
    *("--scheduler", "config.beat:Scheduler"),
]
