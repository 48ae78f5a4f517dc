"""A two-port switch with a mirror port, for record.sh: forwards every frame between two interfaces and sends a copy
to a tun or tap interface, as a SPAN port does. Standard library only.

    switch.py PORT PORT tap MIRROR [--tag TPID:VID]... [--twice]
    switch.py PORT PORT tun MIRROR

With a tap mirror the copies carry the given VLAN tags, outermost first, as on a trunk (this needs no VLAN support in
the kernel); `--twice` mirrors a frame on ingress and on egress. With a tun mirror the copies are bare IP packets.
"""

import argparse
import fcntl
import os
import select
import socket
import struct

ETH_P_ALL = 3
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_TAP, IFF_NO_PI = 1, 2, 0x1000
ETHERNET = 14


def port(name):
    """Opens a raw socket on an interface."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((name, 0))
    return raw


def mirror(kind, name):
    """Opens the user side of an existing tun or tap interface; tcpdump captures the frames written to it."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = IFF_NO_PI | (IFF_TAP if kind == "tap" else IFF_TUN)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return device


def tag(text):
    """Returns `8100:100` as the four bytes of a VLAN tag."""
    tpid, vid = text.split(":")
    return struct.pack("!HH", int(tpid, 16), int(vid))


def main():
    """Forwards and mirrors frames until record.sh terminates the process."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("ports", nargs=2)
    arguments.add_argument("kind", choices=("tap", "tun"))
    arguments.add_argument("mirror")
    arguments.add_argument("--tag", type=tag, action="append", default=[])
    arguments.add_argument("--twice", action="store_true")
    options = arguments.parse_args()

    left, right = (port(name) for name in options.ports)
    copies = mirror(options.kind, options.mirror)
    tags = b"".join(options.tag)
    while True:
        for ready in select.select([left, right], [], [])[0]:
            frame, address = ready.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            copy = frame[:12] + tags + frame[12:] if options.kind == "tap" else frame[ETHERNET:]
            os.write(copies, copy)
            (right if ready is left else left).send(frame)
            if options.twice:
                os.write(copies, copy)


if __name__ == "__main__":
    main()
