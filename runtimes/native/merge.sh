#!/bin/sh
# Makes one archive of the host and of what it needs of mayfly's libraries, in which only main() and
# the functions of mayfly.h have names: a function in C may use any other name for its own.
#
# usage: merge.sh LIB_DIR HEADER STAMP ARCHIVE...
set -eu
lib=$1 header=$2 stamp=$3
shift 3

mkdir -p "$lib/native" "$lib/include"
object=$lib/native/mayfly-native.o
archive=$lib/native/libmayfly-native.a
${LD:-ld} -r -u main -u mayfly_method -u mayfly_status -o "$object" --start-group "$@" --end-group
${OBJCOPY:-objcopy} --localize-hidden "$object"
rm -f "$archive"
${AR:-ar} rcs "$archive" "$object"
rm -f "$object"
cp "$header" "$lib/include/mayfly.h"
: >"$stamp"
