# syntax=docker/dockerfile:1
# Qingyuan as an image. Two targets:
#
#   docker build -t qingyuan .                          # nothing but the binary: no shell, no packages
#   docker build -t qingyuan:chromium --target chromium .   # with Chromium, for sites that need a browser
#
# Both hold the site kits of configs/sites in /kits, run as user 1000, keep everything in /data and write nowhere else, so that
# the root file system may be read-only (with a tmpfs at /tmp).

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${VERSION:+-X main.version=$VERSION}" -o /out/qingyuan ./cmd/qingyuan
RUN mkdir -m 0700 /out/data && mkdir -m 1777 /out/tmp

FROM debian:bookworm-slim AS chromium
RUN apt-get update \
 && apt-get install -y --no-install-recommends chromium fonts-noto-cjk ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/qingyuan /qingyuan
COPY --from=build --chown=1000:1000 /out/data /data
COPY configs/sites /kits
USER 1000:1000
WORKDIR /etc/qingyuan
VOLUME /data
EXPOSE 8686
ENTRYPOINT ["/qingyuan"]
CMD ["serve", "-config", "/etc/qingyuan/qingyuan.yaml"]

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/qingyuan /qingyuan
COPY --from=build --chown=1000:1000 /out/data /data
COPY --from=build /out/tmp /tmp
COPY configs/sites /kits
USER 1000:1000
WORKDIR /etc/qingyuan
VOLUME /data
EXPOSE 8686
ENTRYPOINT ["/qingyuan"]
CMD ["serve", "-config", "/etc/qingyuan/qingyuan.yaml"]
