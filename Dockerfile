# The service: a pinned environment built once, copied into an image without build tools, run by a user without rights.
#   docker build --tag apportion:dev .
#   docker run --rm -p 127.0.0.1:50051:50051 -v "$PWD/router.toml:/etc/apportion/router.toml:ro" apportion:dev
# Any lock of locks/ may be added; with `train` it can also learn (make docker-training):
#   docker build --tag apportion-training:dev --build-arg EXTRAS="core embed postgres train" .

FROM python:3.12-slim AS build
ARG EXTRAS="core embed postgres"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY locks/ locks/
RUN python -m venv /app \
 && for extra in ${EXTRAS}; do set -- "$@" -r "locks/${extra}.txt"; done \
 && /app/bin/pip install --no-compile --no-deps "$@" \
 && pip install "$(grep '^setuptools==' locks/dev.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY predictors/ predictors/
COPY router/ router/
COPY training/ training/
# For predictors/*.c; without a compiler numpy would do the same, more slowly.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
# Bytecode now: the image's files are read-only when it runs, and scikit-learn alone takes seconds to compile.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /app/bin/pip install --no-compile --no-deps dist/apportion-*.whl \
 && /app/bin/pip check \
 && /app/bin/python -m compileall -q -j 0 /app/lib \
 && /app/bin/pip uninstall --quiet --yes pip
# What manifests name whatever the version of Python: what model servers load, and recorded answers for demos.
RUN mkdir /app/connector \
 && cp -r predictors /app/connector/ \
 && cp -r training/recordings /app/recordings

FROM python:3.12-slim
# LightGBM is linked against the system's OpenMP runtime.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --home-dir /var/lib/apportion --shell /usr/sbin/nologin apportion \
 && install --directory --owner=10001 --group=10001 /var/lib/apportion
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /var/lib/apportion
EXPOSE 50051 8080 9464
STOPSIGNAL SIGTERM
# With [tls], let APPORTION_HEALTH name the address of server.health_listen.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import grpc, os, sys; from grpc_health.v1 import health_pb2 as m, health_pb2_grpc as s; sys.exit(s.HealthStub(grpc.insecure_channel(os.environ.get('APPORTION_HEALTH', '127.0.0.1:50051'))).Check(m.HealthCheckRequest(), timeout=4).status != m.HealthCheckResponse.SERVING)"]
ENTRYPOINT ["apportion"]
CMD ["serve", "--config", "/etc/apportion/router.toml"]
