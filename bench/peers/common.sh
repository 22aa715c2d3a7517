# What the peers' programs have in common. Sourced, not run. A peer has a function for each verb of bench/peer/peer.h that it
# does more for than the ones here, and ends with "$@".
# shellcheck shell=sh
set -u
cd "$BENCH_DIR" || exit 1

skip() { # why it can't run here, or not this scenario
	echo "$*" >&2
	exit 77
}

need() { # program, Debian package
	command -v "$1" >/dev/null || skip "$1 is not installed (Debian package $2)"
}

need_root() { # and programs
	[ "$(id -u)" = 0 ] || skip "it needs root for the scenario \"$BENCH_SCENARIO\""
	for program; do
		command -v "$program" >/dev/null || skip "it needs $program for the scenario \"$BENCH_SCENARIO\""
	done
}

# In a session of its own, with what it says in `log`.
start() { # pid file, command...
	file=$1
	shift
	setsid "$@" </dev/null >>log 2>&1 &
	echo $! >"$file.new"
	mv "$file.new" "$file" # whoever reads it finds a number there
}

# Until a command succeeds; where the process ends before, or nothing comes of it, the last line of its log is why.
await() { # pid file, command...
	waited_for=$(cat "$1")
	shift
	for _ in $(seq 1000); do
		"$@" >/dev/null 2>&1 && return
		kill -0 "$waited_for" 2>/dev/null || break
		sleep 0.02
	done
	grep -E "${complaints:-.}" log | tail -1 >&2
	exit 1
}

stop() { # pid file: its process and what that started
	[ -s "$1" ] || return 0
	group=$(cat "$1")
	kill -CONT "-$group" 2>/dev/null
	kill -TERM "-$group" 2>/dev/null
	for _ in $(seq 100); do
		kill -0 "-$group" 2>/dev/null || return 0
		sleep 0.03
	done
	kill -KILL "-$group" 2>/dev/null
}

sockets() {
	for i in $(seq 0 $((BENCH_PORTS - 1))); do
		echo "socket $BENCH_DIR/$i.sock"
	done
}

# The names of the scenario "dns": three addresses for each service.
names() {
	awk -v n="$BENCH_COUNT" 'BEGIN { for (s = 0; s < n; s++) for (i = 1; i <= 3; i++)
		printf "s%d.service.consul 10.%d.%d.%d\n", s, int(s / 256) % 64, s % 256, i }'
}

reset() { :; }

cycles() { :; }

change() {
	skip "it is left as it is"
}

down() {
	stop pid
	rm -rf "${BENCH_DIR:?}"/*
}
