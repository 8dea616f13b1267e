#!/usr/bin/env bash
# A CQL server for tests on a machine without containers: Apache Cassandra, run from the Java artifacts
# that it is published as.
#
#   cassandra.sh start DIR [PORT] [--auth]  starts a node unless it runs, waits until it answers CQL and
#                                           prints host:port; without PORT a free one is taken
#   cassandra.sh stop DIR                   ends it; its data stays
#   cassandra.sh wipe DIR                   ends it at once; its data goes, the jars stay
#   cassandra.sh status DIR                 prints host:port while it runs, else fails
#   cassandra.sh install DIR                fetches the jars into DIR/lib, which `start` does by itself
#
# Safe to repeat and to run several times at once. Needs Java 17 (or 21), and Maven the first time; as root
# it installs both with apt-get, else it says what is missing. With --auth the first user is
# cassandra / cassandra.
#
# A cluster is a node for each DIR, all on one PORT:
#   CASSANDRA_ADDRESS  its own address (127.0.0.1)
#   CASSANDRA_SEED     the address of a node that runs already, whose cluster it joins
#   CASSANDRA_HOME     a DIR whose jars it shares
#   CASSANDRA_TLS      a PEM file with its key and certificate: clients must encrypt. They must also show a
#                      certificate of an authority in CASSANDRA_TLS_CLIENTS, a PEM file, where that is set
# CASSANDRA_HEAP (512M) and CASSANDRA_JAVA_OPTIONS go to Java.
set -euo pipefail

VERSION=5.0.9
ADDRESS=${CASSANDRA_ADDRESS:-127.0.0.1}
SEED=${CASSANDRA_SEED:-$ADDRESS}
HEAP=${CASSANDRA_HEAP:-512M}
START_SECONDS=120

die() { echo "cassandra.sh: $*" >&2; exit 1; }
existing() { (cd "$1" 2>/dev/null && pwd -P); }
absolute() { mkdir -p "$1" && existing "$1"; }

# One command at a time for each DIR. The lock ends with this process: the server does not inherit it.
lock() {
  exec 9>"$1/lock"
  if command -v flock >/dev/null; then flock -w 600 9 || die "another command holds $1/lock"; fi
}

# ---- Java, Maven, jars -------------------------------------------------------------------------

# Cassandra 5.0 installs a security manager, which Java 21 allows with a flag and Java 24 no longer.
java_version() { "$1" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1; }

