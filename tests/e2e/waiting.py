"""Bounded waiting: the only way a test lets time pass."""
import time


def wait_until(condition, timeout=10.0, what=None, interval=0.02):
    """Calls condition until it returns something true, and returns that; fails after timeout.

    what, a string or a function that makes one, says in the failure what was being waited for.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            text = what() if callable(what) else what or condition
            raise AssertionError(f"not within {timeout} s: {text}")
        time.sleep(interval)
