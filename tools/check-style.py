#!/usr/bin/env python3
"""Checks what clang-format cannot: lengths, comments, functions that nobody should call.

usage: check-style.py [--junit FILE]
"""
import re
import sys

from checks import ROOT, main, sources

FUNCTION_LINES_MAX = 70
SOURCE_LINES_MAX = 800
HEADER_LINES_MAX = 250

# "file" or "file:function": why. This list only shrinks.
EXCEPTIONS = {
    "src/sandbox/syscalls.tbl.h": "a row for each system call of Linux",
}

# Function: what to use instead, and the only files that may call it.
BANNED = {
    "strcpy": ("memcpy with a length", []),
    "strcat": ("buf_append", []),
    "sprintf": ("snprintf", []),
    "vsprintf": ("vsnprintf", []),
    "gets": ("fgets", []),
    "strtok": ("slices", []),
    "atoi": ("parse_u64", []),
    "atol": ("parse_u64", []),
    "gmtime": ("gmtime_r", []),
    "localtime": ("localtime_r", []),
    "system": ("fork and exec", []),
    "popen": ("fork and exec", []),
    "alloca": ("a ceiling and a buf", []),
    "kill": ("pidref_kill", ["src/os/pidref.c"]),
    # Ruby's host stands in the place of libc's: in its middle is our clone.
    "fork": ("the clone helper of os", ["runtimes/ruby/module.c", "src/os/clone.c", "src/zygote/fork.c"]),
    # Sharing memory is the point there: the child draws from the parent's generator.
    "vfork": ("the clone helper of os", ["runtimes/python/openssl.c", "src/zygote/fork.c"]),
}
# Not part of mayfly: what a user would write, and tests of what such a user may do wrong.
FREE_TO_CALL = ("examples/", "test/", "bench/", "fuzz/")

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
BODY = re.compile(r"^\{", re.M)  # only a function's stands in the first column
PARENTHESES = re.compile(r"\([^()]*\)")
MARKER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def blank(match):
    """Strings and comments become blanks, their lines stay."""
    return re.sub(r"[^\n]", " ", match[0])


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def name_of(head):
    """The last name before a list of parameters: macros with arguments may stand before it."""
    before = None
    while before != head:
        before, head = head, PARENTHESES.sub("<>", head)
    names = re.findall(r"(\w+)<>", head)
    return names[-1] if names else "?"


def function_lengths(code):
    """Yields (name, line, lines) of each function; both braces stand in the first column."""
    for match in BODY.finditer(code):
        end = code.find("\n}", match.end())
        if end >= 0:
            head = max(code.rfind(mark, 0, match.start()) for mark in ";}")
            brace = line_of(code, match.start())
            yield name_of(code[head + 1:match.start()]), brace, line_of(code, end + 1) - brace - 1


def complaints(path):
    text = path.read_text()
    name = str(path.relative_to(ROOT))
    code = COMMENT_OR_STRING.sub(blank, text)
    lines = text.count("\n")
    most = HEADER_LINES_MAX if name.endswith(".h") else SOURCE_LINES_MAX
    if lines > most and name not in EXCEPTIONS:
        yield f"{name}: {lines} lines, at most {most}"
    for function, line, length in function_lengths(code):
        if length > FUNCTION_LINES_MAX and f"{name}:{function}" not in EXCEPTIONS:
            yield f"{name}:{line}: {function}() has {length} lines, at most {FUNCTION_LINES_MAX}"
    for match in COMMENT_OR_STRING.finditer(text):
        if match[0].startswith("//"):
            yield f"{name}:{line_of(text, match.start())}: a // comment; use /* */"
    for match in MARKER.finditer(text):
        yield f"{name}:{line_of(text, match.start())}: {match[0]} is left"
    if not name.startswith(FREE_TO_CALL):
        for match in CALL.finditer(code):
            instead, allowed = BANNED[match[1]]
            if name not in allowed:
                yield f"{name}:{line_of(code, match.start())}: {match[1]}() is banned; use {instead}"


def check():
    for path in sources():
        yield str(path.relative_to(ROOT)), list(complaints(path))
    for entry in EXCEPTIONS:
        if not (ROOT / entry.split(":")[0]).exists():
            yield entry, [f"tools/check-style.py: the exception {entry} is for a file that is gone"]


if __name__ == "__main__":
    sys.exit(main("style", check(), sys.argv[1:]))
