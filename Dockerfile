# Three images from one file: bridge (the default), realtime and site. The last two are for trying the bridge without
# a bench; a bench has its own. Base images have full versions, so that each build is of the same: raise them by hand.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags=-w -o /out/ ./cmd/bridge ./integration/servers/cmd/fakesite

FROM node:24.21.0-bookworm-slim AS realtime
WORKDIR /realtime
COPY testdata/realtime/package.json testdata/realtime/package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts
COPY testdata/realtime/*.mjs ./
USER node
EXPOSE 9000
CMD ["node", "server.mjs"]

FROM debian:12.15-slim AS site
COPY --from=build /out/fakesite /usr/local/bin/
USER 65534:65534
EXPOSE 8000
ENTRYPOINT ["/usr/local/bin/fakesite"]

# Not a bare image: handlers that run programs need a system around them, and site time zones need their table.
FROM debian:12.15-slim AS bridge
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates tzdata \
	&& rm -rf /var/lib/apt/lists/* \
	&& useradd --uid 1000 --create-home bridge
COPY --from=build /out/bridge /usr/local/bin/
USER bridge
WORKDIR /bench
ENTRYPOINT ["/usr/local/bin/bridge"]
CMD ["worker"]
