#!/usr/bin/env python3
"""Checks the exports for other tools with the tools themselves.

    tests/exports.py SMSENTRY [--all]

Suricata 7 (SMSENTRY_SURICATA, or `suricata` in the path) reads the exported rules, every capture under pcaps/, and generated
captures of all hits and misses of the signatures, one request per connection, unchanged and with evasions (one in 29 of these;
--all for all of them). It must fire on the same requests as smsentry, except for signatures that the export lists as left out
and for evasions that Suricata does not normalise. Where surinort-ast, pySigma or jsonschema can be imported, they parse the
Snort 3 and Sigma rules; SMSENTRY_SIGMA_SCHEMA names the schema. Suricata needs nothing but the standard library.

Exit status: 0 no difference, 1 a difference, 77 skipped because Suricata is missing.
"""

import collections
import glob
import gzip
import ipaddress
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Evasions that libhtp does not normalise; the header of the exported rules lists the same.
NOT_NORMALISED = {"double-percent", "unicode", "whitespace", "tcp-conflict"}
# Combined with another evasion, dot segments are resolved in another order.
ORDER = {"dot-segments"}
# Evasions after which Suricata does not parse a request.
NOT_PARSED = {"whitespace", "tcp-conflict"}
CONFIG = """%YAML 1.1
---
vars:
  address-groups: { HOME_NET: any, EXTERNAL_NET: any }
  port-groups: { HTTP_PORTS: any }
classification-file: /etc/suricata/classification.config
reference-config-file: /etc/suricata/reference.config
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [ { alert: {} }, { http: {} } ]
app-layer:
  protocols:
    http: { enabled: yes }
stream: { midstream: true, async-oneside: true, checksum-validation: no }
"""


