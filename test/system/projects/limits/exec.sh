#!/bin/sh
# One way into each limit. Whatever fails has the last word, which is its exit code.
what=$(cat)
case $what in
memory) exec python3 -c 'kept = []
while True: kept.append(b"x" * (1 << 20))' ;;
cpu_time) while :; do :; done ;;
timeout) exec sleep 60 ;;
processes) while :; do sleep 60 & done ;;
file_size) file=$(mktemp); exec 3>"$file"; rm "$file"; exec dd if=/dev/zero bs=1M >&3 ;;
tmp) i=0; while head -c 1048576 /dev/zero >/tmp/$i; do i=$((i + 1)); done; exit 1 ;;
tmp_files) i=0; while : >/tmp/$i; do i=$((i + 1)); done; exit 1 ;;
response) exec head -c 3145728 /dev/zero ;;
log) yes 1234567890 | head -c 3145728 >&2; echo done ;;
none_of_them) exit 3 ;;
*) echo fine ;;
esac
