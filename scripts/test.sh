#!/usr/bin/env bash
# Runs every test: the Rust workspace, then the official JavaScript client
# against a running gateway. Arguments go to `cargo test`.
#
# Ends with non-zero when anything fails. ATHENA_TEST_SKIP_JS=1 leaves the
# JavaScript client out, for machines without Node.js.
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

failed=()
cargo test --workspace "$@" || failed+=("cargo test --workspace")

clients=tests/clients
if [ ! -f "$clients/package.json" ]; then
    :
elif [ "${ATHENA_TEST_SKIP_JS:-0}" = 1 ]; then
    echo "test: the JavaScript client is left out (ATHENA_TEST_SKIP_JS=1)" >&2
elif ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "test: Node.js 18 or newer with npm is needed for the JavaScript client's tests." >&2
    echo "  Get it from https://nodejs.org or your package manager (apt-get install nodejs npm," >&2
    echo "  brew install node), or set ATHENA_TEST_SKIP_JS=1 to leave them out." >&2
    failed+=("the JavaScript client (Node.js is missing)")
else
    # Installed anew only when the lock file has changed.
    if ! cmp -s "$clients/package-lock.json" "$clients/node_modules/.installed-lock.json"; then
        if (cd "$clients" && npm ci --no-audit --no-fund); then
            cp "$clients/package-lock.json" "$clients/node_modules/.installed-lock.json"
        else
            failed+=("npm ci in $clients")
        fi
    fi
    if [ -d "$clients/node_modules" ]; then
        if [ -x "$clients/run.sh" ]; then
            "$clients/run.sh" || failed+=("$clients/run.sh")
        else
            (cd "$clients" && npm test) || failed+=("npm test in $clients")
        fi
    fi
fi

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'test: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "test: everything passed"
