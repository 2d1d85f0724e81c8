#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# ihmpctl against Documentation/ihmpctl.rst: every object and verb, as text and as JSON, and every way to be refused.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/topo.sh"

# c WORD...: ihmpctl at m; what it says is in OUT and ERR, its status in STATUS.
c() {
	ctl m "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out") ERR=$(cat "$TMP/err")
}

# done_ok WORD...: it succeeds and prints nothing.
done_ok() {
	c "$@"
	equal "$*: status, output, error" "0||" "$STATUS|$OUT|$ERR"
}

# prints TEXT WORD...: it succeeds and prints just that.
prints() {
	c "${@:2}"
	equal "${*:2}" "$1" "$OUT" && equal "${*:2}: status and error" "0|" "$STATUS|$ERR"
}

# json FILTER VALUE WORD...: it prints JSON of which the filter makes the value; -p prints the same on several lines.
json() {
	local filter=$1 value=$2 lines
	shift 2

	c -j "$@"
	equal "-j $*: status, lines, error" "0|1|" "$STATUS|$(wc -l <"$TMP/out")|$ERR" || return
	equal "-j $*: $filter" "$value" "$(jq -c "$filter" <<<"$OUT" 2>&1)" || return
	c -p "$@"
	equal "-p $*: $filter" "0|$value" "$STATUS|$(jq -c "$filter" <<<"$OUT" 2>&1)"
	lines=$(wc -l <"$TMP/out")
	[ "$OUT" = '[]' ] || at_least "-p $*: lines" 2 "$lines"
}

# usage TEXT WORD...: a wrong command line: status 1, one line that says so, and the kernel is not asked: not even in a
# namespace that is not there.
usage() {
	local text=$1
	shift

	c "$@"
	equal "$*: status and output" "1|" "$STATUS|$OUT" || return
	equal "$*: lines" 1 "$(wc -l <"$TMP/err")"
	[[ $ERR == "Error: "*"$text"*. ]] || fail "$*: said $ERR, not $text"
	ihmpctl -n no-such-namespace "$@" >/dev/null 2>&1
	equal "$*: status elsewhere" 1 $?
}

# refused TEXT WORD...: the kernel refuses in these words (a pattern of bash): status 2, one line.
refused() {
	c "${@:2}"
	equal "${*:2}: status and output" "2|" "$STATUS|$OUT" || return
	# shellcheck disable=SC2053 # a pattern
	[[ $ERR == "Error: ihmp: "$1. ]] || fail "${*:2}: said '$ERR', not '$1'"
}

# tables: all that can be changed, as it is; times go on.
tables() {
	local object

	for object in host path flow nat policy param; do
		ctl m -j "$object" show | jq -c 'walk(if type == "object" then del(.idle, ."expires-in") else . end)'
	done
}

stage() {
	topo_pair && TABLES=''
}

one_host() {
	prints 1 host add name lab remote 198.51.100.7 remote 203.0.113.7 preference 10 local 192.0.2.1 unreachable 203.0.113.9 \
		alias 198.51.100.6 remote 2001:db8::7 local 2001:db8:1::1 preference 3 unproven
}

