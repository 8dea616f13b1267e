# Shared by the measurements: a private PostgreSQL, the servers, their clean-up. Linux only, for
# the CPU and memory figures come from /proc.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
work=$(mktemp -d "${BENCH_TMP:-/tmp}/athena-bench.XXXXXX")
chmod 711 "$work"

postmaster=
gateway=
others=()
clusters=()

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# Ends what this run started, and nothing else.
clean_up() {
  local status=$? pid
  trap - EXIT INT TERM
  for pid in "${others[@]}" $gateway; do
    kill -TERM "$pid" 2>/dev/null
  done
  for pid in "${others[@]}" $gateway; do
    wait "$pid" 2>/dev/null
  done
  for pid in "${clusters[@]}"; do
    stop_cluster "$pid"
  done
  if [ -n "${BENCH_KEEP:-}" ] || { [ "$status" -ne 0 ] && [ "$status" -lt 128 ]; }; then
    say "logs are kept in $work"
    rm -rf "$work"/data-*
  else
    rm -rf "$work"
  fi
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The directory of the newest usable PostgreSQL, on standard output.
postgres_bin() {
  local found
  if [ -n "${ATHENA_PG_BIN:-}" ]; then
    printf '%s\n' "$ATHENA_PG_BIN"
    return
  fi
  if found=$(command -v initdb); then
    dirname "$(readlink -f "$found")"
    return
  fi
  found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  if [ -x "$found/initdb" ]; then
    printf '%s\n' "$found"
    return
  fi
  if [ -x "$root/scripts/ensure-postgres.sh" ]; then
    found=$("$root/scripts/ensure-postgres.sh" | tail -n 1)
    if [ -x "$found/initdb" ]; then
      printf '%s\n' "$found"
      return
    fi
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    [ -x "$found/initdb" ] && printf '%s\n' "$found" && return
  fi
  return 1
}

ensure_wrk() {
  command -v wrk >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "wrk is needed: install the package 'wrk'"
  say "installing wrk"
  { apt-get install -y -q wrk || { apt-get update -q && apt-get install -y -q wrk; }; } >"$work/apt.log" 2>&1 ||
    die "wrk could not be installed, see apt.log"
}

# initdb refuses root, so as root the cluster belongs to an ordinary user.
owner=()
choose_owner() {
  [ "$(id -u)" = 0 ] || return 0
  local user=nobody
  id postgres >/dev/null 2>&1 && user=postgres
  owner=(setpriv "--reuid=$(id -u "$user")" "--regid=$(id -g "$user")" --clear-groups)
  chown "$(id -u "$user"):$(id -g "$user")" "$work"
}

sql() { "$psql" -X -q -v ON_ERROR_STOP=1 -h "$work" -U bench "$@"; }

# start_cluster NAME PORT: starts the cluster NAME, made when it is not there yet, on the socket PORT in the temporary
# directory; sets `started` to its process.
start_cluster() {
  local name=$1 port=$2 data=$work/data-$1 try
  cd "$work" || exit 1
  if [ ! -d "$data" ]; then
    LC_ALL=C "${owner[@]}" "$pg/initdb" -D "$data" -U bench -A trust -E UTF8 --no-sync >"$work/initdb.log" 2>&1 ||
      die "initdb failed, see initdb.log"
  fi
  LC_ALL=C "${owner[@]}" "$pg/postgres" -D "$data" -k "$work" -p "$port" -c listen_addresses= \
    -c "max_connections=${max_connections:-200}" -c shared_buffers=256MB -c max_wal_size=4GB -c autovacuum=off \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off >>"$work/$name.log" 2>&1 &
  started=$!
  clusters+=("$started")
  cd "$root" || exit 1
  for try in $(seq 100); do
    sql -p "$port" -d postgres -c 'SELECT 1' >/dev/null 2>&1 && return
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
  done
  die "PostgreSQL did not start, see $name.log"
}

# stop_cluster PID: stops it at once, breaking its connections, and waits for the end.
stop_cluster() {
  local pid running=("${clusters[@]}")
  kill -INT "$1" 2>/dev/null
  wait "$1" 2>/dev/null
  clusters=()
  for pid in "${running[@]}"; do
    [ "$pid" = "$1" ] || clusters+=("$pid")
  done
}

# Sets `pg`, `psql`, `postmaster` and `database_url`, with the table loaded.
start_postgres() {
  pg=$(postgres_bin) || die "no PostgreSQL found: install it or set ATHENA_PG_BIN"
  psql=$pg/psql
  [ -x "$psql" ] || psql=$(command -v psql) || die "psql is needed beside $pg or in PATH"
  choose_owner
  say "PostgreSQL: $("$pg/postgres" --version)"
  start_cluster postgres 5432
  postmaster=$started
  say "loading the table"
  sql -d postgres -c 'CREATE DATABASE bench'
  sql -d bench -f "$here/load.sql" || die "the table could not be loaded"
  database_url="postgres:///bench?host=$work&user=bench"
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { printf '%s\n' "$port"; return; }
  done
}

# wait_for NAME PID URL
wait_for() {
  local try
  for try in $(seq 3000); do
    curl -sf -o /dev/null "$3" && return
    kill -0 "$2" 2>/dev/null || die "$1 ended, see $1.log"
    sleep 0.01
  done
  die "$1 does not answer, see $1.log"
}

# Builds the gateway unless ATHENA_BIN names one, starts it, sets `gateway` and `gateway_url`.
start_gateway() {
  if [ -z "${ATHENA_BIN:-}" ]; then
    say "building the gateway (release)"
    (cd "$root" && cargo build --release --quiet) || die "the gateway does not build"
    ATHENA_BIN=${CARGO_TARGET_DIR:-$root/target}/release/athena_rs
  fi
  local port
  port=$(free_port)
  gateway_url=http://127.0.0.1:$port
  cat >"$work/config.yaml" <<YAML
api:
  port: $port
postgres_clients:
  bench: "$database_url"
${GATEWAY_CONFIG:-}
YAML
  "$ATHENA_BIN" server --config "$work/config.yaml" --port "$port" >"$work/gateway.log" 2>&1 &
  gateway=$!
  wait_for gateway "$gateway" "$gateway_url/ping"
}

# User and system time of one process, in clock ticks. The name in parentheses may hold spaces.
own_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# The same of the whole cluster: the postmaster, its living children, and those it has buried.
cluster_ticks() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) .*) /\1 /' | awk -v top="$postmaster" '
    $1 == top { sum += $13 + $14 + $15 + $16 }
    $3 == top { sum += $13 + $14 }
    END { print sum + 0 }'
}

# measure NAME SIZE PID URL MODE...
# What a server still has to do when the last request is answered counts for as long as `settle` says, in seconds.
measure() {
  local name=$1 size=$2 pid=$3 url=$4 own cluster result
  shift 4
  own=$(own_ticks "$pid") cluster=$(cluster_ticks)
  result=$(wrk -t2 "-c$connections" "-d${seconds}s" -s "$here/wrk.lua" "$url" -- "$@" | grep '^RESULT') ||
    die "wrk failed on $url"
  sleep "${settle:-0}"
  own=$(($(own_ticks "$pid") - own)) cluster=$(($(cluster_ticks) - cluster))
  printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$size" "$own" "$cluster" "${result#RESULT?}" >>"$work/results.tsv"
  say "  $name $size: $(printf '%s' "$result" | awk -F'\t' '{ printf "%d requests/s", $2 * 1e6 / $3 }')"
}
