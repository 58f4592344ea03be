#!/bin/sh
# install.sh LIB STAMP FILE...: each file to its place below LIB, which is where its folder says.
set -eu
lib=$1 stamp=$2
shift 2
mkdir -p "$lib/host/adapters"
for file; do
    case $file in
    */host/adapters/*.js) cp --remove-destination "$file" "$lib/host/adapters/" ;;
    */host/*.js) cp --remove-destination "$file" "$lib/host/" ;;
    *) cp --remove-destination "$file" "$lib/" ;;
    esac
done
: >"$stamp"
