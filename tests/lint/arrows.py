#!/usr/bin/python3
"""Checks what no compiler checks: layering, banned functions, asserts on, nothing left undone.

Prints one line per offence, "file:line: what", and exits 1 if there is any.
"""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Which rooms a room may include, apart from itself. Arrows point down only.
ARROWS = {
    "conf": set(),
    "hashring": set(),
    "discovery": {"conf"},
    "health": {"discovery", "conf"},
    "balancer/http": {"conf"},
    "balancer/log": {"balancer/http", "conf"},
    "balancer/pool": {"balancer/http", "hashring", "conf"},
    "balancer/tls": {"conf"},
    "balancer/acme": {"balancer/tls", "discovery", "conf"},
    "balancer/policy": {"balancer/pool", "balancer/http", "hashring", "conf"},
    "balancer/explain": {
        "balancer/policy", "balancer/pool", "balancer/http", "hashring", "conf",
    },
    "balancer/proxy": {
        "balancer/explain", "balancer/policy", "balancer/pool", "balancer/tls", "balancer/log",
        "balancer/http", "conf",
    },
    "balancer/admin": {
        "balancer/explain", "balancer/policy", "balancer/pool", "balancer/log", "balancer/http",
        "conf",
    },
    "balancer/control": {
        "balancer/acme", "balancer/admin", "balancer/explain", "balancer/proxy",
        "balancer/policy", "balancer/pool", "balancer/tls", "balancer/log", "balancer/http",
        "health", "discovery", "hashring", "conf",
    },
    "balancer/cli": {
        "balancer/control", "balancer/admin", "balancer/explain", "balancer/log", "balancer/http",
        "conf",
    },
    "balancer": {
        "balancer/cli", "balancer/control", "balancer/acme", "balancer/admin",
        "balancer/explain", "balancer/proxy", "balancer/policy", "balancer/pool", "balancer/tls", "balancer/log",
        "balancer/http", "health", "discovery", "hashring", "conf",
    },
}

BANNED = "strcpy strcat sprintf vsprintf strtok atoi atol atof sscanf gets alloca strerror".split()
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
NDEBUG = re.compile(r"\bNDEBUG\b")
UNDONE = re.compile(r"\b(TODO|FIXME|XXX)\b")
COMMENT_OR_TEXT = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)


def blank(match):
    """Spaces instead of a comment or a string, so that line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group())


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def room_of(path):
    """The most specific room a path lies in; None for tests, which may include everything."""
    parts = pathlib.PurePosixPath(path).parts[:-1]
    for depth in range(len(parts), 0, -1):
        room = "/".join(parts[:depth])
        if room in ARROWS:
            return room
    return None


def check_includes(path, text):
    room = room_of(path)
    for match in INCLUDE.finditer(text):
        target = match.group(1)
        line = line_of(text, match.start(1))
        if not (ROOT / target).is_file():
            if room is not None or not (ROOT / path).with_name(target).is_file():
                yield f"{path}:{line}: includes {target}, which is no path from the top"
            continue
        target_room = room_of(target)
        if room is None or target_room in ARROWS[room] | {room}:
            continue
        yield f"{path}:{line}: {room} may not include {target}"


def check_code(path, text):
    code = COMMENT_OR_TEXT.sub(blank, text)
    for match in BANNED_CALL.finditer(code):
        yield f"{path}:{line_of(code, match.start(1))}: calls {match.group(1)}, which is banned"
    for match in NDEBUG.finditer(code):
        yield f"{path}:{line_of(code, match.start())}: names NDEBUG: asserts stay on"


def check_undone(path, text):
    for match in UNDONE.finditer(text):
        yield f"{path}:{line_of(text, match.start())}: says {match.group()}"


def check_source(file):
    path = file.relative_to(ROOT).as_posix()
    text = file.read_text(encoding="utf-8")
    top = path.split("/")[0]
    if top != "tests" and room_of(path) is None:
        yield f"{path}:1: lies in no room of tests/lint/arrows.py"
    yield from check_includes(path, text)
    yield from check_code(path, text)


def check_compile_database(file):
    """Asserts are on in every build that has been configured."""
    for entry in json.loads(file.read_text()):
        if "-DNDEBUG" in entry["command"]:
            yield f"{file.relative_to(ROOT)}: {entry['file']} is compiled with -DNDEBUG"


def files(*patterns):
    tops = ("conf", "hashring", "discovery", "health", "balancer", "tests")
    found = (f for top in tops for pattern in patterns for f in (ROOT / top).rglob(pattern))
    return sorted(f for f in found if f.is_file())


def offences():
    for file in files("*.c", "*.h"):
        yield from check_source(file)
    itself = pathlib.Path(__file__).resolve()
    for file in files("*.c", "*.h", "*.py", "*.sh", "CMakeLists.txt") + [ROOT / "dev"]:
        if file != itself:
            yield from check_undone(file.relative_to(ROOT), file.read_text(encoding="utf-8"))
    for file in sorted(ROOT.glob("build/*/compile_commands.json")):
        yield from check_compile_database(file)


def main():
    found = list(offences())
    for offence in found:
        print(offence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
