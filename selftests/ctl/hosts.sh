# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cases of ihmp_ctl.sh about hosts and their addresses.

one_host() {
	prints 1 host add name lab remote 198.51.100.7 remote 203.0.113.7 preference 10 local 192.0.2.1 unreachable 203.0.113.9 \
		alias 198.51.100.6 remote 2001:db8::7 local 2001:db8:1::1 preference 3 unvalidated
}

host_show() {
	stage && prints '' host show && json . '[]' host show && one_host || return
	prints 2 host add name 'office 2' state classic scheduler backup expires 600 remote 2001:db8::8 || return
	prints 3 host new state new remote 192.0.2.77 || return
	json 'map(.id)' '[1,2,3]' host show
	json '.[0] | del(.idle)' "$(jq -cn '{id: 1, mode: "stack-trans", state: "up", name: "lab", addr: [
		{address: "198.51.100.7", set: "active", preference: 0, unvalidated: false, nat: false, left: false},
		{address: "203.0.113.7", set: "active", preference: 10, unvalidated: false, nat: false, left: false},
		{address: "2001:db8::7", set: "active", preference: 0, unvalidated: false, nat: false, left: false},
		{address: "203.0.113.9", set: "unreachable", preference: 0, unvalidated: false, nat: false, left: false},
		{address: "192.0.2.1", set: "local", preference: 0, unvalidated: false, nat: false, left: false},
		{address: "2001:db8:1::1", set: "local", preference: 3, unvalidated: true, nat: false, left: false},
		{address: "198.51.100.6", set: "alias", preference: 0, unvalidated: false, nat: false, left: false}],
		local: "192.0.2.1", remote: "198.51.100.7", flows: 0, "tx-packets": 0, "rx-packets": 0, credit: 0}')" host show 1
	json '.[0] | [.state, .scheduler, .name, .local, ."expires-in" > 590000, ."expires-in" <= 600000, (.idle | type)]' \
		'["classic","backup","office 2",null,true,true,"number"]' host show 2
	# The same host as text, line by line.
	c host show 1
	equal "host show 1" 'host 1 name lab state up mode stack-trans
    remote 198.51.100.7
    remote 203.0.113.7 preference 10
    remote 2001:db8::7
    unreachable 203.0.113.9
    local 192.0.2.1
    local 2001:db8:1::1 preference 3 unvalidated
    alias 198.51.100.6
    path 192.0.2.1 198.51.100.7' "$(sed '$d' "$TMP/out")"
	check "the last line" has_line "$TMP/out" '^    flows 0 tx 0 rx 0 idle [0-9.]+s credit 0$'
	c host show 2
	check "names with a blank, times" has_line "$TMP/out" '^host 2 name office 2 state classic mode stack-trans scheduler backup expires [0-9.]+s$'
	check "no path" has_line "$TMP/out" '^    path none$'
	# A host is found by its id, by its name, and by an address of each set that identifies it.
	for word in 1 198.51.100.7 203.0.113.7 198.51.100.6 2001:db8::7 2001:0db8:0::0007 ::ffff:198.51.100.7; do
		json 'map(.id)' '[1]' host show "$word"
	done
	json 'map(.id)' '[1]' host show name lab
	json 'map(.id)' '[2]' host show name 'office 2'
	json . '[]' host show name nobody
	prints '' host show name la
	refused 'there is no host 4 (id)' host show 4
	refused 'no host has 192.0.2.1 (address)' host show 192.0.2.1
	refused 'no host has 203.0.113.9 (address)' host show 203.0.113.9
	refused 'no host has 2001:db8::9 (address)' host show 2001:db8::9
	refused '* (id)' host show 0
	usage '"lab" is not the id of a host' host show lab
	usage '"-1" is not the id' host show -- -1
	usage 'is not the id' host show 4294967296
	usage 'is not an address' host show 300.1.1.1
	usage 'is not an address' host show 1:2
	usage 'a name is missing' host show name
	usage '"x" was not expected' host show 1 x
	usage '"x" was not expected' host show name lab x
}

families() {
	stage && one_host && prints 2 host add remote 2001:db8::8 && prints 3 host add remote 192.0.2.77 local 192.0.2.1 || return
	json 'map(.id)' '[1,3]' -4 host show
	json 'map(.id)' '[1,2]' -6 host show
	json '.[0] | [.local, .remote, (.addr | map(.address))]' \
		'["192.0.2.1","198.51.100.7",["198.51.100.7","203.0.113.7","203.0.113.9","192.0.2.1","198.51.100.6"]]' host -4 show 1
	json '.[0] | [.local, .remote, (.addr | map(.address))]' '["2001:db8:1::1","2001:db8::7",["2001:db8::7","2001:db8:1::1"]]' host show 1 -6
	json '.[1] | [.local, .remote]' '[null,null]' -6 host
	c -6 host show 1
	check "the path of the family" has_line "$TMP/out" '^    path 2001:db8:1::1 2001:db8::7$'
	json . '[]' -4 host show 2
	prints '' -6 host show 3
	json 'map([.local, .remote])' '[["2001:db8:1::1","2001:db8::7"]]' -6 path
	json 'length' 3 -4 path
	done_ok policy add 10.0.0.0/8 never && done_ok policy add 2001:db8:9::/48 known
	prints '10.0.0.0/8 never' -4 policy
	prints '2001:db8:9::/48 known' -6 policy
	usage "cannot be used with" -4 -6 host
}

