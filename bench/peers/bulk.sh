# Namespaces for the scenario "bulk", for the peers that know it. Sourced, not run.
# shellcheck shell=sh
bulk=$(basename "$BENCH_DIR") # what their names begin with

# A namespace for each end: c1 and c2, with offloads, p1 and p2, without, and the other host, with a kernel's vxlan device;
# "switch" is where the switch's own interfaces are.
bulk_namespaces() {
	for end in switch c1 c2 p1 p2 remote "$@"; do
		ip netns add "$bulk-$end" || return 1
		ip -n "$bulk-$end" link set lo up
	done
	ip -n "$bulk-switch" link add up0 mtu 1600 type veth peer name up0 mtu 1600 netns "$bulk-remote"
	ip -n "$bulk-switch" link set up0 up
	ip -n "$bulk-remote" link set up0 up
	ip -n "$bulk-remote" addr add 192.0.2.2/24 dev up0
	ip -n "$bulk-remote" link add vx0 mtu 1500 type vxlan id 4242 dstport 4789 local 192.0.2.2 remote 192.0.2.1 dev up0
	ip -n "$bulk-remote" link set vx0 up
	ip -n "$bulk-remote" addr add "$(bulk_address remote)/24" dev vx0
}

bulk_address() { # end
	case $1 in
	c1) echo 10.7.0.11 ;;
	c2) echo 10.7.0.12 ;;
	p1) echo 10.7.0.13 ;;
	p2) echo 10.7.0.14 ;;
	v1) echo 10.7.0.21 ;;
	v2) echo 10.7.0.22 ;;
	remote) echo 10.7.0.99 ;;
	esac
}

bulk_veth() { # end: one end in its namespace as eth0, the other in the switch's with its name
	ip -n "$bulk-switch" link add "$1" type veth peer name eth0 netns "$bulk-$1"
	ip -n "$bulk-switch" link set "$1" up
	ip -n "$bulk-$1" link set eth0 up
	ip -n "$bulk-$1" addr add "$(bulk_address "$1")/24" dev eth0
}

bulk_plain() {
	for end in p1 p2; do
		ip netns exec "$bulk-$end" ethtool -K eth0 tx off sg off tso off gso off gro off >/dev/null
	done
}

bulk_ends() { # those that there are
	for end in "$@"; do
		echo "end $end $bulk-$end $(bulk_address "$end")"
	done
}

bulk_down() {
	ip netns list | cut -d ' ' -f 1 | grep "^$bulk-" | while read -r name; do
		ip netns del "$name"
	done
}
