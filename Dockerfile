# An image of `http`, which serves the directory /srv on port 8080:
#   docker build -t sluicegate-http .
#   docker run --rm --read-only -p 8080:8080 -v "$PWD:/srv:ro" sluicegate-http
# Options follow the name of the image.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
# Statically linked, so that the image needs nothing else. The target is named because a build for
# the host would also link procedural macros statically, which is not possible.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" && \
    RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" \
    cargo build --release --locked --all-features --target "$target" \
        --example http --example top && \
    mv "target/$target/release/examples/http" /sluicegate-http && \
    mv "target/$target/release/examples/top" /sluicegate-top

FROM scratch
COPY --from=build /sluicegate-http /sluicegate-top /
WORKDIR /srv
# The status listener stays on the loopback interface of the container, for the health check. With
# `--status` at another port, set another health check.
ENV SLUICEGATE_BIND=0.0.0.0 SLUICEGATE_STATUS=9100
USER 65532:65532
EXPOSE 8080
HEALTHCHECK CMD ["/sluicegate-top", "9100", "--once"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/sluicegate-http"]
