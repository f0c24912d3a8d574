# unpage as a container without a shell, run by a user that isn't root.
#
#   docker build -t unpage .
#   docker run --rm -p 8080:8080 unpage serve --upstream https://api.example.com --listen 0.0.0.0:8080
#   docker run --rm -p 8080:8080 -v "$PWD/unpage.toml:/etc/unpage.toml:ro" unpage
#
# There is no HEALTHCHECK: unpage has no address of its own yet, every path belongs to a collection, and asking one would
# test the upstream.

# Both stages are Debian 12, so that the binary meets the glibc that it was linked with.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /unpage
COPY Cargo.toml Cargo.lock ./
COPY src src
RUN cargo build --locked --release

# cc: glibc, libgcc and the certificate authorities, and nothing else that could run.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /unpage/target/release/unpage /usr/local/bin/unpage
EXPOSE 8080
# unpage stops on SIGTERM by itself, so it needs no init.
ENTRYPOINT ["/usr/local/bin/unpage"]
CMD ["serve", "--config", "/etc/unpage.toml", "--listen", "0.0.0.0:8080"]
