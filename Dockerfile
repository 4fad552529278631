# Two images from one file: `web` (no torch, the default) and `worker`.
#   docker build --target web    --tag ganymede-web .
#   docker build --target worker --tag ganymede-worker .
# A build of torch for another machine comes by --build-arg PIP_EXTRA_INDEX_URL=<index of its wheels>.

FROM python:3.11-slim-bookworm AS source
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY migrations migrations
COPY service service
COPY worker worker
COPY ganymede ganymede
RUN python -m venv /opt/ganymede

FROM source AS web-install
RUN /opt/ganymede/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM source AS worker-install
ARG PIP_EXTRA_INDEX_URL=""
RUN /opt/ganymede/bin/pip install --no-cache-dir --constraint constraints.txt '.[worker]'

FROM python:3.11-slim-bookworm AS runtime
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/ganymede ganymede \
    && install -d -o ganymede -g ganymede -m 0700 /var/lib/ganymede/blobs
ENV PATH=/opt/ganymede/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GANYMEDE_HOME=/var/lib/ganymede
WORKDIR /var/lib/ganymede
USER 10001

FROM runtime AS worker
# Long trainings are compiled, for which torch calls g++.
USER 0
RUN apt-get update && apt-get install --yes --no-install-recommends g++=4:12.2.0-3 && rm -rf /var/lib/apt/lists/*
USER 10001
COPY --from=worker-install /opt/ganymede /opt/ganymede
# A worker has no port to ask. It leaves when it cannot go on, and its beat stands in /workers.
HEALTHCHECK NONE
CMD ["ganymede", "worker"]

FROM runtime AS web
COPY --from=web-install /opt/ganymede /opt/ganymede
ENV GANYMEDE_BIND=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["ganymede", "api"]
