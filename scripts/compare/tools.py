"""How each program is started on both sides, and whether it is here at all."""

import getpass
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
# uftp is told its rate; what it is told is this part of the link's.
UFTP_SHARE = 0.95
UFTP_BLOCK_BYTES = 1400
SOCKET_BYTES = 104_857_600
# The exit may need these seconds after the client has gone.
GRACE_SECONDS = 0.3


@dataclass
class Place:
    """Where one flow runs."""

    address: str  # of the receiver
    own_address: str  # of the sender
    port: int
    source: str  # the file, or the folder, to be copied
    root: str  # the folder on the receiver's side, where it becomes a file or folder of the same name
    scratch: str  # a folder for keys and configuration
    tree: bool
    rate: int  # bit/s of the link; 0 without one
    rtt: float  # seconds

    @property
    def result(self):
        return os.path.join(self.root, os.path.basename(self.source))

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.scratch, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


class Tool:
    """What all have; each tool says what is different."""

    needs = ()  # programs on the PATH
    kind = "tcp"  # what the receiver listens with
    congestion = None  # TCP's, for the namespaces
    events = False  # whether the sender's output says how far it is
    ends_with_receiver = False  # whether the sender may be gone before all has arrived
    copies_trees = False
    counts_repeats = True  # whether the kernel counts what it sends again

    def absent(self):
        """Why it cannot run here; None if it can."""
        missing = [name for name in self.needs if find(name) is None]
        return f"no {' and no '.join(missing)} on the PATH" if missing else None

    def version(self):
        return ""

    def prepare(self, place):
        """Writes keys and configuration."""

    def server(self, place):
        raise NotImplementedError

    def client(self, place):
        raise NotImplementedError

    def environment(self):
        return None


class Homing(Tool):
    kind = "udp"
    events = True
    copies_trees = True
    counts_repeats = False

    def __init__(self, folder, congestion=None):
        self.folder, self.control = folder, congestion

    def absent(self):
        for name in ("server", "client"):
            if not os.access(os.path.join(self.folder, name), os.X_OK):
                return f"no {name} in {self.folder}: cargo build --release"
        return None

    def version(self):
        return first_line([os.path.join(self.folder, "client"), "--version"])

    def server(self, place):
        command = [os.path.join(self.folder, "server"), str(place.port), "--bind", "0.0.0.0", "--exit-after", "1"]
        return command + ["--root", place.root, "--config-dir", os.path.join(place.scratch, "server"), "--quiet"]

    def client(self, place):
        command = [os.path.join(self.folder, "client"), f"{place.address}:{place.port}", "--mode", "windowed", "--json"]
        command += ["--config-dir", os.path.join(place.scratch, "client")]
        command += ["--congestion", self.control] if self.control else []
        return command + (["-r", place.source, "."] if place.tree else [place.source, os.path.basename(place.source)])


class Tcp(Tool):
    """One plain TCP stream: what the kernel's congestion control makes of the link."""

    ends_with_receiver = True

    def __init__(self, congestion):
        self.congestion = congestion

    def absent(self):
        with open("/proc/sys/net/ipv4/tcp_available_congestion_control", encoding="utf-8") as file:
            if self.congestion in file.read().split():
                return None
        return f"this kernel has no {self.congestion} (modprobe tcp_{self.congestion})"

    def version(self):
        return first_line(["socat", "-V"], 1) if find("socat") else "tcp_copy.py, there is no socat"

    def server(self, place):
        if find("socat") is None:
            return [sys.executable, os.path.join(HERE, "tcp_copy.py"), "receive", str(place.port), place.result]
        return ["socat", "-u", f"TCP-LISTEN:{place.port},reuseaddr", f"OPEN:{place.result},creat,trunc"]

    def client(self, place):
        if find("socat") is None:
            copy = os.path.join(HERE, "tcp_copy.py")
            return [sys.executable, copy, "send", place.address, str(place.port), place.source]
        return ["socat", "-u", "-b", "262144", f"OPEN:{place.source}", f"TCP:{place.address}:{place.port}"]


class OverSsh(Tool):
    """What goes through an sshd of its own, with keys that are thrown away."""

    congestion = "cubic"
    copies_trees = True

    def absent(self):
        return super().absent() or (None if find("sshd") else "no sshd (package openssh-server)")

    def prepare(self, place):
        for name in ("host", "user"):
            key = os.path.join(place.scratch, name)
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        with open(os.path.join(place.scratch, "user.pub"), encoding="utf-8") as file:
            keys = place.write("authorized_keys", file.read())
        # qcp is started by this sshd, and its PATH need not be ours.
        path = os.environ["PATH"].replace('"', "")
        place.write(
            "sshd_config",
            f"Port {place.port}\nListenAddress 0.0.0.0\nHostKey {place.scratch}/host\nAuthorizedKeysFile {keys}\n"
            "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\n"
            f'Subsystem sftp internal-sftp\nSetEnv "PATH={path}"\n',
        )
        place.write(
            "ssh_config",
            f"Host *\n  Port {place.port}\n  User {getpass.getuser()}\n  IdentityFile {place.scratch}/user\n"
            "  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking no\n  LogLevel ERROR\n"
            f"  UserKnownHostsFile {place.scratch}/known_hosts\n  GlobalKnownHostsFile /dev/null\n",
        )

    def server(self, place):
        return [find("sshd"), "-D", "-e", "-f", os.path.join(place.scratch, "sshd_config")]


