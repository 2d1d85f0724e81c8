# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The cases of ihmp_ctl.sh about the other tables: paths, flows, policies, parameters and counters.

paths() {
	stage && one_host && prints 2 host add remote 198.51.100.20 local 192.0.2.1 unvalidated || return
	json '.[0]' '{"host-id":1,"local":"192.0.2.1","remote":"198.51.100.7","preference":0,"active":true,"unvalidated":false}' path show host 1
	c path show host 1
	equal "path show host 1" 'host 1 local 192.0.2.1 remote 198.51.100.7 preference 0 active
host 1 local 192.0.2.1 remote 203.0.113.7 preference 10
host 1 local 2001:db8:1::1 remote 2001:db8::7 preference 3 active unvalidated' "$OUT"
	prints 'host 2 local 192.0.2.1 remote 198.51.100.20 preference 0 active unvalidated' path show host 2
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
	# "flow get" and "flow del" take the first five words of a line, which are also the values in the JSON.
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
	# Both ends of every range are accepted. If one value is out of range, nothing is changed.
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
	# Every reason of the spec is listed, in the same order, and the text agrees with the JSON.
	equal "reasons" "$(python3 -c 'import sys, yaml
print(*[e["name"] for d in yaml.safe_load(sys.stdin)["definitions"] if d["name"] == "reason" for e in d["entries"]])' \
		<"$SELFTESTS/../uapi/ihmp.yaml")" "$(ctl m -j stats | jq -r '.counter[].reason' | xargs)"
	equal "text and JSON" "$(ctl m -j stats | jq -r '(del(.counter) | to_entries[] | "\(.key) \(.value)"), (.counter[] | "\(.effect) \(.reason) \(.packets)")')" \
		"$(ctl m stats show)"
	done_ok stats flush
	json '[.hosts, (.counter | map(.packets) | add)]' '[2,0]' stats
	usage 'was not expected' stats show all && usage '"set" is not a verb' stats set && usage 'was not expected' stats flush now
}
