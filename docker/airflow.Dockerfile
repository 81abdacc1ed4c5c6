# Airflow as uv.lock pins it. Code is not in the image: docker-compose.yaml mounts the checkout's folders read-only.
FROM ghcr.io/astral-sh/uv:0.13.8 AS uv

FROM python:3.13.9-slim-bookworm
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_CACHE_DIR=/var/cache/uv
WORKDIR /opt/lake
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --frozen --only-group airflow \
    && uv export --frozen --quiet --only-group worker --format requirements-txt --output-file worker-requirements.txt
COPY docker/entrypoint.sh docker/health.py /usr/local/bin/
# Volumes take over the owner of the folder that they are mounted on.
RUN useradd --uid 10001 --create-home lake \
    && mkdir -p /opt/airflow/logs /var/lib/lake \
    && chown -R lake /opt/airflow /var/lib/lake
ENV PATH=/opt/venv/bin:$PATH \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONUNBUFFERED=1
USER lake
ENTRYPOINT ["entrypoint.sh"]
