#!/usr/bin/env bash
# Makes sure that a CQL server is there for the tests, and prints its host:port.
#
#   ensure-cql.sh        ATHENA_TEST_CQL when it is set; else ScyllaDB in a container where a Docker engine
#                        answers; else Apache Cassandra by scripts/cassandra.sh. One server for all tests
#                        of this checkout: whoever calls first starts it.
#   ensure-cql.sh wipe   ends what the former has started, with its data, and what a test that was killed has left
#
# Where nothing helps it fails for root and wherever CI is set; for everybody else it says so loudly and ends
# well, with nothing on standard output: the tests that need the server are then left out.
# ATHENA_TEST_SKIP_CQL=1 leaves them out wherever.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${CARGO_TARGET_DIR:-target}/cassandra
image=scylladb/scylla:2025.1
container=athena-test-cql-$(pwd -P | cksum | cut -d' ' -f1)

say() { printf 'ensure-cql: %s\n' "$*" >&2; }
docker_works() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

scylla() {
    if ! docker start "$container" >/dev/null 2>&1; then
        docker run --detach --rm --name "$container" --publish 127.0.0.1::9042 "$image" \
            --smp 1 --memory 1G --overprovisioned 1 --developer-mode 1 >/dev/null 2>&1 ||
            docker inspect "$container" >/dev/null 2>&1 || return 1 # somebody else was first
    fi
    for _ in {1..180}; do
        if docker exec "$container" cqlsh -e 'SELECT key FROM system.local' >/dev/null 2>&1; then
            docker port "$container" 9042/tcp | head -n 1
            return 0
        fi
        sleep 1
    done
    return 1
}

case "${1:-start}" in
start)
    if [ -n "${ATHENA_TEST_CQL:-}" ]; then
        printf '%s\n' "$ATHENA_TEST_CQL"
        exit 0
    fi
    if [ "${ATHENA_TEST_SKIP_CQL:-0}" = 1 ]; then
        say "THE TESTS OF CQL are left out (ATHENA_TEST_SKIP_CQL=1)"
        exit 0
    fi
    if docker_works && scylla; then exit 0; fi
    # Many tests make many keyspaces, each of which takes memory.
    export CASSANDRA_HEAP=${CASSANDRA_HEAP:-1G}
    if scripts/cassandra.sh start "$dir"; then exit 0; fi
    say "it does not start; once more without its data"
    scripts/cassandra.sh wipe "$dir" || true
    if scripts/cassandra.sh start "$dir"; then exit 0; fi
    say "there is no CQL server, and none could be started."
    say "THE TESTS OF CQL WILL BE LEFT OUT. Install Java 17 and Maven (as root this happens by itself),"
    say "or set ATHENA_TEST_CQL to the host:port of a ScyllaDB or Cassandra, to run them."
    if [ "$(id -u)" -eq 0 ] || [ -n "${CI:-}" ]; then
        say "ATHENA_TEST_SKIP_CQL=1 goes on without them."
        exit 1
    fi
    ;;
wipe)
    if docker_works; then docker rm --force "$container" >/dev/null 2>&1 || true; fi
    scripts/cassandra.sh wipe "$dir"
    for node in "$dir"-private/*/node*; do
        if [ -d "$node" ]; then scripts/cassandra.sh wipe "$node"; fi
    done
    rm -rf "$dir-private"
    ;;
*)
    say "which: nothing, or wipe?"
    exit 2
    ;;
esac
