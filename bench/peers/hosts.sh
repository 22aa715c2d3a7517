# Namespaces for the scenario "balance-tcp", for the peers that know it: one for each client's host, c1 to c4, and one with
# all backends, s, each at a port of its own. Sourced after bulk.sh, whose bulk_down removes them.
# shellcheck shell=sh
# shellcheck disable=SC2154 # bulk: of bulk.sh
clients="c1 c2 c3 c4"

hosts_address() { # end
	case $1 in
	s) echo 10.254.0.1 ;;
	*) echo "10.0.1.${1#c}" ;;
	esac
}

hosts_namespaces() {
	for end in switch s $clients; do
		ip netns add "$bulk-$end" && ip -n "$bulk-$end" link set lo up || return 1
		ip netns exec "$bulk-$end" sysctl -q -w net.ipv4.ip_local_port_range="10000 65000" net.core.somaxconn=4096 \
			net.ipv4.tcp_max_syn_backlog=8192
	done
	ip -n "$bulk-switch" link add br0 type bridge
	ip -n "$bulk-switch" link set br0 up
}

hosts_cable() { # name at the bridge, namespace, interface in it
	ip -n "$bulk-switch" link add "$1" mtu 1600 type veth peer name "$3" mtu 1600 netns "$2"
	ip -n "$bulk-switch" link set "$1" master br0 up
	ip -n "$2" link set "$3" up
}

# The kernel's bridge between all of them.
hosts_bridge() {
	for end in s $clients; do
		hosts_cable "$end" "$bulk-$end" eth0
	done
	for end in s $clients; do
		ip -n "$bulk-$end" addr add "$(hosts_address "$end")/8" dev eth0
	done
}

hosts_ends() {
	for end in $clients s; do
		echo "end $end $bulk-$end $(hosts_address "$end")"
	done
}

# How many files a process may have open: sluice-bench has raised it as far as it may be.
hosts_files() {
	awk '$2 == "open" { print $4 }' /proc/self/limits
}

# What a peer without one of its own needs: root, the namespaces, and the bridge.
hosts_up() {
	need_root ip
	hosts_namespaces && hosts_bridge || exit 1
}

hosts_down() {
	for file in pid*; do
		[ ! -s "$file" ] || stop "$file"
	done
	bulk_down
	rm -rf "${BENCH_DIR:?}"/*
}
