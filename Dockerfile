# The embedded server: one process, its workers and a folder. Nothing else is needed.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/ragd
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY deepdoc deepdoc
COPY rag rag
COPY api api
RUN /opt/ragd/bin/pip install --no-cache-dir .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data ragd && install -d -o ragd -g ragd -m 0700 /data
COPY --from=build /opt/ragd /opt/ragd
ENV PATH=/opt/ragd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RAGD_DATA_DIR=/data \
    RAGD_HTTP_HOST=0.0.0.0
USER ragd
WORKDIR /data
VOLUME /data
EXPOSE 9380
# Python instead of curl, which the slim image has not. A proxy of the environment is no way to localhost.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('RAGD_HTTP_PORT', '9380')}/v1/system/healthz\", timeout=4)"]
ENTRYPOINT ["ragd"]
CMD ["serve"]
