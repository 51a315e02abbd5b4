# What the scripts share: sourced by them, not run. POSIX sh.

say() { echo "${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# Whether this process may install packages, and a command run so that it may.
privileged() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# apt_install WHY PACKAGE...: from the system's packages, said before it is done. Fails where that cannot be.
apt_install() {
    why=$1
    shift
    if ! command -v apt-get >/dev/null || ! privileged; then return 1; fi
    say "$why: apt-get install $*"
    # A Debian that was just made has no lists of packages yet; a list that is too old names files that are gone.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
        { as_root apt-get update -qq >&2 &&
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2; }
}

# brew_install WHY FORMULA
brew_install() {
    command -v brew >/dev/null || return 1
    say "$1: brew install $2"
    brew install "$2" >&2
}

# cargo, and the C compiler by which Rust links.
need_rust() {
    if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
        export PATH
    fi
    command -v cargo >/dev/null || die "Rust is needed, and there is no cargo in PATH: see https://rustup.rs"
    command -v cc >/dev/null || apt_install "Rust needs a linker" gcc libc6-dev ||
        die "Rust needs a C compiler to link with, and there is no cc: install one (macOS: xcode-select --install)"
}

# Whether a program is in PATH and works: Debian's wrapper of psql may be there without any psql.
works() { "$1" --version >/dev/null 2>&1; }

# need_psql FOLDER: psql in PATH. FOLDER is that of the server's programs, which may hold one.
need_psql() {
    if works psql; then return; fi
    if [ ! -x "$1/psql" ]; then
        if brew_install "psql is missing" libpq; then
            PATH=$(brew --prefix libpq)/bin:$PATH
            export PATH
        else
            apt_install "psql is missing" postgresql-client || die "psql is needed: install the client programs of Postgres"
        fi
        return
    fi
    PATH=$1:$PATH
    export PATH
}

# PgBouncer, which Debian keeps outside of a user's PATH.
need_pgbouncer() {
    if command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ]; then return; fi
    brew_install "PgBouncer is missing" pgbouncer || apt_install "PgBouncer is missing" pgbouncer ||
        die "PgBouncer is needed: install pgbouncer"
}

# Patroni and etcd, and of Postgres what Patroni runs beside the server. Their tests are for Linux alone.
need_patroni() {
    [ "$(uname -s)" = Linux ] || return 0
    if ! command -v patroni >/dev/null || ! command -v etcd >/dev/null; then
        apt_install "Patroni is missing" patroni etcd-server || die "Patroni is needed: install patroni and etcd"
    fi
    for folder in "$1" /usr/lib/postgresql/*/bin; do
        if [ -x "$folder/pg_controldata" ] && [ -x "$folder/pg_basebackup" ]; then return; fi
    done
    install_postgres "pg_basebackup and pg_controldata are missing" ||
        die "pg_basebackup and pg_controldata are needed: install all programs of Postgres"
}

# install_postgres WHY: Debian's Postgres, without the cluster on port 5432 that its package would make and start.
install_postgres() {
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >&2
    fi
    apt_install "$1" postgresql
}

# PL/Proxy, for Debian's Postgres. Its test is for Linux alone.
need_plproxy() {
    [ "$(uname -s)" = Linux ] || return 0
    for library in /usr/lib/postgresql/*/lib/plproxy.so; do
        if [ -e "$library" ]; then return; fi
    done
    # The package has the major version of the system's Postgres in its name.
    install_postgres "PL/Proxy is missing" || die "PL/Proxy is needed: install Postgres and its extension plproxy"
    # shellcheck disable=SC2012
    major=$(ls /usr/lib/postgresql | sort -n | tail -n 1)
    apt_install "PL/Proxy is missing" "postgresql-$major-plproxy" ||
        die "PL/Proxy is needed: install postgresql-$major-plproxy"
}

# ps, which a small Debian lacks.
need_ps() {
    command -v ps >/dev/null || apt_install "ps is missing" procps || die "ps is needed: install procps"
}

# The drivers of the clients in examples/, in a folder of their own, whose name RINGSHARD_TEST_DRIVERS gets. Without them the tests of
# these clients check nothing, and say so.
need_drivers() {
    RINGSHARD_TEST_DRIVERS=${XDG_CACHE_HOME:-$HOME/.cache}/ringshard/drivers
    export RINGSHARD_TEST_DRIVERS
    if [ ! -d "$RINGSHARD_TEST_DRIVERS/python" ]; then
        say "psycopg is missing: pip install psycopg psycopg_pool"
        python3 -m pip install -q --target "$RINGSHARD_TEST_DRIVERS/python" 'psycopg[binary]==3.3.*' 'psycopg_pool==3.3.*' >&2 ||
            say "left out: the test of the client in Python"
    fi
    if [ ! -d "$RINGSHARD_TEST_DRIVERS/python/sqlalchemy" ]; then
        say "SQLAlchemy is missing: pip install sqlalchemy"
        python3 -m pip install -q --target "$RINGSHARD_TEST_DRIVERS/python" 'sqlalchemy==2.0.*' >&2 ||
            say "left out: the test of the sessions of SQLAlchemy"
    fi
    if [ ! -d "$RINGSHARD_TEST_DRIVERS/node/node_modules" ]; then
        say "pg is missing: npm install pg"
        npm install --silent --prefix "$RINGSHARD_TEST_DRIVERS/node" pg@8 >&2 || say "left out: the test of the client in JavaScript"
    fi
}
