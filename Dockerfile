# unpage as a container that holds nothing but one static binary, run by a user that isn't root.
#
#   docker build -t unpage .
#   docker run --rm -p 8080:8080 unpage serve --upstream https://api.example.com --listen 0.0.0.0:8080
#   docker run --rm -p 8080:8080 -v "$PWD/unpage.toml:/etc/unpage.toml:ro" unpage
#
# There is no HEALTHCHECK: the image has no shell and no HTTP client to run one with. With `--admin 0.0.0.0:9090`, or `admin` in the
# file, an orchestrator can ask `/healthz` there.

# Rust links statically where the C library is musl, so the binary needs no file of the image that built it.
FROM rust:1.95-alpine AS build
# make is for jemalloc.
RUN apk add --no-cache musl-dev make ca-certificates
WORKDIR /unpage
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY src src
COPY tests/upstream tests/upstream
RUN cargo build --locked --release --package unpage

FROM scratch
# What unpage trusts beside the authorities named in `ca`.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /unpage/target/release/unpage /unpage
USER 65532:65532
EXPOSE 8080
# unpage stops on SIGTERM by itself, so it needs no init.
ENTRYPOINT ["/unpage"]
CMD ["serve", "--config", "/etc/unpage.toml", "--listen", "0.0.0.0:8080"]
