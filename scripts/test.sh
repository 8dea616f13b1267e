#!/usr/bin/env bash
# Runs every test: the Rust workspace, then the official JavaScript client
# against a running gateway. Arguments go to `cargo test`.
#
# Ends with non-zero when anything fails, and when a server that tests need is
# missing where it could be installed (root) or every test has to run (CI is
# set). What is left out is named at the end. To leave something out wherever:
#
#   ATHENA_TEST_SKIP_JS=1         the JavaScript client, for machines without Node.js
#   ATHENA_TEST_SKIP_PGBOUNCER=1  what needs PgBouncer
#   ATHENA_TEST_SKIP_REDIS=1      what needs Redis
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v cargo >/dev/null 2>&1; then
    echo "test: cargo is missing; install Rust from https://rustup.rs" >&2
    exit 1
fi
if [ -z "${ATHENA_TEST_POSTGRES:-}" ]; then
    ATHENA_PG_BIN=$(scripts/ensure-postgres.sh)
    export ATHENA_PG_BIN
fi
ATHENA_PGBOUNCER=$(scripts/ensure-test-server.sh pgbouncer)
ATHENA_REDIS_SERVER=$(scripts/ensure-test-server.sh redis)
export ATHENA_PGBOUNCER ATHENA_REDIS_SERVER
if [ -z "${ATHENA_TEST_CQL:-}" ]; then
    # One server for all tests; it goes away with them.
    trap 'scripts/ensure-cql.sh wipe || true' EXIT
    ATHENA_TEST_CQL=$(scripts/ensure-cql.sh)
    export ATHENA_TEST_CQL
fi

failed=() left_out=()
[ -n "$ATHENA_PGBOUNCER" ] || left_out+=("what needs PgBouncer")
[ -n "$ATHENA_REDIS_SERVER" ] || left_out+=("what needs Redis")
[ -n "$ATHENA_TEST_CQL" ] || left_out+=("what needs a CQL server")
docker compose version >/dev/null 2>&1 || left_out+=("what Docker Compose itself says of docker-compose.yml")
cargo test --workspace --no-fail-fast "$@" || failed+=("cargo test --workspace")

# The binary that the tests were built with: building it alone would compile half of it again.
built=${CARGO_TARGET_DIR:-target}/debug/athena_rs
if [ -z "${ATHENA_BIN:-}" ] && [ -x "$built" ]; then
    export ATHENA_BIN=$built
fi

if [ "${ATHENA_TEST_SKIP_JS:-0}" = 1 ]; then
    left_out+=("the JavaScript client")
elif [ -f tests/clients/package.json ]; then
    scripts/test-clients.sh || failed+=("scripts/test-clients.sh")
fi

if [ "${#left_out[@]}" -gt 0 ]; then
    printf 'test: LEFT OUT: %s\n' "${left_out[@]}" >&2
fi
if [ "${#failed[@]}" -gt 0 ]; then
    printf 'test: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
if [ "${#left_out[@]}" -gt 0 ]; then
    echo "test: everything else passed"
else
    echo "test: everything passed"
fi
