# docker build -t vmaf-jax .
# docker run --rm -v "$PWD:/data" vmaf-jax score reference.y4m distorted.mp4
# What is written belongs to --user "$(id -u):$(id -g)" where that is given; -v vmaf-jax:/cache keeps measurements.
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip install --no-cache-dir --prefix /installed --constraint constraints.txt '.[train]'

FROM python:3.13-slim
COPY --from=build /installed /usr/local
# Any user may write the cache, whoever the container runs as.
RUN useradd --uid 1000 vmaf && mkdir -m 1777 /cache
ENV VMAF_JAX_CACHE=/cache MPLCONFIGDIR=/cache/matplotlib
USER 1000
WORKDIR /data
ENTRYPOINT ["vmaf-jax"]
CMD ["--help"]
