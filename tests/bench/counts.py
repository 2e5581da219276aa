"""What a request costs in numbers that do not depend on the machine's mood: calls and instructions."""
import pathlib
import re
import subprocess
import tempfile

import proxies

TRACED_SECONDS = 2
# Valgrind makes everything some fifty times as slow; connections being opened should not show.
EMULATED_SECONDS = 5


def system_calls(proxy, case):
    """System calls per request, by strace: {name: calls}."""
    with tempfile.NamedTemporaryFile("r") as output:
        command = ["strace", "-c", "-f", "-o", output.name]
        for pid in proxy.pids():
            command += ["-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for _ in proxy.pids():
            tracer.stderr.readline()  # "Process N attached"
        report = case.load(proxy, case, TRACED_SECONDS)
        tracer.send_signal(2)
        tracer.communicate(timeout=20)
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", output.read(),
                          re.MULTILINE)
    return {name: int(calls) / report["requests"] for calls, name in rows if name != "total"}


def control(proxy, option):
    for pid in proxy.pids():
        subprocess.run(["callgrind_control", option, str(pid)], check=True, capture_output=True)


def instructions(name, case, folder, origin, tools):
    """Instructions in user space per request, counted by valgrind's callgrind."""
    output = folder / "callgrind.%p"
    wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}",
               "--trace-children=yes"]
    with proxies.running_proxy(name, case.front, folder / name, origin, tools,
                               wrapper=wrapper) as proxy:
        case.load(proxy, case, EMULATED_SECONDS)
        control(proxy, "--zero")
        report = case.load(proxy, case, EMULATED_SECONDS)
        control(proxy, "--dump")
        total = 0
        for pid in proxy.pids():
            dump = pathlib.Path(f"{folder}/callgrind.{pid}.1").read_text()
            total += int(re.search(r"^(?:summary|totals): (\d+)", dump, re.MULTILINE)[1])
    return total / report["requests"]
