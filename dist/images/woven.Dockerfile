# Woven's own programs: static Go binaries and nothing else.
#
#   docker build -f dist/images/woven.Dockerfile -t ghcr.io/woven-cni/woven:dev .
#
# Binaries that are already there need no Go in a container. Lay them in DIR/out and put DIR in the place of
# the stage that builds them:
#
#   docker build -f dist/images/woven.Dockerfile --build-context bin=DIR .
ARG GO_IMAGE=docker.io/library/golang:1.26
FROM ${GO_IMAGE} AS bin
ARG CNI_PLUGINS=v1.9.1
ENV CGO_ENABLED=0 GOFLAGS=-trimpath GOBIN=/out
RUN go install -ldflags '-s -w' \
    github.com/containernetworking/plugins/plugins/main/loopback@${CNI_PLUGINS} \
    github.com/containernetworking/plugins/plugins/meta/portmap@${CNI_PLUGINS}
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
RUN for name in controller daemon cni; do \
        go build -ldflags '-s -w' -o /out/woven-$name ./cmd/$name || exit 1; \
    done

FROM scratch
COPY --from=bin /out/ /woven/bin/
ENV PATH=/woven/bin
