# Parley in one container, with its PostgreSQL embedded unless DATABASE_URL is set:
#   docker build -t parley . && docker run --init -p 8080:8080 -v parley:/data parley

FROM python:3.13-slim-trixie AS builder
COPY requirements.lock /
RUN python -m venv /opt/parley \
    && /opt/parley/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /requirements.lock

FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin parley \
    && install --directory --owner parley --group parley --mode 0700 /data
COPY --from=builder /opt/parley /opt/parley
WORKDIR /app
COPY app.py LICENSE ./
COPY migrations migrations
COPY models models
COPY services services
COPY pages pages
ENV PATH="/opt/parley/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PARLEY_HOST=0.0.0.0 \
    PARLEY_DATA=/data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ.get('PARLEY_PORT', '8080')}/health/ready\", timeout=4)"]
CMD ["python", "app.py"]
