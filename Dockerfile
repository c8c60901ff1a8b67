# A small image that serves: docker build -t llm-emulator . && docker run --rm -p 4010:4010 llm-emulator
FROM python:3.13-slim AS build
COPY . /src
RUN pip wheel --no-cache-dir --wheel-dir /wheels '/src[contract,redis,reload,tls]'

FROM python:3.13-slim
# What is installed is what was built above.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'llm-emulator[contract,redis,reload,tls]' \
    && useradd --create-home --uid 10001 emulator
USER 10001
WORKDIR /scenarios
EXPOSE 4010
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4010/_emulator/health', timeout=2)"]
ENTRYPOINT ["emulator"]
CMD ["serve", "--host", "0.0.0.0"]
