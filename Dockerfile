# An image with nothing but the gate: no shell, no package manager, not root, and a read-only root file system is enough.
#
#	docker build --build-arg VERSION="$(git describe --tags --always)" -t docsgate .
#
# The configuration is /etc/docsgate/Caddyfile, here that of examples/compose; mount another one over it. Keys and certificates are
# in the volume /data.

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG TARGETOS=linux
ARG TARGETARCH
ARG VERSION=devel
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags=nobadger,nomysql,nopgx \
	-ldflags="-w -s -X github.com/docsgate/docsgate/internal/buildinfo.release=$VERSION" -o /image/root/usr/bin/docsgate ./cmd/docsgate
RUN scripts/image-root.sh /image

FROM scratch
COPY --from=build /image/root /
COPY --from=build --chown=65532:65532 /image/volumes /
ENV PATH=/usr/bin XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
VOLUME ["/data", "/config"]
EXPOSE 8080 8099
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/usr/bin/docsgate", "health"]
ENTRYPOINT ["/usr/bin/docsgate"]
CMD ["run", "--config", "/etc/docsgate/Caddyfile"]
