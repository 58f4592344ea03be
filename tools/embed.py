#!/usr/bin/env python3
"""Writes a JSON file as C: a `const struct slice` with its bytes, without blanks between them.

usage: embed.py INPUT OUTPUT NAME
"""
import json
import sys

PER_LINE = 20


def main(source, target, name):
    with open(source, encoding="utf-8") as file:
        data = json.dumps(json.load(file), separators=(",", ":")).encode() + b"\n"
    lines = [", ".join(map(str, data[i:i + PER_LINE])) for i in range(0, len(data), PER_LINE)]
    with open(target, "w", encoding="ascii") as file:
        file.write('#include "base/slice.h"\n\n')
        file.write("static const unsigned char bytes[] = {\n    " + ",\n    ".join(lines) + "};\n\n")
        file.write(f"extern const struct slice {name};\n")
        file.write(f"const struct slice {name} = {{(const char *)bytes, sizeof(bytes)}};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
