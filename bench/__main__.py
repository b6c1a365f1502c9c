"""Run the benchmarks, and write docs/benchmarks.md.

python -m bench             the rows that have no result yet, then the page
python -m bench NAME ...    these rows again, then the page
python -m bench --again     every row again
python -m bench --page      the page alone
"""

from __future__ import annotations

import argparse
import signal
import sys

from bench import results
from bench.results import Row

ROWS = [
    Row("startup", "Start-up", "Processor time of the whole process, beside other command lines of AWS."),
    Row(
        "scale",
        "What is stored",
        "Processor time of a command's first screen with the engine's, growth from the first count to the last, and "
        "the seconds of the whole command. Targets: growth of 1.5, one second.",
        1500,
        missed="`status`, `triage` and `records` spend most of their time in imports and in AWS's library, which makes "
        "a client for each of up to ten services and reads the answers. A dry run keeps 16 bytes of the id of each "
        "message or event, with what a set and the receipts of the messages need around them. A start of the engine "
        "reads its data and makes the indexes.",
    ),
    Row(
        "repair",
        "Reading and repair of many events",
        "Beside sequential boto3 loops, which run for 300 messages. Targets at 20 ms a call: 10 times a loop that goes "
        "one by one, 3 times one of batches, 4 times a reader; directly: 1.5 times and 0.8.",
        1200,
        missed="Readers get pages of 1 MB or of 1,000 records, so that a delay of 20 ms is a small part of a call; "
        "their time goes into AWS's library, which reads the answers, and into the lines and events, which "
        "the loops only count. An undo makes five calls for each round: receive, journal, send, note and delete. "
        "Directly, all compete with the engine for two cores.",
    ),
    Row(
        "send",
        "Sending",
        "Beside a bare client that keeps its connections alive.",
        missed="The processor time goes into urllib3, and into the id, trace, result and summary of each event.",
    ),
    Row(
        "operations",
        "The local engine, operation by operation",
        "Processor time of the engine for one call, with what is stored. Target: growth of 1.5.",
        420,
    ),
    Row(
        "logs",
        "Reading logs",
        "Beside a paginator loop as people write it, on a server that answers as CloudWatch Logs does.",
    ),
    Row(
        "shares",
        "Where the time goes",
        "Seconds of the hot commands under Python's profiler with 1,000 events stored, and the shares of the main "
        "thread; other threads send requests meanwhile, for which it waits.",
    ),
    Row("runtime", "The functions", "Beside a naive handler of the same events."),
    Row(
        "incident",
        "From a red alarm to all processed",
        "The four commands of an incident beside the same steps by hand, each on an engine of its own.",
        600,
    ),
    Row("deploy", "Deploys", "Beside the CDK CLI with the same app, engine and assets.", 420, ("--rounds", "1")),
]


def main() -> int:
    """Run, say how each row ended, and write the page; 1 if a row has missed a target."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background, where a shell ignores it
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [row for row in ROWS if row.name in (options.names or names)]
    is_asked = options.again or options.names
    failed = 0
    for row in [] if options.page else chosen:
        result = results.kept(row)
        if result is None or is_asked:
            result = results.run(row)
        failed |= int(result.code != 0)
        print(f"\n== {row.name}: {result.took_s:.0f} s, ended with {result.code}\n{result.output}", flush=True)
        results.write_page(ROWS)
    results.write_page(ROWS)
    return failed


if __name__ == "__main__":
    sys.exit(main())
