#!/usr/bin/env bash
# Builds the gateway and runs it with a private PostgreSQL and sample data.
# Arguments go to `athena_rs server --demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v cargo >/dev/null 2>&1; then
    echo "demo: cargo is missing; install Rust from https://rustup.rs" >&2
    exit 1
fi
ATHENA_PG_BIN=$(scripts/ensure-postgres.sh)
export ATHENA_PG_BIN
cargo build --profile quick --bin athena_rs
exec "${CARGO_TARGET_DIR:-target}/quick/athena_rs" server --demo "$@"
