"""The Go half: build/interop/go, with the peer of spec/peers and the tools that its go.mod pins. Made once, made anew when
something of it changes. Modules come from wherever `go env GOPROXY` says."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time

from .environment import BUILD, TOP, Failed, step

HOME = os.path.join(BUILD, "go")
BIN = os.path.join(HOME, "bin")
STUBS = os.path.join(HOME, "agents")
SOURCE = os.path.join(TOP, "spec", "peers")
PROTOS = ["agent_worker.proto", "cloudevent.proto"]
STAMP = os.path.join(BIN, "complete")

PLUGINS = ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"]
TOOLS = ["github.com/fullstorydev/grpcurl/cmd/grpcurl", "github.com/summerwind/h2spec/cmd/h2spec"]


def go() -> str:
    """Debian's, where it is: that is what the pins are for."""
    found = "/usr/bin/go" if os.access("/usr/bin/go", os.X_OK) else shutil.which("go")
    if not found:
        raise Failed("go is missing (apt-get install golang-go)")
    return found


def environment() -> dict[str, str]:
    flags = " ".join([os.environ.get("GOFLAGS", ""), "-modcacherw"]).strip()
    cache = {"GOPATH": os.path.join(HOME, "path"), "GOCACHE": os.path.join(HOME, "cache")}
    return {**os.environ, **cache, "GOFLAGS": flags, "GOWORK": "off"}


def tool(name: str) -> str:
    return os.path.join(BIN, name)


def wanted() -> str:
    digest = hashlib.sha256(subprocess.run([go(), "version"], capture_output=True, check=True).stdout)
    paths = [os.path.join(SOURCE, name) for name in sorted(os.listdir(SOURCE))]
    for path in [*paths, *(os.path.join(TOP, "proto", name) for name in PROTOS), __file__]:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def complete() -> bool:
    try:
        with open(STAMP, encoding="utf-8") as file:
            return file.read() == wanted()
    except OSError:
        return False


def make_stubs(log) -> None:
    shutil.rmtree(STUBS, ignore_errors=True)
    os.makedirs(STUBS)
    command = ["protoc", "-I", os.path.join(TOP, "proto"), "-I", "/usr/include"]
    for plugin in ("go", "go-grpc"):
        command += [f"--plugin=protoc-gen-{plugin}={BIN}/protoc-gen-{plugin}", f"--{plugin}_out={STUBS}"]
        command += [f"--{plugin}_opt=paths=source_relative", *(f"--{plugin}_opt=M{name}=troupe/agents" for name in PROTOS)]
    step([*command, *PROTOS], log)


def make(arguments: list[str], log) -> None:
    step([go(), *arguments], log, cwd=SOURCE, env=environment())


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def prepare() -> None:
    os.makedirs(HOME, exist_ok=True)
    with open(os.path.join(HOME, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete():
            return
        print("interop: building the Go peer, grpcurl and h2spec in build/interop/go (a minute or two)", flush=True)
        started = time.monotonic()
        shutil.rmtree(BIN, ignore_errors=True)
        os.makedirs(BIN)
        os.makedirs(STUBS, exist_ok=True)
        write(os.path.join(STUBS, "go.mod"), "module troupe/agents\n\ngo 1.19\n")
        with open(os.path.join(BUILD, "go.log"), "w", encoding="utf-8") as log:
            make(["build", "-o", BIN + "/", *PLUGINS, *TOOLS], log)
            make_stubs(log)
            write(os.path.join(STUBS, "go.mod"), "module troupe/agents\n\ngo 1.19\n")
            make(["build", "-o", os.path.join(BIN, "peers"), "."], log)
        write(STAMP, wanted())
        print(f"interop: built in {time.monotonic() - started:.0f} s", flush=True)