host_set() {
	stage && one_host || return
	done_ok host set 1 name shed state classic expires 100 scheduler backup
	json '.[0] | [.name, .state, .scheduler, ."expires-in" > 90000]' '["shed","classic","backup",true]' host show 1
	done_ok host set 1 state up
	json '.[0] | [.state, ."expires-in", .local]' '["up",null,"192.0.2.1"]' host show 1
	done_ok host set 1 wake && done_ok host set 1 name shed wake && done_ok host set 1 state classic || return
	refused 'only a host that is up is woken (wake)' host set 1 wake
	done_ok host set 1 wake state up
	# A set that is named is replaced, and the others stay. A remote address that is left out becomes an alias.
	done_ok host set 1 remote 203.0.113.7
	json '.[0].addr | map(select(.set == "active" or .set == "alias").address) | sort' \
		'["198.51.100.6","198.51.100.7","2001:db8::7","203.0.113.7"]' host show 1
	json '.[0].addr | map(select(.set == "active").address)' '["203.0.113.7"]' host show 1
	json '.[0].addr | map(select(.set == "local").address)' '["192.0.2.1","2001:db8:1::1"]' host show 1
	json '.[0].addr | map(select(.set == "unreachable").address)' '["203.0.113.9"]' host show 1
	done_ok host set 1 active 198.51.100.7 clear unreachable clear alias local 192.0.2.1 unvalidated preference 65535
	json '.[0].addr | map([.set, .address, .preference, .unvalidated])' \
		'[["active","198.51.100.7",0,false],["local","192.0.2.1",65535,true]]' host show 1
	done_ok host set 1 local 192.0.2.1 left device eth0 local 192.0.2.2 device 1
	json '.[0].addr | map(select(.set == "local") | [.address, .left, .device])' \
		'[["192.0.2.1",true,"eth0"],["192.0.2.2",false,"lo"]]' host show 1
	c host show 1
	check "marks and devices as text" has_line "$TMP/out" '^    local 192\.0\.2\.1 left device eth0$'
	usage 'there is no device "eth9"' host set 1 local 192.0.2.1 device eth9
	usage 'a device is missing' host set 1 local 192.0.2.1 device
	done_ok host set 1 clear local clear remote clear alias
	json '.[0] | [.local, .remote, (.addr | map(.set))]' '[null,null,[]]' host show 1
	json '.[0].remote' null host
}

# If any part of a request is refused, even the last, the host stays as it was.
host_set_whole() {
	local many=() n

	stage && one_host && prints 2 host add remote 198.51.100.20 local 192.0.2.1 && done_ok policy add 192.0.2.128/25 never || return
	for ((n = 1; n <= 17; n++)); do
		many+=(local "10.0.0.$n")
	done
	TABLES=$(tables)
	refused '198.51.100.20 belongs to host 2 (addr)' host set 1 name x state classic clear local remote 198.51.100.20
	refused '224.0.0.1 is not an address to be translated (addr)' host set 1 name x remote 198.51.100.9 remote 224.0.0.1
	refused 'only an active or a local address can be behind a NAT (addr.nat)' host set 1 name x unreachable 198.51.100.9 nat
	refused 'only a local address is left, or has a device (addr.left)' host set 1 name x remote 198.51.100.9 left
	refused 'only a local address is left, or has a device (addr.device)' host set 1 name x alias 198.51.100.9 device lo
	refused 'the policy forbids hosts at 192.0.2.200 (addr)' host set 1 state new local 192.0.2.2 remote 192.0.2.200
	refused 'a set has at most 16 addresses (addr)' host set 1 name x "${many[@]}"
	refused 'there is no host 7 (id)' host set 7 name x
	refused '198.51.100.20 belongs to host 2 (addr)' path add host 1 remote 198.51.100.9 remote 198.51.100.20
	refused 'the host does not have 198.51.100.9 in this set (addr)' path del host 1 remote 198.51.100.7 remote 198.51.100.9
	refused '198.51.100.7 belongs to host 1 (addr)' host add name x local 192.0.2.1 remote 198.51.100.7
	refused '127.0.0.1 is not an address to be translated (addr)' host add remote 127.0.0.1
	equal "the tables" "$TABLES" "$(tables)"
	# Neither does a wrong command line change anything.
	usage '"state" is not a set' host set 1 name x clear state
	usage '"bogus" is not a property' host set 1 name x bogus
	usage 'an address is missing' host set 1 name x remote
	usage 'name is given twice' host set 1 name x name y
	usage 'longer than 63' host set 1 state new name "$(printf 'x%.0s' {1..64})"
	usage 'is not a preference' host set 1 name x local 192.0.2.1 preference 65536
	usage '"dead" is not a state' host set 1 name x state dead
	usage '"soon" is not a time' host set 1 name x expires soon
	usage 'the id of a host is missing' host set
	usage 'is not the id' host set lab name x
	usage 'expected name, state' host add clear remote
	usage 'a state is missing' host add state
	usage '"x" is not an address' path add host 1 remote 198.51.100.9 local x
	equal "the tables" "$TABLES" "$(tables)"
}

host_del() {
	stage && one_host && prints 2 host add remote 198.51.100.20 && prints 3 host add remote 198.51.100.21 || return
	done_ok host del 2 && json 'map(.id)' '[1,3]' host && refused 'there is no host 2 (id)' host del 2
	done_ok host delete 3 && json 'map(.id)' '[1]' host
	usage 'the id of a host is missing' host del && usage 'was not expected' host del 1 3 && usage 'was not expected' host flush 1
	json 'map(.id)' '[1]' host
	done_ok host flush && json . '[]' host && done_ok host flush
	c -j host add remote 198.51.100.20
	equal "the id in JSON" '0|{"id":4}|' "$STATUS|$OUT|$ERR"
	c -p host add remote 198.51.100.21
	equal "the id in lines" '0|3|{"id":5}' "$STATUS|$(wc -l <"$TMP/out")|$(jq -c . "$TMP/out")"
}
