# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the suites with a NAT share, beside topo.sh: the NAT, a second host behind it, and a check of the traffic.

. "$(dirname "$0")/topo.sh"

# masquerade NAME: Makes the host masquerade packets that come by its interfaces lan* and leave by wan. conntrack accepts connections
# in the middle, and segments outside of its window, because part of a connection may have passed elsewhere.
masquerade() {
	in_ns "$1" nft -f - <<-END || return
		table inet nat {
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				iifname "lan*" oifname "wan" meta l4proto tcp masquerade to :20000-29999
				iifname "lan*" oifname "wan" meta l4proto udp masquerade to :20000-29999
				iifname "lan*" oifname "wan" masquerade
			}
		}
	END
	# Loading the rules loads conntrack, and only then these settings exist.
	sysctl_in "$1" net.netfilter.nf_conntrack_tcp_loose=1 net.netfilter.nf_conntrack_tcp_be_liberal=1
}

# silent NAME: Has the NAT drop packets for ports that it has not assigned, as is usual on such a machine. A reset would end a connection
# that has another port.
silent() {
	in_ns "$1" nft -f - <<-END
		table inet nat {
			chain input {
				type filter hook input priority filter; policy accept;
				iifname "wan" udp dport 61453 accept
				iifname "wan" meta l4proto { tcp, udp } ct state new drop
			}
		}
	END
}

# shellcheck disable=SC2034 # agent.sh reads what is set here
# nat_agent NAME: Starts an agent in router mode that knows the NAT.
nat_agent() {
	printf '[router]\nnat = true\n' >"$TMP/ihmpd.$1.toml"
	defer rm -f "$TMP/ihmpd.$1.toml"
	AGENT_MODE[$1]=--router
	agent_start "$1"
}

# shellcheck disable=SC2034 # topo.sh and the suites read what is set here
# second FAMILY DELAY: Adds a host d. It begins on c's link; its other interface is in a private network of its own behind r2.
second() {
	local family=$1

	plan
	setup_ns d && plug s d0 d eth0 delay "$2" && cable d wifi0 r2 lan2 || return
	HOSTS="m c d"
	ADDR[d.eth0.4]=203.0.113.20 ADDR[d.eth0.6]=2001:db8:3::20
	ADDR[d.wifi0.4]=192.168.77.10 GATE[d.wifi0.4]=192.168.77.1
	ADDR[d.wifi0.6]=2001:db8:4::10 GATE[d.wifi0.6]=2001:db8:4::1
	ADDR[r2.lan2.4]=192.168.77.1 ADDR[r2.lan2.6]=2001:db8:4::1
	batch d <<<'link set wifi0 up'
	join r2 lan2 && join d eth0 && built && settled || return
	D=${ADDR[d.eth0.$family]} NEW_D=${ADDR[d.wifi0.$family]}
}

# unharmed CLIENT SERVER: Checks that no flow has corrupt or duplicate data or errors, and that streams are whole. The NAT changes ports,
# so a stream is found at the server by what was sent and received, not by its port.
unharmed() {
	equal "what is wrong at $1" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .cut or (.duplicates // 0) != 0 or
		(.name == "tcp" and .closed != true)) | tojson' "$TMP/run.$1.json")"
	equal "what is wrong at $2" '' "$(jq -r '.flows[] | select(.corrupt != 0 or .errors != {} or .cut) | tojson' "$TMP/serve.$2.json")"
	equal "streams of $1 that the server got otherwise" '' "$(jq -r --slurpfile s "$TMP/serve.$2.json" '.flows[] |
		select(.name == "tcp") | . as $c | select(any($s[0].flows[]; .received == $c.sent and .sent == $c.received) | not) |
		tojson' "$TMP/run.$1.json")"
}
