# One gateway. It wants REDIS_URL and ASSENT_SECRET; docker-compose.yml runs two of them with a Valkey.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    ASSENT_HOST=0.0.0.0 \
    ASSENT_PORT=8080

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
        --require-hashes --requirement requirements.txt

COPY LICENSE ./
COPY cards cards
COPY scheduler scheduler
COPY bot bot
RUN python -m compileall -q cards scheduler bot \
    && useradd --system --uid 10001 --no-create-home --home-dir /nonexistent assent

USER assent
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"ASSENT_PORT\"]}/readyz', timeout=2)"]
CMD ["python", "-m", "bot", "serve"]