host_show() {
	stage && prints '' host show && json . '[]' host show && one_host || return
	prints 2 host add name 'office 2' state classic scheduler backup expires 600 remote 2001:db8::8 || return
	prints 3 host new state new remote 192.0.2.77 || return
	json 'map(.id)' '[1,2,3]' host show
	json '.[0] | del(.idle)' "$(jq -cn '{id: 1, mode: "stack-trans", state: "up", name: "lab", addr: [
		{address: "198.51.100.7", set: "active", preference: 0, unproven: false, nat: false, left: false, unvalidated: false},
		{address: "203.0.113.7", set: "active", preference: 10, unproven: false, nat: false, left: false, unvalidated: false},
		{address: "2001:db8::7", set: "active", preference: 0, unproven: false, nat: false, left: false, unvalidated: false},
		{address: "203.0.113.9", set: "unreachable", preference: 0, unproven: false, nat: false, left: false, unvalidated: false},
		{address: "192.0.2.1", set: "local", preference: 0, unproven: false, nat: false, left: false, unvalidated: false},
		{address: "2001:db8:1::1", set: "local", preference: 3, unproven: true, nat: false, left: false, unvalidated: false},
		{address: "198.51.100.6", set: "alias", preference: 0, unproven: false, nat: false, left: false, unvalidated: false}],
		local: "192.0.2.1", remote: "198.51.100.7", flows: 0, "tx-packets": 0, "rx-packets": 0, credit: 0}')" host show 1
	json '.[0] | [.state, .scheduler, .name, .local, ."expires-in" > 590000, ."expires-in" <= 600000, (.idle | type)]' \
		'["classic","backup","office 2",null,true,true,"number"]' host show 2
	# The same as text, line by line.
	c host show 1
	equal "host show 1" 'host 1 name lab state up mode stack-trans
    remote 198.51.100.7
    remote 203.0.113.7 preference 10
    remote 2001:db8::7
    unreachable 203.0.113.9
    local 192.0.2.1
    local 2001:db8:1::1 preference 3 unproven
    alias 198.51.100.6
    path 192.0.2.1 198.51.100.7' "$(sed '$d' "$TMP/out")"
	check "the last line" has_line "$TMP/out" '^    flows 0 tx 0 rx 0 idle [0-9.]+s credit 0$'
	c host show 2
	check "names with a blank, times" has_line "$TMP/out" '^host 2 name office 2 state classic mode stack-trans scheduler backup expires [0-9.]+s$'
	check "no path" has_line "$TMP/out" '^    path none$'
	# By id, by address of every set that says who somebody is, by name.
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
	# A set that is named is replaced, the others stay; what is left out becomes an alias.
	done_ok host set 1 remote 203.0.113.7
	json '.[0].addr | map(select(.set == "active" or .set == "alias").address) | sort' \
		'["198.51.100.6","198.51.100.7","2001:db8::7","203.0.113.7"]' host show 1
	json '.[0].addr | map(select(.set == "active").address)' '["203.0.113.7"]' host show 1
	json '.[0].addr | map(select(.set == "local").address)' '["192.0.2.1","2001:db8:1::1"]' host show 1
	json '.[0].addr | map(select(.set == "unreachable").address)' '["203.0.113.9"]' host show 1
	done_ok host set 1 active 198.51.100.7 clear unreachable clear alias local 192.0.2.1 unproven preference 65535
	json '.[0].addr | map([.set, .address, .preference, .unproven])' \
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