def run(*command, good=(0,)):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode not in good:
        sys.exit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(to_server, port, seq, ack, flags, data=b""):
    client, server = bytes([198, 51, 100, 7]), bytes([192, 0, 2, 10])
    source, target = (client, server) if to_server else (server, client)
    ports = (port, 80) if to_server else (80, port)
    tcp = struct.pack("!HHIIBBHHH", *ports, seq, ack, 0x50, flags, 64000, 0, 0) + data
    tcp = tcp[:16] + struct.pack("!H", checksum(source + target + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip + tcp


def write_capture(path, requests):
    """Writes one connection per request, answered with 404; client ports count from 1024."""
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        now = 1_750_000_000_000_000
        for port, (method, target) in enumerate(requests, 1024):
            head = f"{method} {target} HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: test\r\n\r\n".encode()
            request_end, response_end = 1001 + len(head), 5001 + len(answer)
            frames = [
                (True, 1000, 0, 2, b""), (False, 5000, 1001, 18, b""), (True, 1001, 5001, 16, b""),
                (True, 1001, 5001, 24, head), (False, 5001, request_end, 24, answer),
                (True, request_end, response_end, 17, b""), (False, response_end, request_end + 1, 17, b""),
                (True, request_end + 1, response_end + 1, 16, b""),
            ]
            for to_server, seq, ack, flags, data in frames:
                bytes_ = frame(to_server, port, seq, ack, flags, data)
                out.write(struct.pack("<IIII", now // 1_000_000, now % 1_000_000, len(bytes_), len(bytes_)) + bytes_)
                now += 1000


def key_of(event):
    """Returns (client, port, transaction); Suricata writes IPv6 addresses at full length."""
    return ipaddress.ip_address(event["src_ip"]).compressed, event["src_port"], event["tx_id"]


def variants_of(method, target):
    """Returns variants of a request: unchanged, with evasions, and similar requests that must not match."""
    path, mark, query = target.partition("?")
    last = path.rfind("/")
    letter = next((at for at in range(len(path) - 1, 0, -1) if path[at].isalpha()), 0)
    variants = [
        path + "/", path + ".", path + "%20", path + "//", path + ";x=y", path + ";x/", path + "/;x.y", path + "%00.html",
        path + "#x", path + "/.", path.upper(), path.replace("/", "//"), path.replace("/", "/./"), path.replace("/", "\\"),
        path.replace("/", "%5C"), "/" + path.replace("/", "%2f")[3:], path.replace("/", ";a;b/"), "/;p" + path,
        "/zq" + path, "/zq/.." + path, "/zq" + path[1:], path + "x", path + "/x", path + ".x", path[:last] + "/x" + path[last + 1:],
        path[:-1], "/index.html?x=" + path, "/x;" + path[1:].replace("/", ";"),
        path[:letter] + f"%{ord(path[letter]):02x}" + path[letter + 1:], path[:letter] + "-" + path[letter:],
    ]
    if not path.startswith("/"):
        variants = [path.replace("://", "://u:p@"), path.replace("://", "://x."), path.replace("://", "://x"), path + ".",
                    path.upper(), path + ":8080", path + "/x", path + ".example"]
    return [(method, variant + mark + query) for variant in variants] + [(method, target + "&zq=1"), (method, target + "?zq=1")]


def ours(smsentry, capture, ids):
    """Returns smsentry's signatures, URL and evasions of every request, by (client, port, transaction)."""
    found, urls, evasions = collections.defaultdict(set), {}, collections.defaultdict(set)
    done = run(smsentry, "-q", "--ports", "any", "--events", "alert,http", "-r", capture)
    for line in done.stdout.splitlines():
        event = json.loads(line)
        key = key_of(event)
        if event["event_type"] == "http":
            urls[key] = event["http"].get("url", "")
        elif "smsentry_signature" in event["alert"].get("metadata", {}):
            metadata = event["alert"]["metadata"]
            for slug in metadata["smsentry_signature"] + metadata.get("smsentry_also", []):
                found[key].add(ids[slug])
            evasions[key] |= set(metadata.get("smsentry_evasion", []))
    return found, urls, evasions


def theirs(suricata, work, rules, capture):
    logs = tempfile.mkdtemp(dir=work)
    done = run(suricata, "-c", f"{work}/suricata.yaml", "-S", rules, "-r", capture, "-l", logs, "-k", "none",
               "--runmode", "single", good=(0, 1))
    if done.returncode:
        if "not (yet) supported" not in done.stdout + done.stderr:
            sys.exit(f"{capture}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return None, None
    found, urls = collections.defaultdict(set), {}
    with open(f"{logs}/eve.json", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            event = json.loads(line)
            if "tx_id" not in event:
                continue
            key = key_of(event)
            if event["event_type"] == "http":
                urls[key] = event["http"].get("url", "")
            elif event["event_type"] == "alert":
                found[key].add(event["alert"]["signature_id"])
    return found, urls


def is_scheme(url):
    """Reports whether Suricata takes the part before the first colon for a scheme."""
    return not url.startswith("/") and ":" in url and "://" not in url


def excuse(url, names, expected, fired, listed, anonymous):
    """Returns the documented difference that explains this one, or None."""
    missed, more = expected - fired, fired - expected
    if is_scheme(url):
        return "scheme"
    # A request without Referer and without a provider's marks is neither a visitor's nor a webhook call.
    if not anonymous and not missed and more <= listed["legitimate"]:
        return "legitimate use"
    # Only a target that is not in plain form has several readings.
    readings = names or "%" in url or url.partition("?")[0].endswith(("/", ".")) or ";" in url
    if readings and missed | more <= listed["ruled out"]:
        return "ruled out in one reading"
    # An evasion that Suricata does not normalise hides the request from this rule and from others.
    if names & NOT_NORMALISED:
        return "not normalised"
    if names & ORDER and len(names) > 1:
        return "order of evasions"
    return None


def compare(name, mine, urls, evasions, other, other_urls, listed, anonymous):
    differences = fired = compared = 0
    excused = collections.Counter()
    for key in sorted(set(urls) | set(mine) | set(other)):
        expected, actual = mine.get(key, set()) - listed["left out"], other.get(key, set())
        names, url = evasions.get(key, set()), urls.get(key, "")
        if key not in other_urls and (not expected or names & NOT_PARSED or not anonymous):
            # Suricata parsed no such request: half of the traffic, or other framing.
            excused["not seen"] += 1
            continue
        compared += 1
        fired += bool(expected)
        if expected == actual:
            continue
        reason = excuse(url, names, expected, actual, listed, anonymous)
        if reason:
            excused[reason] += 1
            continue
        differences += 1
        print(f"{name}: {key} {url!r}: smsentry {sorted(expected)}, Suricata {sorted(actual)} {sorted(names)}")
    reasons = "".join(f", {count} {reason}" for reason, count in sorted(excused.items()))
    print(f"{name}: {compared} requests, {fired} with alerts, {differences} differ, {excused.total()} excused{reasons}")
    return differences


def export_notes(lines):
    """Returns the signature ids in the export's messages, by kind of message."""
    def ids(mark):
        return {int(line.split()[1]) for line in lines if mark in line}
    return {"left out": ids(" left out: "), "ruled out": ids(" in part: words that rule out "),
            "legitimate": ids(" in part: legitimate use ")}


def check_suricata(smsentry, suricata, work):
    signatures = [json.loads(line) for line in run(smsentry, "signatures", "list", "--json").stdout.splitlines()]
    ids = {signature["slug"]: signature["id"] for signature in signatures}
    rules = f"{work}/smsentry.rules"
    notes = run(smsentry, "signatures", "export", "--to", "suricata", "-o", rules).stderr.splitlines()
    print("Suricata: export:", notes[-1].removeprefix("smsentry: "))
    listed = export_notes(notes)
    with open(f"{work}/suricata.yaml", "w", encoding="ascii") as config:
        config.write(CONFIG)
    test = run(suricata, "-T", "-c", f"{work}/suricata.yaml", "-S", rules, "-l", work)
    loaded = [line for line in (test.stdout + test.stderr).splitlines() if "rules successfully loaded" in line]
    print("suricata -T:", loaded[-1].strip() if loaded else "no error")
    with open(rules, encoding="utf-8") as lines:
        written = sum(line.startswith("alert ") for line in lines)
    differences = 0
    if loaded and f" {written} rules successfully loaded, 0 rules failed" not in loaded[-1]:
        differences += 1
    examples = []
    for signature in signatures:
        for text in signature["hits"] + signature["misses"]:
            method, target = "GET", text
            if " " in text and text.split(" ")[0].isalpha():
                method, _, target = text.partition(" ")
            examples.append((method, target))
    variants = [variant for example in examples for variant in variants_of(*example) if " " not in variant[1]]
    if "--all" not in sys.argv:
        variants = variants[::29]
    made = []
    for name, requests in [("examples", examples), ("evasions", variants)]:
        for number, first in enumerate(range(0, len(requests), 20_000)):
            made.append(f"{work}/{name}-{number}.pcap")
            write_capture(made[-1], requests[first:first + 20_000])
    for capture in made + sorted(glob.glob(f"{ROOT}/pcaps/*.pcap*")):
        plain = capture
        if capture.endswith(".gz"):
            plain = f"{work}/{os.path.basename(capture)[:-3]}"
            with gzip.open(capture) as source, open(plain, "wb") as target:
                shutil.copyfileobj(source, target)
        mine, urls, evasions = ours(smsentry, plain, ids)
        other, other_urls = theirs(suricata, work, rules, plain)
        if other is None:
            print(f"{os.path.basename(capture)}: skipped, Suricata does not read this link type")
            continue
        name = os.path.basename(capture)
        differences += compare(name, mine, urls, evasions, other, other_urls, listed, capture in made)
    return differences


def check_snort(smsentry):
    try:
        import surinort_ast
    except ImportError:
        print("Snort 3: skipped, surinort_ast is not installed")
        return 0
    text = run(smsentry, "signatures", "export", "--to", "snort3").stdout
    rules = [line for line in text.splitlines() if line.startswith("alert ")]
    bad = 0
    for rule in rules:
        try:
            surinort_ast.parse_rule(rule, dialect=surinort_ast.Dialect.SNORT3)
        except Exception as error:  # Any error means that the rule is not parsed.
            bad += 1
            print(f"Snort 3: {error}: {rule[:200]}")
    print(f"Snort 3: {len(rules)} rules, {bad} not parsed by surinort-ast")
    return bad


def check_sigma(smsentry):
    try:
        import yaml
        from sigma.collection import SigmaCollection
    except ImportError:
        print("Sigma: skipped, pySigma is not installed")
        return 0
    text = run(smsentry, "signatures", "export", "--to", "sigma").stdout
    rules = SigmaCollection.from_yaml(text)
    bad = len(rules.errors)
    documents = [document for document in yaml.safe_load_all(text) if document]
    print(f"Sigma: {len(rules.rules)} rules parsed by pySigma, {bad} errors")
    if "SMSENTRY_SIGMA_SCHEMA" in os.environ:
        import jsonschema
        with open(os.environ["SMSENTRY_SIGMA_SCHEMA"], encoding="utf-8") as file:
            validator = jsonschema.Draft202012Validator(json.load(file))
        for document in documents:
            # Dates are strings in the schema, and the YAML loader returns dates.
            document.update({key: str(document[key]) for key in ("date", "modified") if key in document})
            for error in validator.iter_errors(document):
                bad += 1
                print(f"Sigma: {document['title']}: {error.message}")
        print(f"Sigma: {len(documents)} documents, {bad} errors after the schema check")
    for module, backend in [("splunk", "SplunkBackend"), ("elasticsearch", "LuceneBackend")]:
        try:
            convert = getattr(__import__(f"sigma.backends.{module}", fromlist=[backend]), backend)().convert_rule
        except ImportError:
            print(f"Sigma: skipped, sigma.backends.{module} is not installed")
            continue
        empty = [rule.title for rule in rules.rules if not any(query.strip() for query in convert(rule))]
        bad += len(empty)
        print(f"Sigma: {module} has no query for {len(empty)} of {len(rules.rules)} rules", *empty)
    command = shutil.which("sigma", path=os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""))
    if command:
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            file.write(text)
            file.flush()
            for store in ("lucene", "splunk"):
                done = subprocess.run([command, "convert", "-t", store, "--without-pipeline", file.name],
                                      capture_output=True, text=True)
                print(f"Sigma: sigma convert -t {store}: exit {done.returncode}, {len(done.stdout.splitlines())} lines")
                if done.returncode or not done.stdout.strip():
                    bad += 1
                    print(done.stderr[-1000:])
    return bad


def main():
    smsentry = sys.argv[1]
    differences = check_snort(smsentry) + check_sigma(smsentry)
    suricata = os.environ.get("SMSENTRY_SURICATA") or shutil.which("suricata")
    if not suricata:
        print("Suricata: skipped, not installed (set SMSENTRY_SURICATA)")
        sys.exit(1 if differences else 77)
    with tempfile.TemporaryDirectory() as work:
        differences += check_suricata(smsentry, suricata, work)
    sys.exit(1 if differences else 0)


main()
