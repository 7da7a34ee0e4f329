"""The machine as it is, for the record, and the two things of it that a comparison needs to be otherwise."""

import contextlib
import os
import platform
import time

ALLOWED = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
AVAILABLE = "/proc/sys/net/ipv4/tcp_available_congestion_control"
# Compiled into Debian's and Fedora's sshd, which does not start without it.
SEPARATION = "/run/sshd"


def conditions(emulator):
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "kernel": platform.release(),
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "load": os.getloadavg(),
        "emulator": os.path.basename(emulator),
        "rmem_max": read("/proc/sys/net/core/rmem_max"),
        "wmem_max": read("/proc/sys/net/core/wmem_max"),
        "host_congestion": read("/proc/sys/net/ipv4/tcp_congestion_control"),
    }


def processor():
    lines = read("/proc/cpuinfo").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


@contextlib.contextmanager
def allowed(name):
    """Lets namespaces choose a congestion control of this kernel for the time being; needs root, and else does nothing."""
    before = read(ALLOWED)
    change = os.geteuid() == 0 and name in read(AVAILABLE).split() and name not in before.split()
    if change:
        write(ALLOWED, f"{before} {name}")
    try:
        yield
    finally:
        if change:
            write(ALLOWED, before)


@contextlib.contextmanager
def separation_folder():
    """The folder that sshd insists on, if root can make it."""
    make = os.geteuid() == 0 and not os.path.exists(SEPARATION)
    if make:
        os.mkdir(SEPARATION, 0o755)
    try:
        yield
    finally:
        if make:
            os.rmdir(SEPARATION)


def write(path, text):
    with contextlib.suppress(OSError), open(path, "w", encoding="utf-8") as file:
        file.write(text)
