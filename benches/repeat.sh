# shellcheck shell=bash
# Sourced by the scripts in this directory: generates large captures from bundled ones.

# repeat SOURCE TARGET MEGABYTES: repeats a capture (pcap, little-endian) up to MEGABYTES. Each copy is dated two minutes
# after the previous one, so that its connections are new and its packets are not dropped as duplicates.
repeat() {
    python3 - "$@" <<'PYTHON'
import struct, sys

source, target, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = open(source, "rb").read()
records, at = [], 24
while at < len(data):
    seconds, rest, kept, wire = struct.unpack_from("<4I", data, at)
    records.append((seconds, struct.pack("<3I", rest, kept, wire) + data[at + 16 : at + 16 + kept]))
    at += 16 + kept
step = records[-1][0] - records[0][0] + 120
with open(target, "wb") as out:
    out.write(data[:24])
    for copy in range(max(1, megabytes * 1_000_000 // len(data))):
        out.write(b"".join(struct.pack("<I", seconds + copy * step) + rest for seconds, rest in records))
PYTHON
}
