# The agent's image, for linux/amd64 and linux/arm64. From the top of the repository:
#   docker buildx build --platform linux/amd64,linux/arm64 -f images/agent.Dockerfile .
# Each platform is compiled natively (or under emulation): no cross compiler is part of what users run.
#
# Both bases are pinned by the digest of their multi-platform index. To renew one, put in the digest that this prints:
#   docker buildx imagetools inspect IMAGE:TAG --format '{{.Manifest.Digest}}'
# The first base's tag is the channel of rust-toolchain.toml; they change together.
FROM docker.io/library/rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
# The image's own toolchain: rust-toolchain.toml would fetch components that a build does not need.
ENV RUSTUP_TOOLCHAIN=1.95.0 RUSTFLAGS="-C target-feature=+crt-static"
WORKDIR /source
COPY . .
# A named target, as procedural macros cannot be linked statically.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
	&& cargo build --locked --release --target "$target" -p wovenet-agent \
	&& strip -o /wovenet-agent "target/$target/release/wovenet-agent"

FROM gcr.io/distroless/static-debian13:nonroot@sha256:f7f8f729987ad0fdf6b05eeeae94b26e6a0f613bdf46feea7fc40f7bd72953e6
COPY --from=build /wovenet-agent /usr/local/bin/wovenet-agent
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/wovenet-agent"]
CMD ["run", "--config", "/etc/wovenet/agent/config.yaml"]
