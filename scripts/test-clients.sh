#!/usr/bin/env bash
# Drives a gateway of its own, over a private PostgreSQL, with the official
# JavaScript client. Needs Node.js 18 or newer; fetches the client with npm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
clients=$PWD/tests/clients

if ! command -v npm >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "test-clients: installing nodejs and npm with apt-get" >&2
    { apt-get update -qq && apt-get install -y -qq nodejs npm; } >/dev/null || true
fi
if ! command -v node >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    echo "test-clients: Node.js 18 or newer with npm is needed for the JavaScript client's tests." >&2
    echo "  Get it from https://nodejs.org or your package manager (apt-get install nodejs npm," >&2
    echo "  brew install node), or set ATHENA_TEST_SKIP_JS=1 to leave them out." >&2
    exit 1
fi
# Installed anew only when the lock file has changed.
installed=$clients/node_modules/.installed-lock.json
if ! cmp -s "$clients/package-lock.json" "$installed"; then
    (cd "$clients" && npm ci --no-audit --no-fund)
    cp "$clients/package-lock.json" "$installed"
fi

ATHENA_PG_BIN=$(scripts/ensure-postgres.sh)
export ATHENA_PG_BIN
psql=$ATHENA_PG_BIN/psql
[ -x "$psql" ] || psql=$(command -v psql) || {
    echo "test-clients: psql is missing; install PostgreSQL's client programs" >&2
    exit 1
}

if [ -z "${ATHENA_BIN:-}" ]; then
    cargo build --bin athena_rs
    ATHENA_BIN=${CARGO_TARGET_DIR:-target}/debug/athena_rs
fi

# /tmp and not TMPDIR: root's server runs as somebody else, and the socket's path is short.
work=$(mktemp -d /tmp/athena-clients.XXXXXX)
chmod 711 "$work"
gateway=
clean_up() {
    local status=$?
    trap - EXIT
    if [ -n "$gateway" ]; then
        kill -TERM "$gateway" 2>/dev/null || true
        wait "$gateway" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ] && [ -f "$work/gateway.log" ]; then
        echo "--- the gateway's log, last lines" >&2
        tail -n 40 "$work/gateway.log" >&2
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
"$ATHENA_BIN" server --managed-postgres "$work/postgres" --port "$port" >"$work/gateway.log" 2>&1 &
gateway=$!

url=http://127.0.0.1:$port
export ATHENA_URL=$url ATHENA_CLIENT=local ATHENA_AUDIT_HEADERS=lenient
for try in $(seq 300); do
    if node -e 'fetch(process.env.ATHENA_URL + "/readyz").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))'; then
        break
    fi
    if ! kill -0 "$gateway" 2>/dev/null || [ "$try" -eq 300 ]; then
        echo "test-clients: the gateway does not answer" >&2
        exit 1
    fi
    sleep 0.1
done

"$psql" -X -q -v ON_ERROR_STOP=1 -h "$work/postgres/socket" -U local -d local -f "$clients/schema.sql"
cd "$clients" && npm run --silent check
