"""The demo: two agents count what they hear, and each publishes its first five counts."""

import signal

from support.scenario import scenario

GREETING = '{"content": "Hello!"}'


def counted(t, one, other, one_name="worker1", other_name="worker2"):
    """Both counted to exactly five, and received the greeting and the other's five, in order and once each."""
    both = ((one, one_name, other_name), (other, other_name, one_name))
    for process, name, _ in both:
        for number in range(1, 6):
            process.wait_line(rf"{name}: Hello x {number}$")
    for process, name, _ in both:
        t.eventually(lambda p=process: sum(line.startswith("received") for line in p.out) >= 6, f"{name} receives 6")
    t.settle()
    for process, name, other_name in both:
        counts = [line for line in process.out if line.startswith(f"{name}: ")]
        t.equal(counts, [f"{name}: Hello x {n}" for n in range(1, 6)], f"what {name} counted")
        received = [line.split(": ", 1)[1] for line in process.out if line.startswith("received")]
        t.equal(
            sorted(received),
            sorted(["Hello!", *(f"{other_name}: Hello x {n}" for n in range(1, 6))]),
            f"what {name} received",
        )
        t.equal(
            [r for r in received if r != "Hello!"],
            [f"{other_name}: Hello x {n}" for n in range(1, 6)],
            f"the order in which {name} received",
        )


def python_worker(t, host, name):
    process = t.peer("hello.py", host, name)
    process.wait_line("ready$", 20)
    return process


def stopped(t, process):
    """AutoGen's own runtime.stop() finds nothing to complain about."""
    process.send_signal(signal.SIGTERM)
    t.equal(process.wait(), 0, f"the status of {process.name} on SIGTERM")
    t.equal(process.out[-1], "stopped", f"the last line of {process.name}")


@scenario("demo: two AutoGen Python workers on troupe's host count exactly 5", autogen="passes")
def two_python_workers(t):
    host = t.host()
    one, other = python_worker(t, host, "worker1"), python_worker(t, host, "worker2")
    t.client(host).publish("default/default", "Greeting", content="Hello!")
    counted(t, one, other)
    stopped(t, one)
    stopped(t, other)


@scenario("demo: two AutoGen Python workers, greeted by `troupe publish`")
def greeted_by_publish(t):
    host = t.host()
    one, other = python_worker(t, host, "worker1"), python_worker(t, host, "worker2")
    publish = t.troupe("publish", "default", "Greeting", GREETING, "--host", host, "--wait", "worker1,worker2")
    t.equal(publish.wait(), 0, "the status of troupe publish")
    counted(t, one, other)


@scenario("demo: an AutoGen Python worker and a Lua worker on troupe's host")
def python_and_lua(t):
    host = t.host()
    one, other = python_worker(t, host, "worker1"), t.worker(host, "hello.lua", "worker2")
    t.client(host).publish("default/default", "Greeting", content="Hello!")
    counted(t, one, other)
    stopped(t, one)


@scenario("demo: two AutoGen Python workers on a host at a Unix socket", autogen="passes")
def unix_socket(t):
    host = t.host(listen="unix:" + t.folder + "/host.sock")
    t.check(host.startswith("unix:"), f"the host listens at {host}, not at a Unix socket")
    one, other = python_worker(t, host, "worker1"), python_worker(t, host, "worker2")
    t.client(host).publish("default/default", "Greeting", content="Hello!")
    counted(t, one, other)


@scenario("demo: two Lua workers on AutoGen's own host")
def lua_on_autogen(t):
    host = t.autogen_host()
    one, other = t.worker(host, "hello.lua", "worker1"), t.worker(host, "hello.lua", "worker2")
    publish = t.troupe("publish", "default", "Greeting", GREETING, "--host", host, "--wait", "worker1,worker2")
    t.equal(publish.wait(), 0, "the status of troupe publish")
    counted(t, one, other)


@scenario("demo: a Lua worker and an AutoGen Python worker on AutoGen's own host")
def mixed_on_autogen(t):
    host = t.autogen_host()
    one, other = t.worker(host, "hello.lua", "worker1"), python_worker(t, host, "worker2")
    t.client(host).publish("default/default", "Greeting", content="Hello!")
    counted(t, one, other)


@scenario("demo: examples/python/join.py joins, and answers", autogen="passes")
def join_example(t):
    host = t.host()
    process = t.peer(t.path("examples", "python", "join.py"), host)
    process.wait_line(rf"joined {host}: python$", 20)
    reply = t.client(host).call("python/default", "Greeting", content="Hello")
    t.equal((reply.type, reply.body), ("Greeting", {"content": "Hello from Python"}), "its answer")
    process.wait_line(r"python/default: Hello$")
