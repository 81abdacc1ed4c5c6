# The local AWS, and the environment of the EC2 worker whose commands it runs. Code is mounted by docker-compose.yaml.
FROM ghcr.io/astral-sh/uv:0.13.8 AS uv

FROM python:3.13.9-slim-bookworm
# lake-worker and Spark's scripts call ps.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps \
    && rm -rf /var/lib/apt/lists/*
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_CACHE_DIR=/var/cache/uv
WORKDIR /opt/lake
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/var/cache/uv \
    UV_PROJECT_ENVIRONMENT=/opt/localaws uv sync --frozen --only-group localaws \
    && UV_PROJECT_ENVIRONMENT=/opt/worker uv sync --frozen --only-group worker
COPY docker/health.py /usr/local/bin/
RUN useradd --uid 10001 --create-home lake \
    && mkdir -p /var/lib/localaws \
    && chown lake /var/lib/localaws
ENV PATH=/opt/localaws/bin:$PATH \
    PYTHONUNBUFFERED=1
USER lake
