#!/bin/sh
# Import the samples into the sandbox, over real HTTP on this machine. It contacts nobody.
# `make demo` runs this script; `importer` must be in PATH. Everything it writes is in .demo/.
# With the argument `page` it serves the page for recruiters instead, with what the demo did.
set -eu
cd "$(dirname "$0")/.."
umask 077
mkdir -p .demo

export POPP_API_KEY=rehearsal POPP_ORGANIZATION_ID=acme
export IMPORTER_LEDGER="sqlite:///$PWD/.demo/importer.db" IMPORTER_UPLOADS="$PWD/.demo/uploads"

echo "Starting the sandbox: a stand-in for the API that keeps a journal of what it accepts."
: >.demo/sandbox.txt
importer sandbox --port 0 --journal .demo/journal.jsonl >.demo/sandbox.txt 2>.demo/sandbox.log &
sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || :; wait "$sandbox" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

tries=0
until IMPORTER_BASE_URL=$(grep -o 'http://127[^ ]*' .demo/sandbox.txt); do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ] || ! kill -0 "$sandbox" 2>/dev/null; then
        echo "The sandbox did not start:" >&2
        cat .demo/sandbox.log >&2
        exit 4
    fi
    sleep 0.2
done
export IMPORTER_BASE_URL
echo "It listens at $IMPORTER_BASE_URL"
echo

if [ "${1:-}" = page ]; then
    importer serve --config samples/importer.yaml
    exit
fi

status=0
importer run --config samples/importer.yaml --rate-per-s 100 --concurrency 8 \
    --on-problems skip --yes \
    samples/recruiter-export.csv samples/nightly-list.csv samples/workbook.xlsx || status=$?
case $status in
0 | 1) ;;
*)
    echo "The run ended with exit code $status." >&2
    exit "$status"
    ;;
esac

importer results --config samples/importer.yaml --format csv >.demo/results.csv
echo
echo "Results of every row:        .demo/results.csv"
echo "What the sandbox accepted:   .demo/journal.jsonl ($(wc -l <.demo/journal.jsonl | tr -d ' ') conversations)"
if [ "$status" -eq 1 ]; then
    echo "Exit code 1 of the run: some rows were rejected, as the samples intend."
fi
echo "Run it again: nobody is contacted twice."
echo "Look at it in the browser:   make page"
