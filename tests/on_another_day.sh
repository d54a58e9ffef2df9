#!/usr/bin/env bash
# Run pytest as if it were another day: tests/on_another_day.sh WHEN [pytest arguments]
#
# WHEN is what `date` reads: "45 days", "2028-02-29 12:00", "2026-12-31 23:59:30"; TZ before the command sets the zone.
# Every process that the tests start sees that day too: the clock goes on from there, and all of them agree.
# Tests with a clock of their own (the marker `clock`) are left out.
set -euo pipefail
when=$1
shift
tests=$(cd "$(dirname "$0")" && pwd)
library=$(find /usr/lib -path '*/faketime/libfaketimeMT.so.1' | head -n 1)
test -n "$library" || { echo "libfaketime is missing: apt-get install faketime" >&2; exit 1; }
# A distance, for an instant would begin anew with every process.
seconds=$(($(date -d "$when" +%s) - $(date +%s)))
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder" # PostgreSQL reads it as another user
cc -shared -fPIC -O1 -Wall -Werror -o "$folder/waits.so" "$tests/waits.c"
echo "as if it were $(date -d "$when" '+%F %T %Z'), $seconds seconds from now: ${TZ:+TZ=$TZ }tests/on_another_day.sh '$when' ${*@Q}"
cd "$tests/.."
LD_PRELOAD="$folder/waits.so $library" FAKETIME=$(printf '%+d' "$seconds") .venv/bin/pytest -m "not long and not clock" "$@"
