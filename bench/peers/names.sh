# What the name servers of the scenario "dns" have in common. Each has a function `run PORT` that writes its configuration, for
# the names in `hosts` ("NAME ADDRESS" a line) or for `zone`, and ends with `start COMMAND...`. Then it calls
# verb VERB PROGRAM PACKAGE DESCRIPTION, the package being Debian's.
# shellcheck shell=sh
set -u
cd "$BENCH_DIR" || exit 1
port=$((24000 + $$ % 5000))

names() {
	awk -v n="$BENCH_COUNT" 'BEGIN { for (s = 0; s < n; s++) for (i = 1; i <= 3; i++)
		printf "s%d.service.consul 10.%d.%d.%d\n", s, int(s / 256) % 64, s % 256, i }'
}

# As a zone file.
zone() {
	echo "consul. 0 IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"
	echo "consul. 0 IN NS ns.consul."
	echo "ns.consul. 0 IN A 127.0.0.1"
	sed 's/ /. 0 IN A /' hosts
}

# Runs in the foreground, on the core that a switch's worker would have.
start() {
	setsid taskset -c "$BENCH_WORKER_CORE" "$@" </dev/null >log 2>&1 &
	echo $! >pid
}

up() {
	[ "$BENCH_SCENARIO" = dns ] || {
		echo "it is a name server: nothing for the scenario \"$BENCH_SCENARIO\"" >&2
		exit 77
	}
	command -v "$1" >/dev/null || {
		echo "there is no $1 (Debian package $2)" >&2
		exit 77
	}
	command -v dnsperf >/dev/null || {
		echo "there is no dnsperf (Debian package dnsperf)" >&2
		exit 77
	}
	names >hosts
	run "$port"
	for _ in $(seq 100); do
		kill -0 "$(cat pid)" 2>/dev/null || break
		sed -n "/:$(printf %04X "$port") /p" /proc/net/udp | grep -q . && break
		sleep 0.05
	done
	kill -0 "$(cat pid)" 2>/dev/null || {
		tail -1 log >&2
		exit 1
	}
	sleep 0.5
	taskset -a -p -c "$BENCH_WORKER_CORE" "$(server)" >/dev/null # Knot chooses cores itself
	echo "registry 0 $port"
	echo "pid $(server)"
	# shellcheck disable=SC2016 # dpkg-query's own
	echo "version $2 $(dpkg-query -W -f '${Version}' "$2" 2>/dev/null)"
	echo "command $3"
}

# The process that answers, where it is not the first.
server() {
	cat pid
}

verb() {
	case $1 in
	up)
		shift
		up "$@"
		;;
	change)
		echo "it is left as it is" >&2
		exit 77
		;;
	down)
		[ ! -s pid ] || kill -- -"$(cat pid)" 2>/dev/null
		for _ in $(seq 100); do
			kill -0 -- -"$(cat pid 2>/dev/null)" 2>/dev/null || break
			sleep 0.03
		done
		[ ! -s pid ] || kill -KILL -- -"$(cat pid)" 2>/dev/null
		rm -rf "${BENCH_DIR:?}"/*
		;;
	esac
}