find_java() {
  local java
  for java in "${JAVA_HOME:-}/bin/java" "$(command -v java || true)" \
    /usr/lib/jvm/*/bin/java; do
    [ -x "$java" ] || continue
    case "$(java_version "$java")" in 17 | 21) echo "$java"; return ;; esac
  done
  return 1
}

have() { # have java|maven
  case $1 in java) find_java >/dev/null ;; maven) command -v mvn >/dev/null ;; esac
}

# Installs what is missing where it may; the package maven brings a Java that may be the wrong one.
need() { # need java|maven ...
  local what packages=() output
  for what; do
    have "$what" || case $what in java) packages+=(openjdk-17-jre-headless) ;; *) packages+=("$what") ;; esac
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "cassandra.sh: installing ${packages[*]}" >&2
    apt-get update -qq >/dev/null 2>&1 || true
    apt-cache show openjdk-17-jre-headless >/dev/null 2>&1 || packages=("${packages[@]/openjdk-17-/openjdk-21-}")
    output=$(DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" 2>&1) ||
      { echo "$output" | tail -n 20 >&2; die "apt-get could not install ${packages[*]}"; }
  fi
  for what; do
    have "$what" || die "needs Java 17 (or 21) and Maven: install openjdk-17-jre-headless and maven, or set JAVA_HOME"
  done
}

installed() { [ "$(cat "$1/version" 2>/dev/null)" = "$VERSION" ]; }

install() { # install DIR
  local dir=$1
  installed "$dir" && return
  need java maven
  rm -rf "${dir:?}/lib" "$dir/version" "$dir/maven"
  mkdir -p "$dir/maven"
  cat >"$dir/maven/pom.xml" <<XML
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>cassandra-runtime</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId><version>$VERSION</version>
    <exclusions><!-- for bulk loading, nodetool and native TLS; a server does not load them -->
      <exclusion><groupId>org.apache.cassandra</groupId><artifactId>cassandra-driver-core</artifactId></exclusion>
      <exclusion><groupId>org.gridkit.jvmtool</groupId><artifactId>*</artifactId></exclusion>
      <exclusion><groupId>org.gridkit.lab</groupId><artifactId>*</artifactId></exclusion>
      <exclusion><groupId>com.beust</groupId><artifactId>jcommander</artifactId></exclusion>
      <exclusion><groupId>io.netty</groupId><artifactId>netty-tcnative-boringssl-static</artifactId></exclusion>
    </exclusions>
  </dependency></dependencies>
</project>
XML
  mvn -q -B -f "$dir/maven/pom.xml" -Dmaven.repo.local="$dir/maven/repository" dependency:copy-dependencies \
    -DoutputDirectory="$dir/maven/lib" -DincludeScope=runtime >"$dir/maven/log" 2>&1 ||
    { tail -n 20 "$dir/maven/log" >&2; die "Maven could not fetch cassandra-all $VERSION"; }
  [ -f "$dir/maven/lib/cassandra-all-$VERSION.jar" ] || die "Maven brought no cassandra-all-$VERSION.jar"
  mv "$dir/maven/lib" "$dir/lib"
  rm -rf "$dir/maven"
  echo "$VERSION" >"$dir/version"
}

# ---- configuration -----------------------------------------------------------------------------

# Away from PORT + 1, so that nodes of different clusters may have neighbouring ports. The same rule
# for every node, since the nodes of one cluster must agree on it.
storage_port() {
  if [ "$1" -lt 32768 ]; then echo $(($1 + 10000))
  else echo $(($1 - 20000)); fi
}

write_config() { # write_config NODE PORT AUTH
  local conf=$1/conf port=$2 authenticator=AllowAllAuthenticator authorizer=AllowAllAuthorizer
  if [ "$3" = auth ]; then authenticator=PasswordAuthenticator authorizer=CassandraAuthorizer; fi
  mkdir -p "$conf"
  cat >"$conf/cassandra.yaml" <<YAML
cluster_name: test
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
num_tokens: 1
auto_bootstrap: false
endpoint_snitch: SimpleSnitch
dynamic_snitch: false
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{ seeds: "$SEED:$(storage_port "$port")" }]
listen_address: $ADDRESS
rpc_address: $ADDRESS
storage_port: $(storage_port "$port")
native_transport_port: $port

authenticator: $authenticator
authorizer: $authorizer
role_manager: CassandraRoleManager
# A changed password or grant counts at once.
roles_validity: 0ms
permissions_validity: 0ms
credentials_validity: 0ms

# What the released server leaves off.
storage_compatibility_mode: NONE
materialized_views_enabled: true
sasi_indexes_enabled: true
user_defined_functions_enabled: true

# Small, and no longer alive than a test.
commitlog_sync: periodic
commitlog_sync_period: 1000ms
commitlog_total_space: 256MiB
cdc_enabled: false
auto_snapshot: false
snapshot_before_compaction: false
hinted_handoff_enabled: true
concurrent_reads: 8
concurrent_writes: 8
concurrent_counter_writes: 4
concurrent_materialized_view_writes: 4
concurrent_compactors: 1
native_transport_max_threads: 16
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
key_cache_size: 4MiB
counter_cache_size: 2MiB
row_cache_size: 0MiB
file_cache_size: 32MiB
networking_cache_size: 16MiB
prepared_statements_cache_size: 8MiB

# A loaded machine is no failed node, but one that was killed should be noticed soon.
write_request_timeout: 5s
phi_convict_threshold: 5
block_for_peers_timeout_in_secs: -1
YAML
  rm -f "$1/tls"
  if [ -n "${CASSANDRA_TLS:-}" ]; then
    : >"$1/tls"
    cat >>"$conf/cassandra.yaml" <<YAML

client_encryption_options:
  enabled: true
  optional: false
  require_client_auth: $(if [ -n "${CASSANDRA_TLS_CLIENTS:-}" ]; then echo true; else echo false; fi)
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory
  keystore: $CASSANDRA_TLS
${CASSANDRA_TLS_CLIENTS:+  truststore: $CASSANDRA_TLS_CLIENTS}
YAML
  fi
  cat >"$conf/logback.xml" <<'XML'
<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>${cassandra.logdir}/system.log</file>
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %logger{20} - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="file"/></root>
</configuration>
XML
  cat >"$conf/jvm.options" <<OPTIONS
-Xms128M
-Xmx$HEAP
-XX:MaxDirectMemorySize=256M
-Xss256k
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:+ExitOnOutOfMemoryError
-XX:+PerfDisableSharedMem
-Djava.net.preferIPv4Stack=true
-Djava.security.manager=allow
-Djdk.attach.allowAttachSelf=true
-Dio.netty.tryReflectionSetAccessible=true
--add-exports java.base/jdk.internal.misc=ALL-UNNAMED
--add-exports java.base/jdk.internal.ref=ALL-UNNAMED
--add-exports java.base/sun.nio.ch=ALL-UNNAMED
--add-exports java.management.rmi/com.sun.jmx.remote.internal.rmi=ALL-UNNAMED
--add-exports java.rmi/sun.rmi.registry=ALL-UNNAMED
--add-exports java.rmi/sun.rmi.server=ALL-UNNAMED
--add-exports java.sql/java.sql=ALL-UNNAMED
--add-exports jdk.unsupported/sun.misc=ALL-UNNAMED
--add-opens java.base/java.io=ALL-UNNAMED
--add-opens java.base/java.lang=ALL-UNNAMED
--add-opens java.base/java.lang.module=ALL-UNNAMED
--add-opens java.base/java.lang.reflect=ALL-UNNAMED
--add-opens java.base/java.nio=ALL-UNNAMED
--add-opens java.base/java.util=ALL-UNNAMED
--add-opens java.base/jdk.internal.loader=ALL-UNNAMED
--add-opens java.base/jdk.internal.math=ALL-UNNAMED
--add-opens java.base/jdk.internal.module=ALL-UNNAMED
--add-opens java.base/jdk.internal.ref=ALL-UNNAMED
--add-opens java.base/jdk.internal.reflect=ALL-UNNAMED
--add-opens java.base/jdk.internal.util.jar=ALL-UNNAMED
--add-opens java.base/sun.nio.ch=ALL-UNNAMED
--add-opens java.rmi/sun.rmi.transport.tcp=ALL-UNNAMED
--add-opens jdk.management/com.sun.management.internal=ALL-UNNAMED
-Dcassandra-foreground=yes
-Dcassandra.role_password_update_min_interval_in_ms=0
-Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.superuser_setup_delay_ms=100
-Dcassandra.auth_bcrypt_gensalt_log2_rounds=4
-Dcassandra.shutdown_announce_in_ms=0
OPTIONS
  # A node that joins must have heard from its seed; one alone need not wait.
  local delay=0
  if [ "$SEED" != "$ADDRESS" ]; then delay=3000; fi
  { echo "-Dcassandra.ring_delay_ms=$delay"; echo "${CASSANDRA_JAVA_OPTIONS:-}"; } >>"$conf/jvm.options"
}

# ---- the process -------------------------------------------------------------------------------

# The pid may belong to another process by now, so its command line must name this node.
running() { # running NODE
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  if [ -d /proc/self ]; then
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -e "-Dcassandra.storagedir=$1"
  else
    ps -ww -o args= -p "$pid" 2>/dev/null | grep -qF -e "-Dcassandra.storagedir=$1"
  fi
}

taken() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Sends one native protocol v4 frame on descriptor 3 and prints the opcode of the answer.
ask() { # ask OPCODE LENGTH BODY: two hexadecimal digits each, and a printf format
  local header
  # shellcheck disable=SC2059
  printf "\\x04\\x00\\x00\\x00\\x$1\\x00\\x00\\x00\\x$2$3" >&3
  read -r -a header < <(take 9 | od -An -tu1)
  take $(((header[7] << 8) + header[8])) >/dev/null
  echo "${header[4]}"
}
take() { timeout 5 dd bs=1 count="$1" <&3 2>/dev/null; }

# Ready for a client: STARTUP is answered, and with --auth the first user has once been let in.
answers() ( # answers NODE HOST PORT
  # Nothing is said without encryption; the port opens last.
  if [ -e "$1/tls" ]; then taken "$2" "$3"; exit; fi
  exec 3<>"/dev/tcp/$2/$3" || exit 1
  case $(ask 01 16 '\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0') in
    2) exit 0 ;; # READY
    3) [ ! -e "$1/user" ] || exit 0 ;; # AUTHENTICATE
    *) exit 1 ;;
  esac
  [ "$(ask 0f 18 '\x00\x00\x00\x14\x00cassandra\x00cassandra')" = 16 ] || exit 1 # AUTH_SUCCESS
  : >"$1/user"
) 2>/dev/null

# A port that nobody listens on, nor on the one for the other nodes that goes with it.
free_port() {
  local port
  for _ in {1..100}; do
    port=$((20000 + RANDOM % 10000))
    taken "$ADDRESS" "$port" || taken "$ADDRESS" "$(storage_port "$port")" || { echo "$port"; return; }
  done
  die "no free port between 20000 and 29999"
}

start() { # start DIR [PORT] [--auth]
  local dir=$1 node=$1/node home port='' auth=open java
  shift
  for _; do
    case $1 in
      --auth) auth=auth ;;
      *[!0-9]*) die "PORT must be a number, not '$1'" ;;
      *) port=$1 ;;
    esac
    shift
  done
  if running "$node"; then
    if [ -z "$port" ]; then port=$(sed 's/.*:\([0-9]*\) .*/\1/' "$node/as"); fi
    [ "$(cat "$node/as")" = "$ADDRESS:$port $auth" ] || die "$dir runs as $(cat "$node/as"); stop it first"
  else
    home=${CASSANDRA_HOME:-$dir}
    if [ "$home" = "$dir" ]; then install "$dir"; else
      home=$(absolute "$home")
      installed "$home" || "$0" install "$home"
    fi
    need java
    java=$(find_java)
    if [ -z "$port" ]; then port=$(free_port); fi
    taken "$ADDRESS" "$port" && die "$ADDRESS:$port is in use"
    taken "$ADDRESS" "$(storage_port "$port")" && die "$ADDRESS:$(storage_port "$port") is in use"
    mkdir -p "$node"
    write_config "$node" "$port" "$auth"
    echo "$ADDRESS:$port $auth" >"$node/as"
    : >"$node/system.log"
    local detach=(nohup)
    if command -v setsid >/dev/null; then detach=(setsid); fi
    "${detach[@]}" "$java" "@$node/conf/jvm.options" "-Dcassandra.storagedir=$node" "-Dcassandra.logdir=$node" \
      -cp "$node/conf:$home/lib/*" org.apache.cassandra.service.CassandraDaemon \
      </dev/null >"$node/stdout.log" 2>&1 9>&- &
    echo $! >"$node/pid"
  fi
  local deadline=$((SECONDS + START_SECONDS))
  until answers "$node" "$ADDRESS" "$port"; do
    kill -0 "$(cat "$node/pid")" 2>/dev/null || {
      { tail -n 5 "$node/stdout.log"; grep -A 5 -E '^(ERROR|FATAL)' "$node/system.log" | tail -n 20; } >&2 || true
      die "the server ended while starting; see $node/system.log and stdout.log"
    }
    [ "$SECONDS" -lt "$deadline" ] || die "no answer after $START_SECONDS s; see $node/system.log"
    sleep 0.2
  done
  echo "$ADDRESS:$port"
}

