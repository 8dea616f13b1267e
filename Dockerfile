# The gateway in a small image: no root, no compiler, nothing written outside /var/lib/athena.
#
#   docker build -t athena:2.9.0 .
#   docker run --rm -p 127.0.0.1:4052:4052 -e POSTGRES_ATHENA_LOGGING_URI=postgres://… athena:2.9.0
#
# BuildKit is needed (the default of Docker since 23): it keeps the crates and the build between runs.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock openapi-wss.yaml ./
COPY config/config.yaml config/config.yaml
COPY sql sql
COPY src src
COPY domain domain
COPY application application
COPY adapters adapters
# A member of the workspace; nothing of it gets into the binary.
COPY tests/support tests/support
RUN --mount=type=cache,id=athena-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=athena-target,target=/src/target,sharing=locked \
    cargo build --release --locked --bin athena_rs \
    && install -D target/release/athena_rs /out/athena_rs \
    && install -d /out/state

# The same release of Debian as above: the binary needs its C library, and nothing else.
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Athena" \
      org.opencontainers.image.description="One fast, safe door in front of many databases." \
      org.opencontainers.image.version="2.9.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/athena_rs /usr/local/bin/athena_rs
# What the process may write; a volume mounted here for the first time takes over the owner.
COPY --from=build --chown=10001:10001 /out/state /var/lib/athena
COPY config/config.yaml /etc/athena/config.yaml
# Records wait in athena/spool below it while the control database is away, unless logging.spool_dir says where.
ENV XDG_STATE_HOME=/var/lib
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/athena
EXPOSE 4052
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/athena_rs", "healthcheck", "--config", "/etc/athena/config.yaml"]
ENTRYPOINT ["/usr/local/bin/athena_rs"]
CMD ["server", "--config", "/etc/athena/config.yaml", "--pipelines", "/etc/athena/pipelines.yaml"]
