"""h2spec against the port: HTTP/2 as RFC 7540 has it, 145 cases. Each that may fail stands here with its reason; any other fails the scenario."""

import os
import re
import subprocess
import xml.etree.ElementTree as xml

from support import golang
from support.scenario import scenario

# RFC 9113, which took RFC 7540's place, leaves it open what becomes of frames on a stream that is closed (§5.1: "MAY treat … as a
# connection error"). nghttp2 does not remember closed streams here (they would cost memory for nothing), and ignores
# such frames: a peer whose stream was ended by the other side has them on the way in good faith.
CLOSED = "frames on a closed stream are ignored, as RFC 9113 allows"
# The request was complete, so it was answered and its stream closed before h2spec's next frame came; or after: a race.
ANSWERED = "the request had its answer already: " + CLOSED

EXPLAINED = {
    ("5.1", "closed: Sends a DATA frame after sending RST_STREAM frame"): CLOSED,
    ("5.1", "closed: Sends a HEADERS frame after sending RST_STREAM frame"): CLOSED,
    ("5.1", "closed: Sends a DATA frame"): CLOSED,
    ("5.1", "closed: Sends a HEADERS frame"): CLOSED,
    ("5.1", "half closed (remote): Sends a DATA frame"): ANSWERED,
    ("5.1", "half closed (remote): Sends a HEADERS frame"): ANSWERED,
    ("6.1", 'Sends a DATA frame on the stream that is not in "open" or "half-closed (local)" state'): ANSWERED,
    # A smaller id may be that of a stream which was closed, and which is not remembered.
    ("5.1.1", "Sends stream identifier that is numerically smaller than previous"): CLOSED,
}


def read(report):
    """h2spec writes into its report what a frame held, as it came: bytes that are no text, and no XML."""
    with open(report, "rb") as file:
        text = file.read().decode("utf-8", "replace")
    return xml.fromstring(re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", text).replace('encoding="UTF-8"', ""))


def failures(report):
    """(section, case) of those that failed, and how many there were."""
    found, total = [], 0
    for suite in read(report).iter("testsuite"):
        for case in suite.iter("testcase"):
            total += 1
            if case.find("failure") is not None or case.find("error") is not None:
                found.append((case.get("package").split("/")[-1], case.get("classname")))
    return found, total


@scenario("h2spec: HTTP/2 of the port, while a worker on it goes on", seconds=120)
def http2(t):
    host = t.host()
    worker, caller = t.go("dotnet", host, "--type", "net"), t.go("dotnet", host)
    name, port = host.split(":")
    report = os.path.join(t.folder, "h2spec.xml")
    command = [golang.tool("h2spec"), "-h", name, "-p", port, "-o", "2", "-j", report]

    def unexplained():
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            n = 0
            while run.poll() is None:
                t.equal(caller.call("net/a", text=str(n)), f"re: {n}", "a call beside it")
                t.settle(0.1)
                n += 1
        found, total = failures(report)
        t.check(total >= 140 and n > 5, f"h2spec ran {total} cases, {n} calls beside it")
        return {case for case in found if case not in EXPLAINED}

    # h2spec gives each case 2 s, which a busy machine may not have: what is wrong is wrong twice.
    wrong = unexplained()
    if wrong:
        wrong &= unexplained()
    t.equal(sorted(wrong), [], "cases that fail without a reason")
    t.equal((worker.said("ended"), caller.said("ended")), ([], []), "the streams of the workers")
