#!/usr/bin/env python3
"""Compares smsentry's output for a generated capture with the capture's ground truth.

    tests/truth.py SMSENTRY CAPTURE.pcap [--ports 80] [--verbose]

CAPTURE.truth.json has the probes by request target and the number of requests; CAPTURE.flows.tsv, if it exists, has a
line per flow (client, port, category, target, expected class). Prints a table by category and exits with 1 if a probe
is missing or reported wrongly where the ground truth is verbatim. Classes without an exact expectation (normal forms
wider than the ground truth) are only printed.
"""

import argparse
import collections
import ipaddress
import json
import pathlib
import subprocess
import sys

# Classes of flows whose target is sent as listed, so that each must alert.
MUST_ALERT = {"exact", "exact+query", "norm", "norm2", "case", "abs", "probe", "hit", "yes", "must"}
# Classes in which no flow may alert.
NO_ALERT = {"neg", "none", "undelivered"}


def events(program, capture, ports):
    command = [program, "-q", "-r", str(capture), "--events", "alert,http", "--ports", ports]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        for line in run.stdout:
            yield json.loads(line)
    if run.returncode not in (0, 3):
        sys.exit(f"{program} ended with {run.returncode}")


def by_path(truth, alerts, strict):
    """Compares alerts whose target is a verbatim probe with the ground truth. Not strict: additional ones are allowed."""
    wanted = collections.Counter(truth["probes_by_path"])
    found = collections.Counter(url for _, url in alerts)
    wrong = 0
    for path, count in sorted(wanted.items()):
        if found[path] < count or (strict and found[path] > count):
            print(f"{path}: {found[path]} of {count}")
            wrong += abs(count - found[path])
    beyond = {url: count for url, count in found.items() if url not in wanted}
    print(f"probes {sum(min(found[path], count) for path, count in wanted.items())} of {truth['probes_total']}; "
          f"alerts on other spellings {sum(beyond.values())}")
    return wrong, beyond


def by_category(rows, flows, probes, verbose):
    """Compares flows with an alert by category. The ground truth is verbatim: a probe without its last slash may alert."""
    same = {path.rstrip("/") for path in probes}
    table = collections.OrderedDict()
    for row in rows:
        entry = table.setdefault((row["category"], row["expected"]), [0, 0])
        alerts = flows.get((ipaddress.ip_address(row["client"]), int(row["port"])), [])
        if row["expected"] in NO_ALERT:
            alerts = [url for url in alerts if url.rstrip("/") not in same]
        entry[0] += 1
        entry[1] += bool(alerts)
        if verbose and not alerts and row["expected"] in MUST_ALERT:
            print(f"  no alert: {row['category']} {row['client']}:{row['port']} {row['target'][:100]}")
    wrong = 0
    for (category, expected), (count, alerted) in table.items():
        bad = (expected in MUST_ALERT and alerted < count) or (expected in NO_ALERT and alerted > 0)
        wrong += bad
        mark = "WRONG" if bad else "" if expected in MUST_ALERT | NO_ALERT else "check"
        print(f"{category:28} {expected:12} {alerted:5} of {count:5} flows alert {mark}")
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program")
    options.add_argument("capture", type=pathlib.Path)
    options.add_argument("--ports", default="80")
    options.add_argument("--verbose", action="store_true")
    options = options.parse_args()

    truth = json.loads(options.capture.with_suffix(".truth.json").read_text())
    alerts, requests, outcomes = [], 0, collections.Counter()
    flows = collections.defaultdict(list)
    for event in events(options.program, options.capture, options.ports):
        if event["event_type"] == "http":
            requests += 1
            continue
        url = event["http"].get("url", "")
        client = (ipaddress.ip_address(event["src_ip"]), event["src_port"])
        alerts.append((client, url))
        flows[client].append(url)
        outcomes.update(event["alert"]["metadata"].get("smsentry_outcome", ["?"]))
    table = options.capture.with_suffix(".flows.tsv")
    wrong, beyond = by_path(truth, alerts, strict=not table.exists())
    if options.verbose:
        for url, count in sorted(beyond.items()):
            print(f"  {count:6} {url[:120]}")
    print(f"requests {requests} of {truth['http_requests']}; outcomes {dict(outcomes)}")
    if table.exists():
        lines = [line.split("\t") for line in table.read_text(errors="surrogateescape").rstrip("\n").split("\n")]
        wrong += by_category([dict(zip(lines[0], line)) for line in lines[1:]], flows, truth["probes_by_path"], options.verbose)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
