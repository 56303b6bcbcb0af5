#!/bin/sh
# Builds the images of all programs as archives, without a container engine: what the Dockerfiles beside this build for
# users, but from the quick profile and for this machine's architecture only. For tests.
# Writes $CARGO_TARGET_DIR/images/PROGRAM.tar, each an image localhost/wovenet-PROGRAM:dev. Needs Rust, a C compiler and Python.
set -eu
cd "$(dirname "$0")/.."
programs=""
for program in agent operator; do [ ! -e "$program/Cargo.toml" ] || programs="$programs $program"; done

target=$(rustc -vV | sed -n 's/^host: //p')
folder=${CARGO_TARGET_DIR:-target}
packages=""
for program in $programs; do packages="$packages -p wovenet-$program"; done
# shellcheck disable=SC2086
RUSTFLAGS="-C target-feature=+crt-static" ${CARGO:-cargo} build --locked --profile image --target "$target" $packages

certificates=/etc/ssl/certs/ca-certificates.crt
[ -e $certificates ] && certificates="$certificates:$certificates:644" || certificates=""
mkdir -p "$folder/images"
for program in $programs; do
	file=/usr/local/bin/wovenet-$program
	command='[]'
	[ $program != agent ] || command='["run", "--config", "/etc/wovenet/agent/config.yaml"]'
	# shellcheck disable=SC2086
	images/mkimage.py "$folder/images/$program.tar" "localhost/wovenet-$program:dev" \
		--entry "[\"$file\"]" --cmd "$command" --user 65532:65532 \
		"$folder/$target/image/wovenet-$program:$file" $certificates
done
