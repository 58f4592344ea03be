#!/bin/sh
# A program that must be compiled: this builds primes.c once for each version of it, in a folder that
# may be written to, and then becomes it. The name is taken last, so that nobody finds half a program.
set -eu
source=$(dirname "$0")/primes.c
cache=${TMPDIR:-/tmp}/mayfly-primes-$(id -u)
program=$cache/primes-$(cksum <"$source" | tr ' ' -)

if [ ! -x "$program" ]; then
    mkdir -p -m 700 "$cache"
    [ -O "$cache" ] || { echo "$cache belongs to somebody else" >&2; exit 1; }
    cc -O2 -o "$program.$$" "$source" >&2
    mv "$program.$$" "$program"
fi
exec "$program"
