# What the name servers of the scenario "dns" have in common. Each has a function `run PORT` that writes its configuration, for
# the names in `hosts` ("NAME ADDRESS" a line) or for `zone`, and ends with `serve COMMAND...`. Then it calls
# VERB PROGRAM PACKAGE DESCRIPTION, the package being Debian's.
# shellcheck shell=sh source=/dev/null
. "$(dirname "$0")/common.sh"
port=$((24000 + $$ % 5000))

# As a zone file.
zone() {
	echo "consul. 0 IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"
	echo "consul. 0 IN NS ns.consul."
	echo "ns.consul. 0 IN A 127.0.0.1"
	sed 's/ /. 0 IN A /' hosts
}

# Runs in the foreground, on the core that a switch's worker would have.
serve() {
	start pid taskset -c "$BENCH_WORKER_CORE" "$@"
}

listens() {
	grep -q ":$(printf %04X "$port") " /proc/net/udp
}

up() { # program, package, description
	[ "$BENCH_SCENARIO" = dns ] || skip "it is a name server: nothing for the scenario \"$BENCH_SCENARIO\""
	need "$1" "$2"
	need dnsperf dnsperf
	names >hosts
	run "$port"
	await pid listens
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
