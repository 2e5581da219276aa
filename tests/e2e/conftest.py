"""Fixtures: the program under test, origins, and logs shown for every test that fails."""
import pytest

from consul_agent import ConsulAgent
from origins import Origin, OriginProcess
from quoit_process import Quoit, static_pool
from scripted import ScriptedOrigin


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "release_only: needs the program's full speed; not run under sanitizers")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the logs of every quoit the test started to the report of its failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for quoit in getattr(item, "quoits", []):
            lines = quoit.log().splitlines()[-200:]
            report.sections.append((f"log of {quoit.name}", "\n".join(lines)))


@pytest.fixture
def quoit(request, tmp_path):
    """quoit(configuration, ...) starts one, ready to serve; all are ended and checked."""
    started = request.node.quoits = []

    def start(configuration, wait_ready=True):
        program = Quoit(configuration, tmp_path, f"quoit{len(started)}")
        started.append(program)
        program.start(wait_ready)
        return program

    yield start
    failures = []
    for program in started:
        try:
            if program.process:
                program.close()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "; ".join(failures)


@pytest.fixture
def origins():
    """origins(n) starts n origins in threads of the test, named origin0, origin1, …"""
    started = []

    def start(n=1, **more):
        new = [Origin(f"origin{len(started) + i}", **more) for i in range(n)]
        started.extend(new)
        return new

    yield start
    for origin in started:
        origin.close()


@pytest.fixture
def origin_processes():
    """origin_processes(n): the same, each in a process of its own."""
    started = []

    def start(n=1):
        new = [OriginProcess(f"origin{len(started) + i}") for i in range(n)]
        started.extend(new)
        return new

    yield start
    for origin in started:
        origin.close()


@pytest.fixture
def scripted(quoit):
    """scripted(script, configuration, n_endpoints, **pool options) starts a ScriptedOrigin and a
    balancer with one worker in front of it: (port, origin); the balancer is origin.balancer."""
    started = []

    def start(script, configuration=None, n_endpoints=1, receive_buffer=None, **pool):
        origin = ScriptedOrigin(script, n_endpoints, receive_buffer)
        started.append(origin)
        origin.balancer = quoit({
            "workers": 1, "pools": {"web": static_pool(origin.addresses, **pool)},
            **(configuration or {})})
        return origin.balancer.port, origin

    yield start
    for origin in started:
        origin.close()


@pytest.fixture
def consul(tmp_path):
    """A real Consul agent, empty."""
    agent = ConsulAgent(tmp_path)
    yield agent
    agent.kill()
