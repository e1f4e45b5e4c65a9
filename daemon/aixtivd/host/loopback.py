"""TCP over loopback: a listening port, and whose process is at the other end, as the kernel says.

It is asked for that one connection (sock_diag(7)): 12 µs, however many there are. Where it cannot be asked so, its
tables are read (proc(5)), which took 8 ms on a machine with few connections and 23 ms with eight thousand.
"""

import os
import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

Address = tuple[str, int]
"""A numeric address and a port."""

TABLES: Final = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
"""Not /proc/net: a unit with `ProcSubset=pid` does not have that one."""


LEFT: Final = -1
"""In the place of a uid: whoever was there has closed its end."""

# Linux's numbers: linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h.
_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ERROR = 4, 20, 1, 2
_HEADER: Final = struct.Struct("=IHHII")
_WANTED: Final = struct.Struct("=BBxxI")
_ENDS: Final = struct.Struct(">HH16s16s4xQ")
_FOUND: Final = struct.Struct("=16x52x3I2I")  # header, what state it is in and both ends, counters; uid and inode
_ANY: Final = (1 << 64) - 1  # whichever socket has these ends


def bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """Listens there. Raises OSError where the port is taken, or the machine has no such address."""
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a fixed port, soon after it was last used
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host, port))
        listening.listen(socket.SOMAXCONN)  # a crowd that knocks must not keep out who is awaited
        listening.settimeout(0)
    except OSError:
        listening.close()
        raise
    return listening


def is_ours(here: Address, there: Address) -> bool:
    """Of an open connection, our end and the other one. Root counts as ours: relays into a machine run as it, and
    what it may do, it can do without us. May read files that are long on a busy machine: not for the loop.

    True where nobody can say: elsewhere than on Linux, in a sandbox without these files, and in WSL, where a browser
    of Windows has no entry.
    """
    if sys.platform != "linux" or "microsoft" in os.uname().release.lower():
        return True
    uid = asked(here, there)
    if uid is None:
        try:
            tables = [path.read_bytes() for path in TABLES if path.exists()]
        except OSError:
            return True
        if not tables:
            return True
        uid = owner(tables, here, there)
    return uid in {0, os.geteuid()}


def asked(here: Address, there: Address) -> int | None:
    """The uid of whoever is at `there`, or LEFT; None: the kernel cannot be asked in this way. Fit for the loop."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(0)  # it has answered when it has been asked
            found = _looked_up(kernel, there, here)
            if found is None and _looked_up(kernel, here, there) is None:
                return None  # it does not even know our own end
    except (OSError, AttributeError, struct.error):  # AttributeError: there is no such thing but on Linux
        return None
    uid, inode = found or (0, 0)
    return uid if inode else LEFT


def _looked_up(kernel: socket.socket, local: Address, remote: Address) -> tuple[int, int] | None:
    """Uid and inode of the socket with these ends; a closed one has no inode. None: there is none."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    one, two = socket.inet_pton(family, local[0]), socket.inet_pton(family, remote[0])
    wanted = _WANTED.pack(family, socket.IPPROTO_TCP, 0xFFFFFFFF) + _ENDS.pack(local[1], remote[1], one, two, _ANY)
    kernel.send(_HEADER.pack(_HEADER.size + len(wanted), _BY_FAMILY, _REQUEST, 0, 0) + wanted)
    told = kernel.recv(4096)
    if _HEADER.unpack_from(told)[1] == _ERROR:
        return None
    uid, inode = _FOUND.unpack_from(told)[-2:]
    return uid, inode


def owner(tables: list[bytes], here: Address, there: Address) -> int | None:
    """The uid of the socket at `there`; None where there is none, or it was closed: then its uid reads as 0."""
    for needle in _needles(here, there):
        for table in tables:
            at = table.find(needle)
            if at < 0:
                continue
            # sl local remote st tx:rx tr:when retrnsmt uid timeout inode …
            fields = table[table.rfind(b"\n", 0, at) + 1 :].split(maxsplit=10)
            uid, inode = int(fields[7]), int(fields[9])
            return uid if inode else None
    return None


def _needles(here: Address, there: Address) -> list[bytes]:
    """Both ends as the tables write them, seen from the other. An IPv6 socket may speak IPv4, and stands in tcp6."""
    ours, theirs = ip_address(here[0]), ip_address(there[0])
    forms = [(theirs, ours)]
    if isinstance(theirs, IPv4Address) and isinstance(ours, IPv4Address):
        forms.append((IPv6Address(f"::ffff:{theirs}"), IPv6Address(f"::ffff:{ours}")))
    return [f" {_written(one)}:{there[1]:04X} {_written(two)}:{here[1]:04X} ".encode() for one, two in forms]


def _written(address: IPv4Address | IPv6Address) -> str:
    """In words of 32 bits, each as this machine would print the number it reads there."""
    packed = address.packed
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
