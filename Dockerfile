# docker build -t vmaf-jax .
# docker run --rm -v "$PWD:/data" vmaf-jax score reference.y4m distorted.mp4
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip install --no-cache-dir --prefix /installed --constraint constraints.txt .

FROM python:3.13-slim
COPY --from=build /installed /usr/local
RUN useradd --create-home --uid 1000 vmaf
USER vmaf
WORKDIR /data
ENTRYPOINT ["vmaf-jax"]
CMD ["--help"]
