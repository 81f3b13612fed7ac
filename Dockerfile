# edge-harmony on a CPU: pictures, videos and the HTTP service; no torch, no root.
#
#   docker build --tag edge-harmony .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" edge-harmony harmonize composite.jpg mask.png
#   docker run --rm --publish 127.0.0.1:8000:8000 edge-harmony serve --host 0.0.0.0
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
COPY pyproject.toml README.md LICENSE constraints.txt /src/
COPY licenses /src/licenses
COPY native /src/native
COPY edge_harmony /src/edge_harmony
COPY export/targets /src/export/targets
COPY calibration/sets /src/calibration/sets
COPY benchmarks/suites /src/benchmarks/suites
COPY benchmarks/budgets /src/benchmarks/budgets
COPY examples/web /src/examples/web
RUN python -m venv /opt/edge-harmony \
    && EDGE_HARMONY_NATIVE=required /opt/edge-harmony/bin/pip install --no-cache-dir --constraint /src/constraints.txt '/src[serve,video]'

FROM python:3.12-slim
# libgl1 and libglib2.0-0: what opencv-python links to
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 harmony
COPY --from=build /opt/edge-harmony /opt/edge-harmony
ENV PATH=/opt/edge-harmony/bin:$PATH
# one picture, so that an image that cannot run is not built
COPY edge_harmony/samples /tmp/samples
RUN edge-harmony harmonize /tmp/samples/pagoda-cold.jpg /tmp/samples/pagoda-cold_mask.png -o /tmp/first.png && rm /tmp/first.png
USER harmony
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["edge-harmony"]
CMD ["--help"]
