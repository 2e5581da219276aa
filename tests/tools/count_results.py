#!/usr/bin/python3
"""Counts the results of the named commands: count_results.py FOLDER test lint ...

Reads FOLDER/<name>.steps and the reports that they name; prints what failed, by name and with the
end of what it said, and one last line, "N passed, N failed".
Unit tests count by test case where cmocka says how many ran, end-to-end tests by pytest's report,
everything else by step. A command that was never run, or a suite that left no report, is a
failure: nothing passes by not running.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import namedtuple

# What a step comes to; failures: the names of what failed, with what they said.
Result = namedtuple("Result", "passed failed failures", defaults=((),))

SAID_CHARACTERS = 1500
PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.MULTILINE)


def count_unit_case(case):
    """One executable: the sums of cmocka's groups in its output."""
    output = case.findtext("system-out") or ""
    passed = sum(map(int, PASSED.findall(output)))
    failed = sum(map(int, FAILED.findall(output)))
    if case.get("status") != "run":
        failed = max(failed, 1)  # a crash or a timeout has no FAILED line
    else:
        passed = max(passed, 1)
    return Result(passed, failed, [describe(case, output)] if failed else [])


def count_e2e_case(case):
    """One test function. A test that was skipped has proved nothing: it did not pass."""
    bad = next((one for one in case if one.tag in ("failure", "error", "skipped")), None)
    if bad is None:
        return Result(1, 0)
    return Result(0, 1, [describe(case, f"{bad.get('message') or ''}\n{bad.text or ''}")])


def describe(case, output):
    return f"{case.get('classname')}.{case.get('name')}\n{output[-SAID_CHARACTERS:].strip()}"


def add(results):
    results = list(results)
    return Result(
        sum(one.passed for one in results),
        sum(one.failed for one in results),
        [failure for one in results for failure in one.failures],
    )


def count_report(path):
    count = count_unit_case if path.name.startswith("unit-") else count_e2e_case
    return add(map(count, ElementTree.parse(path).getroot().iter("testcase")))


def count_step(folder, status, report, log):
    """A suite that failed without a failed test in its report (or without one) fails once."""
    result = Result(1, 0) if report == "-" else count_report(folder / report)
    if status == "failed" and result.failed == 0:
        said = log.read_text(errors="replace")[-SAID_CHARACTERS:] if log.exists() else ""
        return Result(0 if report == "-" else result.passed, 1, [f"the step itself\n{said.strip()}"])
    return result


def count_line(folder, line):
    try:
        status, report, name = line.split("\t")
        result = count_step(folder, status, report, folder / f"{name}.log")
    except (OSError, ValueError, ElementTree.ParseError) as error:
        return Result(0, 1, [f"{line}: {error}"])
    return result._replace(failures=[f"{name}: {failure}" for failure in result.failures])


def main(folder, names):
    lines = (line for name in names for line in step_lines(folder / f"{name}.steps"))
    total = add(count_line(folder, line) for line in lines)
    for failure in total.failures:
        print(f"\nfailed: {failure}")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


def step_lines(path):
    """A list that is missing or empty yields one line that cannot be read: a failure."""
    return (path.read_text().splitlines() if path.exists() else []) or [f"{path.name}: no steps"]


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