# The host is what it was whenever anything of the request is refused, however late.
host_set_whole() {
	local many=() n

	stage && one_host && prints 2 host add remote 198.51.100.20 local 192.0.2.1 && done_ok policy add 192.0.2.128/25 never || return
	for ((n = 1; n <= 17; n++)); do
		many+=(local "10.0.0.$n")
	done
	TABLES=$(tables)
	refused '198.51.100.20 belongs to host 2 (addr)' host set 1 name x state classic clear local remote 198.51.100.20
	refused '224.0.0.1 is not an address to be translated (addr)' host set 1 name x remote 198.51.100.9 remote 224.0.0.1
	refused 'only a local address can be unproven (addr.unproven)' host set 1 name x remote 198.51.100.9 unproven
	refused 'only a foreign address can be unvalidated (addr.unvalidated)' host set 1 name x local 192.0.2.9 unvalidated
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
	# A wrong command line changes nothing either.
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

paths() {
	stage && one_host && prints 2 host add remote 198.51.100.20 local 192.0.2.1 unproven || return
	json '.[0]' '{"host-id":1,"local":"192.0.2.1","remote":"198.51.100.7","preference":0,"active":true,"unproven":false}' path show host 1
	c path show host 1
	equal "path show host 1" 'host 1 local 192.0.2.1 remote 198.51.100.7 preference 0 active
host 1 local 192.0.2.1 remote 203.0.113.7 preference 10
host 1 local 2001:db8:1::1 remote 2001:db8::7 preference 3 active unproven' "$OUT"
	prints 'host 2 local 192.0.2.1 remote 198.51.100.20 preference 0 active unproven' path show host 2
	json 'map(."host-id")' '[1,1,1,2]' path
	json . '[]' path show host 99
	done_ok path add host 2 remote 198.51.100.21 preference 7 local 192.0.2.2
	json 'map([.local, .remote, .preference])' '[["192.0.2.2","198.51.100.20",0],["192.0.2.1","198.51.100.20",0],["192.0.2.2","198.51.100.21",7],["192.0.2.1","198.51.100.21",7]]' \
		path show host 2
	done_ok path set host 2 remote 198.51.100.21 preference 5 local 192.0.2.1 preference 9
	json 'map([.local, .remote, .preference])' '[["192.0.2.2","198.51.100.20",0],["192.0.2.2","198.51.100.21",5],["192.0.2.1","198.51.100.20",9],["192.0.2.1","198.51.100.21",14]]' \
		path show host 2
	json 'map(select(.active) | [.local, .remote])' '[["192.0.2.2","198.51.100.20"]]' path show host 2
	done_ok path del host 2 remote 198.51.100.20 local 192.0.2.1
	prints 'host 2 local 192.0.2.2 remote 198.51.100.21 preference 5 active' path show host 2
	json '.[0].addr | map(select(.set == "alias").address)' '["198.51.100.20"]' host show 2
	refused 'there is no host 9 (id)' path add host 9 local 192.0.2.2
	refused 'there is no host 9 (id)' path del host 9 local 192.0.2.2
	refused 'the host does not have 192.0.2.99 in this set (addr)' path del host 2 local 192.0.2.99
	usage 'a set of addresses is missing' path add host 2
	usage 'the id of a host is missing' path add host
	usage 'the word host is missing' path del
	usage '"7" is not the word host' path show 7
	usage '"name" is not a set' path add host 2 name x
	usage '"flush" is not a verb' path flush
}

flows() {
	local key

	stage && introduce m 192.0.2.1 c 192.0.2.101 || return
	prints '' flow && json . '[]' flow show || return
	serve c 4 tcp:5000 udpc:5001 && traffic m 4 192.0.2.101 tcp:5000,burst=1 udpc:5001,burst=1,size=100 || return
	must "flows" slowwait 5 figure_at_least m flows 2 || return
	json 'map(.proto) | sort' '[6,17]' flow
	json 'map(.proto) | sort' '[6,17]' -4 flow show host 1
	json . '[]' -6 flow && json . '[]' flow show host 2
	json 'map(select(.proto == 6)) | .[0] | [."host-id", .local, .remote, ."remote-port", (."local-port" | type), (.idle | type), has("wire-port")]' \
		'[1,"192.0.2.1","192.0.2.101",5000,"number","number",false]' flow
	json '.[0].flows' 2 host show 1
	# The first five words of a line are what get and del understand, and are the values of JSON.
	key=$(ctl m flow | sed -n 's/^\(tcp [^ ]* [^ ]* [^ ]* [^ ]*\) host 1 idle [0-9.]*s$/\1/p')
	equal "the flow's words" "tcp 192.0.2.1 $(ctl m -j flow | jq '.[] | select(.proto == 6) | ."local-port"') 192.0.2.101 5000" "$key"
	# shellcheck disable=SC2086 # its words
	{
		json 'map(.proto)' '[6]' flow get $key
		json 'map(.proto)' '[6]' flow get 6 ${key#tcp }
		done_ok flow del $key
		refused 'there is no such flow' flow get $key
		refused 'there is no such flow' flow del $key
		json 'map(.proto)' '[17]' flow
		must "its next packet makes it again" burst m 300 && json 'map(.proto)' '[6]' flow get $key
	}
	refused 'both addresses of a flow have one family (remote)' flow get tcp 192.0.2.1 1 2001:db8::1 2
	usage '"quic" is not a protocol' flow get quic 192.0.2.1 1 192.0.2.2 2
	usage 'is not a protocol' flow get 256 192.0.2.1 1 192.0.2.2 2
	usage 'is not a protocol' flow get tc 192.0.2.1 1 192.0.2.2 2
	usage 'is not a local port' flow get tcp 192.0.2.1 65536 192.0.2.2 2
	usage 'a foreign port is missing' flow del tcp 192.0.2.1 1 192.0.2.2
	usage '"3" was not expected' flow del tcp 192.0.2.1 1 192.0.2.2 2 3
	refused 'there is no host 2 (host-id)' flow flush host 2 && json length 2 flow
	refused 'there is no host 9 (host-id)' flow flush host 9
	done_ok flow flush host 1 && json length 0 flow && done_ok flow flush
}

policy() {
	stage && prints '' policy show && json . '[]' policy || return
	done_ok policy add 10.0.0.0/8 never && done_ok policy new 2001:db8::/32 known && done_ok policy add 192.0.2.9 never || return
	json 'sort_by(.address)' '[{"address":"10.0.0.0","prefix-len":8,"action":"never"},{"address":"192.0.2.9","prefix-len":32,"action":"never"},{"address":"2001:db8::","prefix-len":32,"action":"known"}]' policy
	c policy show
	equal "policy show" '10.0.0.0/8 never
192.0.2.9/32 never
2001:db8::/32 known' "$(sort "$TMP/out")"
	refused 'the policy forbids hosts at 10.1.2.3 (addr)' host add remote 10.1.2.3
	done_ok policy set 10.0.0.0/8 auto && json 'map(select(.address == "10.0.0.0").action)' '["auto"]' policy
	prints 1 host add remote 10.1.2.3
	done_ok policy add ::/0 known && done_ok policy add 0.0.0.0/0 known && json length 5 policy
	done_ok policy del ::/0 && done_ok policy delete 192.0.2.9/32 && json length 3 policy
	refused 'there is no policy for 192.0.2.9/32 (address)' policy del 192.0.2.9
	refused 'there is no policy for 10.0.0.0/9 (address)' policy del 10.0.0.0/9
	refused 'bits after the prefix are not zero (address)' policy add 10.0.0.1/8 never
	usage 'is not a prefix' policy add 10.0.0.0/33 never
	usage 'is not a prefix' policy add lan never
	usage 'an action is missing' policy add 10.0.0.0/8
	usage '"maybe" is not an action' policy add 10.0.0.0/8 maybe
	usage 'a prefix is missing' policy del
	usage 'was not expected' policy del 10.0.0.0/8 never
	usage 'was not expected' policy show 10.0.0.0/8
	json length 3 policy
	done_ok policy flush && json . '[]' policy
}

param() {
	stage && json 'del(.version)' \
		'{"discovery":0,"port":61453,"max-hosts":65536,"max-flows":1048576,"max-nats":65536,"udp-timeout":180,"hold-time":250,"path-timeout":0,"scheduler":"backup","enabled":1}' param || return
	json '.version | test("^[0-9]+\\.[0-9]+\\.[0-9]+$")' true param show
	c param show
	equal "param show" 'discovery off
port 61453
max-hosts 65536
max-flows 1048576
max-nats 65536
udp-timeout 180
hold-time 250
path-timeout 0
scheduler backup
enabled on' "$(sed '$d' "$TMP/out")"
	equal "version" "version $(ctl m -j param | jq -r .version)" "$(tail -n 1 "$TMP/out")"
	done_ok param set discovery on port 7 max-hosts 10 max-flows 20 udp-timeout 30 hold-time 0 path-timeout 0 scheduler backup max-nats 40 || return
	json '[.discovery, .port, ."max-hosts", ."max-flows", ."udp-timeout", ."hold-time", ."path-timeout", ."max-nats"]' '[1,7,10,20,30,0,0,40]' param
	done_ok param set discovery 0 && json .discovery 0 param && done_ok param set disc 1 && json .discovery 1 param && done_ok param set discovery off
	# The ends of every range; one value too many and nothing is changed.
	done_ok param set port 65535 max-hosts 1048576 max-flows 4194304 udp-timeout 86400 hold-time 1000 path-timeout 86400 max-nats 1048576 && done_ok param set port 1 max-hosts 1 max-flows 1 udp-timeout 1 max-nats 1
	TABLES=$(tables)
	refused 'integer out of range (port)' param set max-hosts 77 port 0
	refused 'integer out of range (max-hosts)' param set port 77 max-hosts 0
	refused 'integer out of range (max-hosts)' param set port 77 max-hosts 1048577
	refused 'integer out of range (max-flows)' param set port 77 max-flows 0
	refused 'integer out of range (max-flows)' param set discovery on max-flows 4194305
	refused 'integer out of range (max-nats)' param set port 77 max-nats 0
	refused 'integer out of range (max-nats)' param set port 77 max-nats 1048577
	refused 'integer out of range (udp-timeout)' param set port 77 udp-timeout 0
	refused 'integer out of range (udp-timeout)' param set port 77 udp-timeout 86401
	refused 'integer out of range (hold-time)' param set port 77 hold-time 1001
	refused 'integer out of range (path-timeout)' param set port 77 path-timeout 86401
	usage 'a setting is missing' param set
	usage 'is not a port' param set max-hosts 77 port 65536
	usage "unexpected argument '-1'" param set port -1
	usage 'is not a port' param set port -- -1
	usage 'a port is missing' param set max-hosts 77 port
	usage 'is not a switch' param set discovery maybe
	usage '"version" is not a setting' param set version 2
	usage 'is ambiguous' param set max- 7
	usage '"fast" is not a scheduler' param set scheduler fast
	usage '"flush" is not a verb' param flush
	equal "the tables" "$TABLES" "$(tables)"
}

stats() {
	stage && one_host && prints 2 host add remote 198.51.100.20 local 192.0.2.1 || return
	done_ok param set max-hosts 2 && refused 'there are 2 hosts, as many as max-hosts allows' host add remote 198.51.100.21 || return
	json '[.hosts, .flows, .hooks > 0]' '[2,0,true]' stats
	json 'del(.counter) | keys_unsorted' '["hosts","flows","nats","hooks","out-translated","out-unchanged","in-translated","in-unchanged","icmp-out","icmp-in","port-mapped","tcp-woken","discovered","flows-made","flows-expired","unreachable"]' stats show
	json '.counter | map(keys_unsorted) | unique' '[["reason","effect","packets"]]' stats
	json '.counter | map(.effect) | unique' '["delay","drop","pass"]' stats
	json '.counter | map(select(.packets > 0))' '[{"reason":"host-limit","effect":"pass","packets":1}]' stats
	# Every reason of the spec is there, in its order, and the text says the same.
	equal "reasons" "$(python3 -c 'import sys, yaml
print(*[e["name"] for d in yaml.safe_load(sys.stdin)["definitions"] if d["name"] == "reason" for e in d["entries"]])' \
		<"$SELFTESTS/../uapi/ihmp.yaml")" "$(ctl m -j stats | jq -r '.counter[].reason' | xargs)"
	equal "text and JSON" "$(ctl m -j stats | jq -r '(del(.counter) | to_entries[] | "\(.key) \(.value)"), (.counter[] | "\(.effect) \(.reason) \(.packets)")')" \
		"$(ctl m stats show)"
	done_ok stats flush
	json '[.hosts, (.counter | map(.packets) | add)]' '[2,0]' stats
	usage 'was not expected' stats show all && usage '"set" is not a verb' stats set && usage 'was not expected' stats flush now
}

# happened FILE PATTERN: the monitor has printed such a line.
happened() {
	must "event $2" slowwait 10 has_line "$1" "$2"
}

monitor() {
	local text=$TMP/text json=$TMP/json stamped=$TMP/stamped

	stage && introduce m 192.0.2.1 c 192.0.2.101 || return
	start m ihmpctl monitor >"$text" 2>&1
	start m ihmpctl -j monitor >"$json" 2>&1
	start m ihmpctl -t -j monitor >"$stamped" 2>&1
	start m ihmpctl -t monitor >"$stamped.text" 2>&1
	# Each says something only when it has subscribed: so long there is something new.
	must "they listen" slowwait 20 listening "$text" "$json" "$stamped" "$stamped.text" || return
	prints 2 host add name lab remote 198.51.100.7 local 192.0.2.1 || return
	happened "$text" '^host 2 name lab state up mode stack-trans remote 198.51.100.7 local 192.0.2.1 path 192.0.2.1 198.51.100.7 flows 0 tx 0 rx 0'
	happened "$json" '"event":"host-ntf","id":2,.*"name":"lab"'
	done_ok host set 2 local 192.0.2.2
	happened "$text" '^path host 2 local 192.0.2.2 remote 198.51.100.7 cause configured$'
	happened "$text" '^host 2 name lab .* local 192.0.2.2 path 192.0.2.2 198.51.100.7 '
	happened "$json" '^\{"event":"path-ntf","host-id":2,"local":"192.0.2.2","remote":"198.51.100.7","cause":"configured"\}$'
	done_ok host set 2 clear local
	happened "$text" '^path host 2 none cause lost$' && happened "$json" '^\{"event":"path-ntf","host-id":2,"cause":"lost"\}$'
	done_ok path add host 2 local 192.0.2.3
	happened "$text" '^path host 2 local 192.0.2.3 remote 198.51.100.7 cause restored$'
	done_ok path add host 2 local 192.0.2.4 preference 4
	happened "$text" '^host 2 name lab .* local 192.0.2.4 preference 4 '
	done_ok path del host 2 local 192.0.2.4
	done_ok param set max-hosts 1 && refused 'there are 1 hosts*' host add remote 198.51.100.77
	happened "$text" '^limit host-limit packets [0-9]+$' && happened "$json" '^\{"event":"limit-ntf","reason":"host-limit","packets":[0-9]+\}$'
	done_ok param set max-hosts 10 discovery on
	in_ns m python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("192.0.2.222", 9))
s.send(b"x")'
	happened "$text" '^discover host [0-9]+ proto udp local 192.0.2.1 remote 192.0.2.222$'
	happened "$json" '^\{"event":"discover-ntf","host-id":[0-9]+,"proto":17,"local":"192.0.2.1","remote":"192.0.2.222"\}$'
	done_ok host del 2
	happened "$text" '^deleted host 2$' && happened "$json" '^\{"event":"host-del-ntf","id":2\}$'
	happened "$stamped" '"event":"host-del-ntf","id":2' && happened "$stamped.text" 'deleted host 2$'
	jq -se 'length > 5 and all(.[]; .timestamp | test("^20[0-9-]*T[0-9:]*\\.[0-9]{6}Z$"))' "$stamped" >/dev/null || fail "time stamps: $(head -n 1 "$stamped")"
	grep -vqE '^\[20[0-9-]*T[0-9:]*\.[0-9]{6}Z\] ' "$stamped.text" && fail "time stamps as text: $(head -n 1 "$stamped.text")"
	usage 'was not expected' monitor all
	usage 'was not expected' monitor show
}

# listening FILE...: changes something; do all of them have lines?
listening() {
	local file

	ctl m host set "${HID[m]}" name "try" || return
	for file in "$@"; do
		[ -s "$file" ] || return
	done
}

version() {
	stage && prints "ihmpctl $(ihmpctl -V | sed 's/ihmpctl //'), module $(ctl m -j param | jq -r .version)" version || return
	json '[(.ihmpctl | type), (.module | type)]' '["string","string"]' version
	for word in -V --version; do
		c "$word"
		[[ $STATUS$OUT =~ ^0ihmpctl\ [0-9.]+$ ]] || fail "$word: $STATUS $OUT"
	done
	usage 'was not expected' version 2
}

# Words may be short, options anywhere, and help is there for all.
words() {
	local object file

	stage && one_host || return
	for object in 'h sh' 'ho l' 'host list' host 'host show'; do
		# shellcheck disable=SC2086 # words
		json 'map(.id)' '[1]' $object
	done
	equal "options between words" 1 "$(ihmpctl host -j show --netns "${NS[m]}" 1 | jq '.[0].id')"
	equal "-n with a path" 1 "$(ihmpctl -n "/run/netns/${NS[m]}" -j host | jq '.[0].id')"
	equal "-n: another namespace" '[]' "$(ctl c -j host)"
	equal "without -n" 1 "$(in_ns m ihmpctl host --json | jq '.[0].id')"
	usage '"p" is ambiguous' p
	usage '"s" is ambiguous as a verb' host s
	usage '"bogus" is not an object' bogus
	usage '"bogus" is not a verb' host bogus
	usage "unexpected argument '-z'" -z host
	usage "unexpected argument '--bogus'" host --bogus
	for object in host path flow policy param stats monitor version; do
		c "$object" help
		equal "$object help" "0|" "$STATUS|$ERR"
		[[ $OUT == "Usage: ihmpctl $object"* ]] || fail "$object help: $OUT"
		equal "help $object" "$OUT" "$(ihmpctl help "$object")"
	done
	for object in -h --help help; do
		c "$object"
		[[ $STATUS$OUT == "0Usage: ihmpctl "*-t,\ --timestamp* ]] || fail "$object: $STATUS $OUT"
	done
	ihmpctl -n no-such-namespace host >"$TMP/out" 2>"$TMP/err"
	equal "no such namespace: status" 2 $?
	equal "no such namespace" 'Error: cannot open network namespace "no-such-namespace": No such file or directory (os error 2).' "$(cat "$TMP/err")"
	ihmpctl -n /dev/null host >"$TMP/out" 2>"$TMP/err"
	equal "no namespace at all: status" 2 $?
	check "no namespace at all" has_line "$TMP/err" '^Error: cannot enter network namespace "/dev/null": '
	ctl m host >/dev/full 2>"$TMP/err"
	equal "output that cannot be written: status" 2 $?
	check "output that cannot be written" has_line "$TMP/err" '^Error: cannot write: '
	ihmpctl host -n >"$TMP/out" 2>"$TMP/err"
	equal "-n without a name" "1|" "$?|$(cat "$TMP/out")"
	check "why" has_line "$TMP/err" '^Error: a value is required'
}

# The examples of the page: what follows a command there is what it prints here.
examples() {
	local line command='' want='' count=0

	stage || return
	while IFS= read -r line; do
		case $line in
		'  # '*)
			example || return
			command=${line#  # } want='' count=$((count + 1))
			;;
		'  '*) want+=${line#  }$'\n' ;;
		esac
	done < <(sed -n '/^EXAMPLES$/,/^SEE ALSO$/p' "$SELFTESTS/../Documentation/ihmpctl.rst")
	example && at_least "examples" 5 "$count"
}

example() {
	[ -z "$command" ] || equal "$command" "${want%$'\n'}" "$(in_ns m sh -c "$command" 2>&1 | sed 's/ idle [0-9.]*s/ idle 0s/')"
}

nobody() {
	in_ns m setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all ihmpctl "$@" >"$TMP/out" 2>"$TMP/err"
	STATUS=$?
	OUT=$(cat "$TMP/out") ERR=$(cat "$TMP/err")
}

# Reading needs nothing, changing needs CAP_NET_ADMIN of the namespace.
unprivileged() {
	local line

	stage && introduce m 192.0.2.1 c 192.0.2.101 && done_ok policy add 10.0.0.0/8 never || return
	TABLES=$(tables)
	while read -r line; do
		# shellcheck disable=SC2086 # words
		nobody $line
		equal "$line by nobody" '2||Error: ihmp: not permitted: this takes CAP_NET_ADMIN in the network namespace; try it as root.' "$STATUS|$OUT|$ERR"
	done <<-END
		host add remote 198.51.100.7
		host set 1 name x
		host del 1
		host flush
		path add host 1 local 192.0.2.2
		path set host 1 local 192.0.2.1 preference 3
		path del host 1 local 192.0.2.1
		flow del tcp 192.0.2.1 1 192.0.2.101 2
		flow flush
		flow flush host 1
		policy add 10.0.0.0/8 auto
		policy set 10.0.0.0/8 auto
		policy del 10.0.0.0/8
		policy flush
		param set max-hosts 5
		stats flush
	END
	equal "the tables" "$TABLES" "$(tables)"
	while read -r line; do
		# shellcheck disable=SC2086 # words
		nobody -j $line
		equal "$line by nobody" '0|' "$STATUS|$ERR"
		# shellcheck disable=SC2086
		equal "$line, to nobody and to root" "$(ctl m -j $line | jq -c "$TIMELESS")" "$(jq -c "$TIMELESS" <<<"$OUT")"
	done <<-END
		host show
		host show 1
		path show
		flow show
		policy show
		param show
		stats show
		version
	END
	# So do events.
	in_ns m setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all ihmpctl monitor >"$TMP/events" 2>&1 &
	defer stop_process $! KILL
	must "events to nobody" slowwait 10 listening "$TMP/events"
	nobody -n "/run/netns/${NS[m]}" host
	equal "another namespace by nobody" 2 "$STATUS"
	check "why" [ "${ERR%%:*}" = 'Error' ]
}

# The module goes under a monitor; afterwards everything says why it cannot be done.
no_module() {
	local monitor word

	setup_ns m && prints 1 host add remote 198.51.100.7 local 192.0.2.1 || return
	HID[m]=1
	start m ihmpctl monitor >"$TMP/events" 2>"$TMP/events.err"
	monitor=$BG
	must "it listens" slowwait 10 listening "$TMP/events" || return
	must "the module is unloaded" module_unload || return
	defer module_load
	must "the monitor ends" slowwait 10 gone "$monitor" || return
	wait "$monitor"
	equal "its status" 2 $?
	check "its last words" has_line "$TMP/events.err" '^Error: .*\.$'
	for word in host path flow policy param stats monitor off 'host flush'; do
		# shellcheck disable=SC2086 # words
		refused 'the kernel module is not loaded; load it by "modprobe ihmp". If there is none for this kernel, as after an upgrade, build it ("make module"); with Secure Boot it has to be signed with a key that this machine trusts' $word
	done
	prints "$(ihmpctl -V), module not loaded" version
	json .module null version
	usage '"bogus" is not an object' bogus
}
TIMELESS='walk(if type == "object" then del(.idle) else . end)'

run_case "host show: by id, address and name, as text and JSON" host_show
run_case "-4 and -6" families
run_case "host set" host_set
run_case "host set, host add, path: all of it or nothing" host_set_whole
run_case "host del and flush" host_del
run_case "path" paths
run_case "flow" flows
run_case "policy" policy
run_case "param" param
run_case "stats" stats
run_case "monitor: host, path, limit and discovery events, with and without time stamps" monitor
run_case "version" version
run_case "words, options, help, namespaces, output" words
run_case "the examples of ihmpctl.rst" examples
run_case "without privileges: show works, nothing else does" unprivileged
run_case "without the module" no_module
suite_end
