#!/usr/bin/python3
"""Counts the results of the named commands: count_results.py FOLDER test lint ...

Reads FOLDER/<name>.steps and the reports that they name; prints one line, "N passed, N failed".
Unit tests count by test case where cmocka says how many ran, end-to-end tests by pytest's report,
everything else by step. A command that was never run, or a suite that left no report, is a
failure: nothing passes by not running.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

PASSED = re.compile(r"^\[  PASSED  \] (\d+) test", re.MULTILINE)
FAILED = re.compile(r"^\[  FAILED  \] (\d+) test", re.MULTILINE)


def count_unit_case(case):
    """One executable: the sums of cmocka's groups in its output."""
    output = case.findtext("system-out") or ""
    passed = sum(map(int, PASSED.findall(output)))
    failed = sum(map(int, FAILED.findall(output)))
    if case.get("status") != "run":
        return passed, max(failed, 1)  # a crash or a timeout has no FAILED line
    return max(passed, 1), failed


def count_e2e_case(case):
    """One test function. A test that was skipped has proved nothing: it did not pass."""
    bad = any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
    return (0, 1) if bad else (1, 0)


def count_report(path):
    count = count_unit_case if path.name.startswith("unit-") else count_e2e_case
    passed = failed = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        case_passed, case_failed = count(case)
        passed += case_passed
        failed += case_failed
    return passed, failed


def count_step(folder, status, report):
    """A suite that failed without a failed test in its report (or without one) fails once."""
    passed, failed = (1, 0) if report == "-" else count_report(folder / report)
    if status == "failed" and failed == 0:
        return (0, 1) if report == "-" else (passed, 1)
    return passed, failed


def main(folder, names):
    passed = failed = 0
    for line in (line for name in names for line in step_lines(folder / f"{name}.steps")):
        try:
            status, report, _ = line.split("\t")
            counts = count_step(folder, status, report)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            print(f"count_results: {line}: {error}", file=sys.stderr)
            counts = (0, 1)
        passed += counts[0]
        failed += counts[1]
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def step_lines(path):
    """A list that is missing or empty yields one line that cannot be read: a failure."""
    return (path.read_text().splitlines() if path.exists() else []) or [f"{path.name}: no steps"]


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
