#!/usr/bin/env bash
# Makes sure that a CQL server is there for the tests, and prints its host:port.
#
#   ensure-cql.sh        ATHENA_TEST_CQL when it is set; else Cassandra in a container where a Docker engine
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
image=cassandra:5.0
container=athena-test-cql-$(pwd -P | cksum | cut -d' ' -f1)

say() { printf 'ensure-cql: %s\n' "$*" >&2; }
docker_works() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

# What the image leaves switched off and tests need, as scripts/cassandra.sh has it.
settings='s/^(materialized_views_enabled|sasi_indexes_enabled|user_defined_functions_enabled): .*/\1: true/
          s/^storage_compatibility_mode: .*/storage_compatibility_mode: NONE/'

container() {
    if ! docker start "$container" >/dev/null 2>&1; then
        docker run --detach --rm --name "$container" --publish 127.0.0.1::9042 \
            --env MAX_HEAP_SIZE=1G --env HEAP_NEWSIZE=256M --entrypoint bash "$image" -c \
            "sed -i -E '$settings' /etc/cassandra/cassandra.yaml && exec docker-entrypoint.sh cassandra -f" \
            >/dev/null 2>&1 ||
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
    if docker_works && container; then exit 0; fi
    # Many tests make many keyspaces, each of which takes memory.
    export CASSANDRA_HEAP=${CASSANDRA_HEAP:-1G}
    if scripts/cassandra.sh start "$dir"; then exit 0; fi
    say "it does not start; once more without its data"
    scripts/cassandra.sh wipe "$dir" || true
    if scripts/cassandra.sh start "$dir"; then exit 0; fi
    say "there is no CQL server, and none could be started."
    say "THE TESTS OF CQL WILL BE LEFT OUT. Install Java 17 and Maven (as root this happens by itself),"
    say "or set ATHENA_TEST_CQL to the host:port of a Cassandra 5, to run them."
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
