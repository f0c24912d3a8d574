# unpage as a container that holds one static binary, certificate authorities and two folders, run by a user that isn't root.
#
#   docker build -t unpage .
#   docker run --rm -p 8080:8080 unpage serve --upstream https://api.example.com --listen 0.0.0.0:8080 --admin 127.0.0.1:9090
#   docker run --rm -p 8080:8080 -v "$PWD/unpage.toml:/etc/unpage.toml:ro" -v snapshots:/var/lib/unpage unpage

FROM rust:1.95-bookworm AS build
WORKDIR /unpage
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY config config
COPY contrib/container contrib/container
COPY src src
COPY tests/upstream tests/upstream
# Static, for this one binary: glibc finds names by /etc/hosts and DNS without a file of its own.
RUN cargo rustc --locked --profile dist --bin unpage -- -C target-feature=+crt-static
RUN bash contrib/container/rootfs.sh target/dist/unpage /rootfs.tar && mkdir /rootfs && tar -xf /rootfs.tar -C /rootfs

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
EXPOSE 8080
# By the admin address of CMD; a `docker run` with arguments of its own names one by --admin, or has --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/unpage", "health", "http://127.0.0.1:9090/readyz"]
# unpage stops on SIGTERM by itself, so it needs no init.
ENTRYPOINT ["/unpage"]
CMD ["serve", "--config", "/etc/unpage.toml", "--listen", "0.0.0.0:8080", "--admin", "127.0.0.1:9090"]
