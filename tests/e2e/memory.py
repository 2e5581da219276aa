"""How much memory the balancer takes while something happens."""
import functools
import re

from quoit_process import BINARY

BOUND_KILOBYTES = 8 << 10


@functools.cache
def is_sanitized():
    """Sanitizers keep freed memory for a while, so that its size says nothing."""
    return re.search(rb"__[at]san_init", BINARY.read_bytes()) is not None


class Memory:
    """Counts from its making on."""

    def __init__(self, balancer):
        self.pid = balancer.pid
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")  # the kernel's peak begins anew
        self.before = self._kilobytes("VmRSS")

    def _kilobytes(self, name):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            [line] = [line for line in file if line.startswith(name + ":")]
        return int(line.split()[1])

    def growth_bytes(self):
        """Since the making, as it is now."""
        return (self._kilobytes("VmRSS") - self.before) << 10

    def assert_bounded(self):
        """At no moment was there more than a few buffers."""
        growth = self._kilobytes("VmHWM") - self.before
        assert growth < BOUND_KILOBYTES or is_sanitized(), f"grew by {growth} KiB"