class Scp(OverSsh):
    needs = ("scp", "ssh-keygen")

    def version(self):
        return first_line(["ssh", "-V"])

    def client(self, place):
        command = ["scp", "-q", "-F", os.path.join(place.scratch, "ssh_config"), "-c", "aes128-gcm@openssh.com"]
        return command + (["-r"] if place.tree else []) + [place.source, f"{place.address}:{place.result}"]


class Qcp(OverSsh):
    """QUIC, told the link's rate and round trip, which it wants to know."""

    needs = ("qcp", "ssh", "ssh-keygen")
    counts_repeats = False

    def __init__(self, control="bbr"):
        self.control = control

    def version(self):
        return first_line(["qcp", "--version"])

    def client(self, place):
        config = os.path.join(place.scratch, "ssh_config")
        command = ["qcp", "-q", "--ssh-config", config, "-S", "-F", "-S", config, "--congestion", self.control]
        if place.rate:
            command += ["--tx", f"{place.rate // 8}", "--rx", f"{place.rate // 8}", "--rtt", f"{round(place.rtt * 1000)}"]
        return command + (["-r"] if place.tree else []) + [place.source, f"{place.address}:{place.result}"]


class Rsync(Tool):
    needs = ("rsync",)
    congestion = "cubic"
    copies_trees = True

    def version(self):
        return first_line(["rsync", "--version"])

    def prepare(self, place):
        owner = "uid = root\n  gid = root\n" if os.geteuid() == 0 else ""
        place.write(
            "rsyncd.conf",
            f"port = {place.port}\nuse chroot = no\nlog file = /dev/null\nreverse lookup = no\n"
            f"[module]\n  path = {place.root}\n  read only = no\n  {owner}",
        )

    def server(self, place):
        return ["rsync", "--daemon", "--no-detach", "--config", os.path.join(place.scratch, "rsyncd.conf")]

    def client(self, place):
        command = ["rsync", "-r"] if place.tree else ["rsync"]
        return command + [place.source, f"rsync://{place.address}:{place.port}/module/"]


class Uftp(Tool):
    """One receiver by unicast, told 95 % of the link as its rate."""

    needs = ("uftp", "uftpd")
    kind = "udp"
    counts_repeats = False

    def server(self, place):
        command = ["uftpd", "-d", "-D", place.root, "-p", str(place.port), "-I", place.address]
        return command + ["-B", str(SOCKET_BYTES), "-x", "0"]

    def client(self, place):
        kbit = round(place.rate * UFTP_SHARE / 1000) if place.rate else -1
        command = ["uftp", "-M", place.address, "-P", place.address, "-p", str(place.port), "-I", place.own_address]
        command += ["-R", str(kbit), "-b", str(UFTP_BLOCK_BYTES), "-B", str(SOCKET_BYTES), "-x", "0"]
        return command + [place.source]


class Quinn(Tool):
    """A program of the user's with this command line: `quinn_copy receive PORT FILE`, `quinn_copy send HOST:PORT FILE`."""

    needs = ("quinn_copy",)
    kind = "udp"
    counts_repeats = False
    ends_with_receiver = True

    def server(self, place):
        return ["quinn_copy", "receive", str(place.port), place.result]

    def client(self, place):
        return ["quinn_copy", "send", f"{place.address}:{place.port}", place.source]


class Copy(Tool):
    """No network at all: the reference for loopback."""

    needs = ("cp",)
    copies_trees = True
    counts_repeats = False

    def server(self, place):
        return None

    def client(self, place):
        return ["cp", "-r", place.source, place.root]


def all_tools(homing_folder):
    """By name, in the order of the table."""
    return {
        "homing": Homing(homing_folder),
        "homing-cubic": Homing(homing_folder, "cubic"),
        "homing-background": Homing(homing_folder, "background"),
        "tcp-bbr": Tcp("bbr"),
        "tcp-cubic": Tcp("cubic"),
        "scp": Scp(),
        "rsync": Rsync(),
        "qcp": Qcp(),
        "qcp-cubic": Qcp("cubic"),
        "uftp": Uftp(),
        "quinn": Quinn(),
        "cp": Copy(),
    }


DEFAULT_TOOLS = ("homing", "tcp-bbr", "tcp-cubic", "scp", "rsync", "qcp", "uftp", "quinn", "cp")


def find(name):
    """The path of a program; those for root count too."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")


def first_line(command, number=0):
    """A line of what a command prints, for the record."""
    try:
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return shlex.join(command) + " does not run"
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[number].strip() if len(lines) > number else ""
