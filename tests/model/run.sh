#!/bin/sh
# All interleavings of a few processes over the real code of src/core: every scenario,
# then every seeded bug, which must be found.
# usage: tests/model/run.sh [-f] [-j JOBS] [scenarios|seeds|NAME...]
# -f: larger bounds, and each scenario to its end; without, one that has more states than
# LIMIT is left unfinished, and says so.  CC (default gcc) is taken from the environment.
set -u
cd "$(dirname "$0")/../.." || exit 1

one=
case ${1:-} in --scenario | --seed) one=$1 && shift ;; esac # xargs calls us so
full= jobs=2
while getopts fj: option; do
    case $option in
    f) full=-f ;;
    j) jobs=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
export CC="${CC:-gcc}"
: "${LIMIT:=6000000}"
out=build/model here=tests/model

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "skipped: the model switches stacks on Linux x86-64 only"
    exit 0
fi

# one_scenario NAME: its line, and the trace of a violation
one_scenario()
{
    # shellcheck disable=SC2086
    "$out/real/model" ${full:--n $LIMIT} "$1" >"$out/$1.log" 2>&1
    rc=$?
    cat "$out/$1.log"
    if [ $rc -ne 0 ] && [ $rc -ne 3 ]; then
        echo "$1: FAILED"
        return 1
    fi
    return 0
}

# one_seed FILE: a copy with that bug, and the scenario that finds it
one_seed()
{
    name=$(basename "$1" .sed)
    file=$(sed -n 's/^# file: //p' "$1")
    dir=$out/seed/$name
    rm -rf "$dir"
    mkdir -p "$dir"
    cp -R "$out/src" "$dir/src"
    sed -f "$1" "$out/src/$file" >"$dir/src/$file"
    if cmp -s "$out/src/$file" "$dir/src/$file"; then
        echo "seed $name: FAILED: it changes nothing in $file"
        return 1
    fi
    if ! "$here/build.sh" "$dir/src" "$dir" "$out/real" >"$dir/log" 2>&1; then
        cat "$dir/log"
        echo "seed $name: FAILED: does not compile"
        return 1
    fi
    for scenario in $(sed -n 's/^# scenarios: //p' "$1"); do
        "$dir/model" -n 5000000 "$scenario" >"$dir/log" 2>&1
        if [ $? -eq 1 ]; then
            printf 'seed %-22s found: %s\n' "$name" "$(tail -n 1 "$dir/log")"
            rm -rf "$dir/src" "$dir"/*.o "$dir/model"
            return 0
        fi
    done
    cat "$dir/log"
    echo "seed $name: FAILED: no scenario finds it"
    return 1
}

case $one in
--scenario) one_scenario "$1"; exit ;;
--seed) one_seed "$1"; exit ;;
esac

mkdir -p "$out/real"
"$here/shrink.sh" src "$out/src" || exit 1
"$here/build.sh" "$out/src" "$out/real" || exit 1

failed=0
run_scenarios()
{
    printf '%s\n' "$@" | xargs -n 1 -P "$jobs" "$here/run.sh" --scenario ${full:+-f} || failed=1
}

run_seeds()
{
    printf '%s\n' "$@" | xargs -n 1 -P "$jobs" "$here/run.sh" --seed || failed=1
}

case ${1:-all} in
all)
    # shellcheck disable=SC2046
    run_scenarios $("$out/real/model" -l)
    run_seeds "$here"/seeds/*.sed
    ;;
scenarios)
    # shellcheck disable=SC2046
    run_scenarios $("$out/real/model" -l)
    ;;
seeds) run_seeds "$here"/seeds/*.sed ;;
*)
    for name in "$@"; do
        if [ -e "$here/seeds/$name.sed" ]; then
            run_seeds "$here/seeds/$name.sed"
        else
            run_scenarios "$name"
        fi
    done
    ;;
esac
[ $failed -eq 0 ] && echo "model: no violation, and every seeded bug was found"
exit $failed