finish() { # finish NODE SIGNAL SECONDS
  running "$1" || { rm -f "$1/pid"; return 0; }
  local pid deadline=$((SECONDS + $3))
  pid=$(cat "$1/pid")
  kill "-$2" "$pid" 2>/dev/null || true
  while running "$1"; do
    if [ "$SECONDS" -ge "$deadline" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
    sleep 0.1
  done
  rm -f "$1/pid"
}

status() { # status NODE
  local as
  running "$1" || return 1
  as=$(cut -d' ' -f1 "$1/as")
  answers "$1" "${as%:*}" "${as##*:}" && echo "$as"
}

usage() { sed -n '2,23s/^# \{0,1\}//p' "$0" >&2; exit 2; }

case "${1:-} $#" in
  "install 2" | "start 2" | "start 3" | "start 4") dir=$(absolute "$2") && lock "$dir" ;;
  "stop 2" | "wipe 2") dir=$(existing "$2") || exit 0; lock "$dir" ;;
  "status 2") dir=$(existing "$2") || exit 1 ;;
  *) usage ;;
esac
case $1 in
  install) install "$dir" ;;
  start) start "$dir" "${@:3}" ;;
  stop) finish "$dir/node" TERM 30 ;;
  status) status "$dir/node" ;;
  wipe) finish "$dir/node" KILL 5 && rm -rf "$dir/node" ;;
esac
