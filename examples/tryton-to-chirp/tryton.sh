#!/bin/sh
# A Tryton 8.2 with its opportunities on this machine, for trying out: everything lies in one folder, and listens on the loopback interface only.
#   sh tryton.sh up [DIR]        install and start it (Python 3.11 and PostgreSQL 13 or later must be there); writes DIR/key, prints variables for tests
#   sh tryton.sh changes [DIR]   make the changes of changes.json
#   sh tryton.sh down [DIR]      stop it; the folder stays
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${2:-tryton}
port=${TRYTON_PORT:-8000}
sqlport=${TRYTON_SQL_PORT:-25444}   # below 32768: from there on systems lend ports to outgoing connections
binaries=$(dirname "$(readlink -f "$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres | tail -1)")")
url=http://127.0.0.1:$port
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid=postgres --regid=postgres --clear-groups"   # PostgreSQL refuses to run as root

up() {
    mkdir -p "$dir/sql"
    dir=$(cd "$dir" && pwd)
    trap '[ $? = 0 ] || { echo "tryton.sh: it did not come up; the end of $dir/install.log and $dir/sql/log:"; tail -n 5 "$dir/install.log" "$dir/sql/log"; } >&2' EXIT
    [ -z "$as" ] || chown postgres "$dir/sql"
    (
        cd "$dir/sql"
        $as "$binaries/initdb" -D data -A trust -U tryton -E UTF8
        $as "$binaries/pg_ctl" -D data -l log -w -o "-p $sqlport -h 127.0.0.1 -k $dir/sql" start
        "$binaries/createdb" -h 127.0.0.1 -p "$sqlport" -U tryton crm
    ) >"$dir/install.log" 2>&1
    python3 -m venv "$dir/venv"
    "$dir/venv/bin/pip" -q install 'trytond==8.2.*' 'trytond_sale_opportunity==8.2.*' 'proteus==8.2.*' 'psycopg[binary,pool]' >>"$dir/install.log" 2>&1
    printf '[database]\nuri = postgresql://tryton@127.0.0.1:%s/\n[web]\nlisten = 127.0.0.1:%s\n' "$sqlport" "$port" >"$dir/trytond.conf"
    echo "admin's password" >"$dir/password"
    TRYTONPASSFILE="$dir/password" "$dir/venv/bin/trytond-admin" -c "$dir/trytond.conf" -d crm \
        --activate-dependencies -u sale_opportunity --email admin@example.org >>"$dir/install.log" 2>&1
    nohup "$dir/venv/bin/trytond" -c "$dir/trytond.conf" -d crm >"$dir/log" 2>&1 &
    echo $! >"$dir/pid"
    (umask 077; "$dir/venv/bin/python" "$here/setup.py" "$url" crm "admin's password" >"$dir/key")
    echo "export CRMBRIDGE_TRYTON_URL=$url CRMBRIDGE_TRYTON_DATABASE=crm CRMBRIDGE_TRYTON_KEY=$(cat "$dir/key") CRMBRIDGE_TRYTON_USER=admin" \
        "CRMBRIDGE_TRYTON_PASSWORD=\"admin's password\" CRMBRIDGE_TRYTON_SQL=postgresql://tryton@127.0.0.1:$sqlport/crm"
}

changes() {
    python3 - "$url/crm/rest/model/" "$(cat "$dir/key")" "$here/changes.json" <<'PYTHON'
import json, sys, urllib.request
base, key, changes = sys.argv[1:]
for verb, path, body in json.load(open(changes)):
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(base + path, json.dumps(body).encode(), headers, method=verb)).close()
    print(verb, path, body)
PYTHON
}

down() {
    kill "$(cat "$dir/pid")" || true
    cd "$dir/sql"
    $as "$binaries/pg_ctl" -D data -m fast stop
}

"${1:?up, changes or down}"
