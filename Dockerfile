# The scheduler's image: one static binary and nothing else. `docker build .` makes it wherever Docker or Podman is; `make image`
# makes the same image without a daemon, and takes the place of the first stage with the binary that `make static` made.

# The version is that of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
# What the image brings is what rust-toolchain.toml asks for, but for the tools that a build does not need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN make static

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="plimsoll" \
      org.opencontainers.image.description="A Kubernetes scheduler: kube-scheduler's exact rules, decided in microseconds" \
      org.opencontainers.image.source="https://github.com/plimsoll-scheduler/plimsoll" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# No certificates of public authorities are in it: the API server is trusted by the cluster's own authority, which comes with the
# account, and an extender by the one in its configuration. For an extender with a public certificate, mount a bundle and name it
# in SSL_CERT_FILE.
COPY --from=build --chmod=0555 /src/dist/plimsoll /plimsoll
# By number: `runAsNonRoot` cannot see who a name is.
USER 65532:65532
ENTRYPOINT ["/plimsoll"]
