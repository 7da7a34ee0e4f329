"""How the fifteen known servers of the spaced dialect differ: a row of habits for each."""

from dataclasses import dataclass
from typing import Literal

BAD_ACK_LOSS = 0.05

# Stands for the folder in which s11's script lies: a test must not write beside these files.
SCRIPT_FOLDER = "beside_script"


@dataclass(frozen=True)
class Verdict:
    """What a data message out of turn leads to: is it stored, and which number is acknowledged?"""

    stores: bool
    ack: Literal["its_own", "expected", "count", "none"]


IGNORED = Verdict(False, "none")
ACKED = Verdict(False, "its_own")
CORRECTED = Verdict(False, "expected")
STORED = Verdict(True, "its_own")
STORED_UNMOVED = Verdict(True, "expected")
COUNTED = Verdict(True, "count")


@dataclass(frozen=True)
class Rules:
    """One server's row values. The defaults are the course's good_server."""

    start_ack: Literal["next", "zero"] = "next"
    data_ack_has_bufsize: bool = False
    restart_answer: Literal["same", "bare", "silent"] = "same"
    restart_in_transfer: Literal["kept", "reset", "dies"] = "kept"
    in_turn: Verdict = STORED
    duplicate: Verdict = ACKED
    ahead: Verdict = ACKED
    after_end: Literal["silent", "acked", "stored", "forgotten", "leaves"] = "silent"
    leaves_when_done: bool = False
    complete: Literal["at_least", "equal", "cut", "full_chunks"] = "at_least"
    appears: Literal["at_once", "after_silence"] = "at_once"
    zero_made_on: Literal["start", "data"] = "data"
    key: Literal["address", "port", "global"] = "address"
    shares_chunks: bool = False
    stray_data: Literal["silent", "empty", "dies"] = "silent"
    garbage: Literal["silent", "dies"] = "silent"
    silence: Literal["forgets", "leaves", "dies", "never"] = "forgets"
    separator_in_payload: Literal["whole", "cut", "dies", "wrong"] = "whole"
    naming: Literal["verbatim", "flat", "received", "address"] = "verbatim"
    folder: str = ""
    ack_loss: float = 0.0


GOOD = Rules()

# s1, s4 and s5 differ only in ways that no datagram shows (command line, wording).
LATE_WRITER = Rules(
    restart_in_transfer="reset",
    duplicate=IGNORED,
    ahead=IGNORED,
    complete="equal",
    appears="after_silence",
    zero_made_on="start",
    key="port",
    stray_data="dies",
    garbage="dies",
)

PROFILES: dict[str, Rules] = {
    "a-good": GOOD,
    "a-bad": Rules(ack_loss=BAD_ACK_LOSS),
    "a-s1": LATE_WRITER,
    "a-s2": Rules(
        restart_in_transfer="reset",
        duplicate=IGNORED,
        ahead=IGNORED,
        complete="equal",
        zero_made_on="start",
        key="global",
        silence="never",
        separator_in_payload="cut",
    ),
    "a-s3": Rules(
        restart_answer="silent",
        in_turn=COUNTED,
        duplicate=COUNTED,
        ahead=COUNTED,
        after_end="stored",
        stray_data="dies",
        garbage="dies",
    ),
    "a-s4": LATE_WRITER,
    "a-s5": LATE_WRITER,
    "a-s6": Rules(
        restart_answer="silent",
        duplicate=STORED,
        ahead=STORED,
        after_end="leaves",
        zero_made_on="start",
        key="global",
        stray_data="dies",
        garbage="dies",
        silence="leaves",
    ),
    "a-s7": Rules(
        data_ack_has_bufsize=True,
        restart_answer="silent",
        duplicate=STORED,
        ahead=STORED,
        leaves_when_done=True,
        zero_made_on="start",
        key="global",
        stray_data="dies",
        garbage="dies",
        silence="dies",
        naming="received",
    ),
    "a-s8": Rules(
        restart_in_transfer="reset",
        ahead=STORED,
        complete="equal",
        zero_made_on="start",
        silence="never",
        separator_in_payload="cut",
    ),
    "a-s9": Rules(restart_answer="bare", ahead=CORRECTED, after_end="acked", complete="equal"),
    "a-s10": Rules(
        restart_in_transfer="dies",
        duplicate=CORRECTED,
        ahead=CORRECTED,
        after_end="forgotten",
        complete="cut",
        stray_data="dies",
        garbage="dies",
        silence="never",
        separator_in_payload="dies",
    ),
    "a-s11": Rules(
        restart_in_transfer="reset",
        after_end="acked",
        complete="equal",
        stray_data="empty",
        naming="flat",
        folder=SCRIPT_FOLDER,
    ),
    "a-s12": Rules(
        duplicate=STORED_UNMOVED,
        ahead=STORED_UNMOVED,
        after_end="stored",
        complete="full_chunks",
        stray_data="dies",
        garbage="dies",
    ),
    "a-s15": Rules(
        start_ack="zero",
        restart_in_transfer="reset",
        in_turn=COUNTED,
        duplicate=COUNTED,
        ahead=COUNTED,
        after_end="stored",
        complete="equal",
        zero_made_on="start",
        shares_chunks=True,
        stray_data="dies",
        garbage="dies",
        separator_in_payload="wrong",
        naming="address",
    ),
}
