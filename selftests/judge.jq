# SPDX-License-Identifier: GPL-2.0
# Judges the findings of a client ($c) and a server ($s) of traffic.py around a move; see judge in lib/traffic.sh.

def port: capture("^[a-z]+:(?<port>[0-9]+)").port;
def kind: capture("^(?<kind>[a-z]+)").kind;
def ms: . * 1000 | floor;

# What the server says about a flow of the client: the streams carry the client's port in their name.
def twin($flow):
  if $flow.sport then [$s[0].flows[] | select(.name | endswith(":\($flow.sport)"))][0]
  else [$s[0].flows[] | select(.name | startswith("\($flow.name | kind):"))][0] end;

def common($who):
  (if .errors != {} then "\($who) error: \(.errors | to_entries | map("\(.key) x\(.value)") | join(", "))" else empty end),
  (if .corrupt != 0 then "\($who): \(.corrupt) corrupt octets" else empty end),
  (if .cut then "\($who): does not close" else empty end),
  (if .last == null then "\($who): nothing received"
   elif .last < $up then "\($who): nothing received after the move"
   else empty end);

# Silence across the moment when the new address was usable.
def recovery($who):
  [.silences[] | select(.[0] < $up + $limit / 1000 and .[1] > $up)] as $gaps
  | if ($gaps | length) > 0 then
      (($gaps | map(.[1]) | max) - $up | ms) as $ms
      | if $ms > $limit then "\($who): silent for \($ms) ms after the new address was usable, limit \($limit)" else empty end
    else empty end;

def loss:
  if $mode == "soft" and .lost > $allow then "lost \(.lost) of \(.sent) (soft)"
  elif $mode == "soft" then empty
  else
    .lost_runs[]
    | select(.from < $down - $limit / 1000 or .to > $up + $limit / 1000)
    | "lost \(.count) outside of the hole, \((.from - $down) | ms) to \((.to - $up) | ms) ms"
  end;

$c[0].flows[]
| . as $flow
| [ (if .name | test("^sctp") then del(.cut) elif .one_way then {errors, corrupt, last: infinite, silences: []} else . end | common("client"), recovery("client")),
    ( if .name | test("^sctp") then
        twin($flow) as $t
        | ($t | del(.cut) | common("server")), ($t | recovery("server")),
          (if .sent != $t.received then "sent \(.sent), server got \($t.received)" else empty end)
      elif .name | test("^tcp") then
        twin($flow) as $t
        | if $t == null then "the server knows nothing of it"
          else
            (if .sent > 0 then ($t | common("server")), ($t | recovery("server")) else empty end),
            (if .closed != true then "not closed" else empty end),
            (if .sent != $t.received then "sent \(.sent), server got \($t.received)" else empty end),
            (if .one_way != true and .received != $t.sent then "server sent \($t.sent), got \(.received)" else empty end),
            (if .peer != $address then "peer is \(.peer)" else empty end)
          end
      elif .name | test("^udp") then
        twin($flow) as $t
        | loss,
          (if .duplicates > 0 then "\(.duplicates) duplicates" else empty end),
          (if (.sources | keys | map(split(" ")[0]) | unique) != [$address] or (.sources | length) != 1
           then "answers came from \(.sources | keys | join(", "))" else empty end),
          (if $t == null then "the server knows nothing of it"
           else
             ($t | common("server")), ($t | recovery("server")),
             (if ($t.peers | keys | map(select(startswith("\($also) ") | not)) | length) != 1 then "the server saw \($t.peers | keys | join(", "))" else empty end)
           end)
      else
        loss,
        # A router may say during the hole that it does not reach the old address.
        (.unreachable[] | select($mode == "soft" or .[0] < $down or .[0] > $up + $limit / 1000) | "told: \(.[1])"),
        (if .duplicates > 0 then "\(.duplicates) duplicates" else empty end),
        (if (.sources | keys) != [$address] then "answers came from \(.sources | keys | join(", "))" else empty end)
      end )
  ] as $problems
| "\(.name): \(if ($problems | length) > 0 then $problems | join("; ") else "ok" end)"
