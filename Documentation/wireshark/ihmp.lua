-- SPDX-License-Identifier: GPL-2.0
-- IHMP for Wireshark 4.0 and later: Documentation/ihmp-wire.rst has the format, and how to install this file.
--
-- What is wrong with a message is an expert item with the name of the reason for which the agent refuses it. What takes
-- more than the message to know is not said: a signature is shown, not verified.

local ihmp = Proto("ihmp", "Internet Host Mobility Protocol")

ihmp.prefs.port = Pref.uint("UDP port", 61453, "The same at both ends; the setting port of module and agent")

-- Seconds after which a number may be in use again.
local FORGET = 120
local HEADER, BLOCK_HEAD, ADDRESS, MOST = 4, 4, 16, 16
local LENGTHS = { [1] = 104, [2] = 200 }

local CODES = {
	[0] = "HELLO", "PATH_PROBE", "ADDR_UP", "ADDR_UP_UNREACHABLE", "ADDR_DOWN", "ADDR_DOWN_UNREACHABLE", "HANDOFF",
	"HANDOFF_UNREACHABLE", "ACK", "ROUTER_ACK", "NAT_ENTRY",
}
local ALGORITHMS = { [1] = "Ed25519", [2] = "Ed25519, in place of a former key" }

-- What the addresses mean, by the code; all that follow are "other".
local ROLES = {
	[0] = { "source" }, [2] = { "source", "new" }, [3] = { "source", "new" }, [4] = { "source", "old" },
	[5] = { "source", "old" }, [6] = { "source", "new", "old" }, [7] = { "source", "new", "old" }, [8] = { "source" },
	[9] = { "source", "new", "old", "peer", "terms" }, [10] = { "source", "inside", "key", "key", "mapping" },
}
local LABELS = { source = "Source", new = "New address", old = "Old address", peer = "Peer", inside = "Host behind the NAT",
	other = "Other address" }
-- ADDR_UP and HANDOFF come from the address that they announce.
local FROM_NEW = { [2] = true, [6] = true }
local ACK, ROUTER_ACK, NAT_ENTRY = 8, 9, 10
-- What a router says of a move; without a lifetime it declines it.
local OUTCOMES = { [0] = "granted, or declined", [1] = "rejected" }

local f = {
	code = ProtoField.uint8("ihmp.code", "Control", base.DEC, CODES),
	options = ProtoField.uint8("ihmp.options", "Options", base.HEX),
	ns = ProtoField.bool("ihmp.options.ns", "NAT supported", 8, nil, 0x80),
	nd = ProtoField.bool("ihmp.options.nd", "NAT detected", 8, nil, 0x40),
	nf = ProtoField.bool("ihmp.options.nf", "NAT forced", 8, nil, 0x20),
	is = ProtoField.bool("ihmp.options.is", "Incorrect seqno", 8, nil, 0x10),
	ou = ProtoField.bool("ihmp.options.ou", "Old address unreachable", 8, nil, 0x08),
	sg = ProtoField.bool("ihmp.options.sg", "Signed", 8, nil, 0x04),
	reserved = ProtoField.uint8("ihmp.options.reserved", "Reserved", base.HEX, nil, 0x03),
	seqno = ProtoField.uint16("ihmp.seqno", "Seqno"),
	signature = ProtoField.none("ihmp.signature", "Signature block"),
	algorithm = ProtoField.uint8("ihmp.signature.algorithm", "Algorithm", base.DEC, ALGORITHMS),
	zero = ProtoField.uint8("ihmp.signature.zero", "Zero"),
	length = ProtoField.uint16("ihmp.signature.length", "Length"),
	timestamp = ProtoField.uint64("ihmp.signature.timestamp", "Timestamp"),
	time = ProtoField.absolute_time("ihmp.signature.time", "The sender's clock", base.UTC),
	key = ProtoField.bytes("ihmp.signature.key", "Public key"),
	value = ProtoField.bytes("ihmp.signature.value", "Signature"),
	former = ProtoField.bytes("ihmp.signature.former", "Former public key"),
	word = ProtoField.bytes("ihmp.signature.word", "Its signature over the new one"),
	unknown = ProtoField.bytes("ihmp.signature.unknown", "Unknown block"),
	host = ProtoField.string("ihmp.host", "Host ID"),
	source = ProtoField.string("ihmp.source", "Source"),
	new = ProtoField.string("ihmp.new", "New address"),
	old = ProtoField.string("ihmp.old", "Old address"),
	peer = ProtoField.string("ihmp.peer", "Peer"),
	inside = ProtoField.string("ihmp.inside", "Host behind the NAT"),
	cookie = ProtoField.bytes("ihmp.cookie", "Cookie"),
	nat_key = ProtoField.bytes("ihmp.nat.key", "Half of its public key"),
	mapping = ProtoField.none("ihmp.nat", "Port mapping"),
	proto = ProtoField.uint8("ihmp.nat.proto", "Protocol"),
	nat_port = ProtoField.uint16("ihmp.nat.nat_port", "Port of the NAT"),
	nat_host_port = ProtoField.uint16("ihmp.nat.port", "Port of the host"),
	nat_peer_port = ProtoField.uint16("ihmp.nat.peer", "Port of the peer"),
	lifetime = ProtoField.uint16("ihmp.lifetime", "Lifetime"),
	outcome = ProtoField.uint8("ihmp.outcome", "The move is", base.DEC, OUTCOMES),
	other = ProtoField.string("ihmp.other", "Other address"),
	count = ProtoField.uint8("ihmp.addresses", "Number of addresses"),
	-- The same addresses once more, for filters with a prefix: ihmp.ip == 192.0.2.0/24
	ip = ProtoField.ipv4("ihmp.ip", "IPv4 address"),
	ipv6 = ProtoField.ipv6("ihmp.ipv6", "IPv6 address"),
	response_in = ProtoField.framenum("ihmp.response_in", "Answered in", base.NONE, frametype.RESPONSE),
	response_to = ProtoField.framenum("ihmp.response_to", "Answer to", base.NONE, frametype.REQUEST),
	response_time = ProtoField.relative_time("ihmp.response_time", "Time since the request"),
	repeated = ProtoField.framenum("ihmp.repeats", "Repeats", base.NONE, frametype.DUP_ACK),
}
ihmp.fields = f

-- The names of refusals, as the agent's log and ihmp-wire.rst have them.
local function malformed(name, text)
	return ProtoExpert.new("ihmp." .. name, name .. ": " .. text, expert.group.MALFORMED, expert.severity.ERROR)
end
local e = {
	short = malformed("short", "it ends too early"),
	ragged = malformed("ragged-payload", "it does not end with an address"),
	many = malformed("too-many-addresses", "there are more than 16"),
	control = malformed("unknown-control", "the kind is not known"),
	options = malformed("reserved-option", "a reserved bit is set"),
	block = malformed("bad-signature-block", "the block has a wrong length"),
	payload = malformed("bad-payload", "addresses are missing, or are not where they belong"),
	nat = ProtoExpert.new("ihmp.nat-detected", "nat-detected: address 0 is not the source, and it is not signed, or " ..
		"speaks for itself", expert.group.PROTOCOL, expert.severity.WARN),
	passed = ProtoExpert.new("ihmp.nat-passed", "It passed a NAT: address 0 is not the source", expert.group.PROTOCOL,
		expert.severity.NOTE),
	port = ProtoExpert.new("ihmp.source-port", "source-port: it does not come from the port of IHMP",
		expert.group.PROTOCOL, expert.severity.WARN),
	algorithm = ProtoExpert.new("ihmp.unknown-algorithm", "unknown-algorithm: its signature is of a kind that is not known",
		expert.group.UNDECODED, expert.severity.WARN),
	unsigned = ProtoExpert.new("ihmp.unsigned", "unsigned: it has no signature", expert.group.SECURITY,
		expert.severity.NOTE),
	seqno = ProtoExpert.new("ihmp.incorrect-seqno", "The receiver did not expect this number, or asks for a proof: " ..
		"its sender greets again", expert.group.SEQUENCE, expert.severity.NOTE),
	repeats = ProtoExpert.new("ihmp.repeated", "The request is sent again", expert.group.SEQUENCE,
		expert.severity.NOTE),
}
ihmp.experts = e

-- text_of(RANGE): an address as RFC 5952 wants it; Wireshark's own text may be a name.
local function text_of(range)
	local groups, best, length = {}, 0, 1
	if range:len() == 4 then
		return string.format("%d.%d.%d.%d", range(0, 1):uint(), range(1, 1):uint(), range(2, 1):uint(), range(3, 1):uint())
	end
	for at = 1, 8 do groups[at] = string.format("%x", range(2 * at - 2, 2):uint()) end
	for at = 1, 8 do
		local zeros = 0
		while groups[at + zeros] == "0" do zeros = zeros + 1 end
		if zeros > length then best, length = at, zeros end
	end
	if best == 0 then return table.concat(groups, ":") end
	return table.concat(groups, ":", 1, best - 1) .. "::" .. table.concat(groups, ":", best + length, 8)
end

-- put(TREE, ROLE, RANGE): an item for an address, with a hidden one for filters; gives back its text, its item, and what
-- can be compared with the addresses of the packet.
local function put(tree, role, range)
	local four = range(0, 4):uint() == 0 and range(4, 4):uint() == 0 and range(8, 4):uint() == 0xffff
	if four then range = range(12, 4) end
	local text = text_of(range)
	local item = tree:add(f[role], range, text)
	item:add(four and f.ip or f.ipv6, range):set_hidden(true)
	return text, item, four and range:ipv4() or range:ipv6()
end

-- block(TREE, RANGE): the signature block at the start of RANGE; how long it is, or nothing when it is none.
local function block(tree, range)
	local item = tree:add(f.signature, range)
	if range:len() < BLOCK_HEAD then return item:add_proto_expert_info(e.short) and nil end
	local algorithm, length = range(0, 1):uint(), range(2, 2):uint()
	local name = item:add(f.algorithm, range(0, 1))
	item:add(f.zero, range(1, 1))
	item:add(f.length, range(2, 2))
	if range(1, 1):uint() ~= 0 or (LENGTHS[algorithm] or length) ~= length then
		return item:add_proto_expert_info(e.block) and nil
	end
	if range:len() < BLOCK_HEAD + length then return item:add_proto_expert_info(e.short) and nil end
	item:set_len(BLOCK_HEAD + length)
	if not LENGTHS[algorithm] then
		name:add_proto_expert_info(e.algorithm)
		if length > 0 then item:add(f.unknown, range(BLOCK_HEAD, length)) end
		return BLOCK_HEAD + length
	end
	local stamp = range(4, 8):uint64()
	item:add(f.timestamp, range(4, 8))
	item:add(f.time, range(4, 8), NSTime.new((stamp / 1000000000):tonumber(), (stamp % 1000000000):tonumber()))
	item:add(f.key, range(12, 32))
	item:add(f.value, range(44, 64))
	if algorithm == 2 then
		item:add(f.former, range(108, 32))
		item:add(f.word, range(140, 64))
	end
	return BLOCK_HEAD + length
end

-- What was seen on the first pass: the open exchanges by ends and number, and what each frame is to others.
local open, frames

function ihmp.init()
	open, frames = {}, {}
end

-- exchange(CODE, SEQNO, PINFO): what this frame is to others. A router's answer is to a request between others.
local function exchange(code, seqno, pinfo)
	if code == ROUTER_ACK then return {} end
	if pinfo.visited then return frames[pinfo.number] or {} end
	local here, there = tostring(pinfo.src), tostring(pinfo.dst)
	local key = code == ACK and there .. " " .. here or here .. " " .. there
	key = key .. " " .. seqno
	local now, seen = pinfo.rel_ts, open[key]
	if seen and now - seen.at > FORGET then seen = nil end
	local this = {}
	frames[pinfo.number] = this
	if code == ACK then
		if seen then
			this.response_to, this.at = seen.number, seen.at
			-- A second copy of an ACK is an answer, too; the request names the first.
			frames[seen.number].response_in = frames[seen.number].response_in or pinfo.number
		end
		return this
	end
	-- After an ACK with IS the same greeting comes again, as another request.
	if seen and seen.code == code and not frames[seen.number].response_in then this.repeated = seen.first end
	open[key] = { number = pinfo.number, first = this.repeated or pinfo.number, at = now, code = code }
	return this
end

-- mapping(TREE, RANGE): a port mapping of a NAT; its text, and whether it can be one.
local function mapping(tree, range)
	local item = tree:add(f.mapping, range)
	local fields = { { f.proto, 0, 1 }, { f.nat_port, 2, 2 }, { f.nat_host_port, 4, 2 }, { f.nat_peer_port, 6, 2 },
		{ f.lifetime, 8, 2 } }
	for _, field in ipairs(fields) do item:add(field[1], range(field[2], field[3])) end
	local text = string.format("%d of %d to %d, %d s", range(2, 2):uint(), range(4, 2):uint(), range(6, 2):uint(),
		range(8, 2):uint())
	item:append_text(": " .. text)
	local zero = range(1, 1):uint() == 0 and range(10, 2):uint() == 0 and range(12, 4):uint() == 0
	return text, zero and range(0, 1):uint() ~= 0
end

-- payload(TREE, RANGE, CODE, SIGNED, BAKED, PINFO): the addresses, and behind them a cookie in a message that has one; gives back what is worth a word in the list of packets.
local function payload(tree, range, code, signed, baked, pinfo)
	local roles, words, texts = ROLES[code] or {}, {}, {}
	local count = math.floor(range:len() / ADDRESS)
	for at = 0, count - 1 do
		local role = roles[at + 1] or (at == 0 and "source") or (code == NAT_ENTRY and "mapping") or "other"
		if baked and at > 0 and at == count - 1 then role = "cookie" end
		local part = range(at * ADDRESS, ADDRESS)
		local text, item, value
		if role == "terms" then
			-- What a router says: seconds, whether the move is rejected, and zeros.
			local seconds, outcome = part(0, 2):uint(), part(2, 1):uint()
			item = tree:add(f.lifetime, part(0, 2))
			tree:add(f.outcome, part(2, 1))
			text = (outcome == 1 and "rejected " or "") .. seconds .. " s"
			texts.bad = not OUTCOMES[outcome] or (outcome == 1 and seconds == 0)
			for zero = 3, ADDRESS - 1 do
				if part(zero, 1):uint() ~= 0 then texts.bad = true end
			end
		elseif role == "key" then
			item = tree:add(f.nat_key, part)
		elseif role == "cookie" then
			item = tree:add(f.cookie, part)
		elseif role == "mapping" then
			local good
			text, good = mapping(tree, part)
			texts.bad = texts.bad or not good
			item = tree
		else
			text, item, value = put(tree, role, part)
		end
		if at == MOST then item:add_proto_expert_info(e.many) end
		texts[role] = texts[role] or text
		if at == 0 and value ~= pinfo.src then
			texts.passed = signed and code < ROUTER_ACK
			item:add_proto_expert_info(texts.passed and e.passed or e.nat)
		end
		if at > 0 and text and role ~= "other" then table.insert(words, role .. " " .. text) end
	end
	tree:add(f.count, range, count):set_generated(true)
	if range:len() % ADDRESS ~= 0 then
		tree:add_proto_expert_info(e.ragged)
	elseif count < #roles or count == 0 or texts.bad or (code == ROUTER_ACK and (count > #roles or texts.old == texts.new)) or
		(code == NAT_ENTRY and texts.source == texts.inside) then
		tree:add_proto_expert_info(e.payload)
	elseif texts.old == texts.source or (texts.new and (texts.new == texts.source) ~= (FROM_NEW[code] or false)) then
		tree:add_proto_expert_info(e.payload)
	end
	words.passed = texts.passed
	if count > #roles and #roles > 0 and code ~= NAT_ENTRY then table.insert(words, count - #roles .. " more") end
	return words
end

function ihmp.dissector(tvb, pinfo, root)
	local length = tvb:reported_length_remaining()
	local tree = root:add(ihmp, tvb())
	pinfo.cols.protocol = "IHMP"
	if length < HEADER or tvb:len() < length then
		pinfo.cols.info = length < HEADER and "[Malformed]" or "[Cut off by the capture]"
		if length < HEADER then tree:add_proto_expert_info(e.short) end
		return length
	end

	local code, options, seqno = tvb(0, 1):uint(), tvb(1, 1), tvb(2, 2):uint()
	local signed = options:bitfield(5) == 1
	-- In a hand-off the flag means something else.
	local baked = options:bitfield(4) == 1 and (code == 0 or (code == ACK and not signed))
	local name = CODES[code] or "Unknown (" .. code .. ")"
	local words = { name .. " " .. seqno }
	tree:append_text(", " .. name .. ", Seqno: " .. seqno)

	local item = tree:add(f.code, tvb(0, 1))
	if not CODES[code] then item:add_proto_expert_info(e.control) end
	item = tree:add(f.options, options)
	local set = {}
	for at, flag in ipairs({ "ns", "nd", "nf", "is", "ou", "sg" }) do
		item:add(f[flag], options)
		if options:bitfield(at - 1) == 1 then table.insert(set, flag:upper()) end
	end
	local reserved = item:add(f.reserved, options)
	if options:bitfield(6, 2) ~= 0 then reserved:add_proto_expert_info(e.options) end
	if #set > 0 then
		item:append_text(" (" .. table.concat(set, ", ") .. ")")
		table.insert(words, "[" .. table.concat(set, ", ") .. "]")
	end
	item = tree:add(f.seqno, tvb(2, 2))
	if code == ACK and options:bitfield(3) == 1 then item:add_proto_expert_info(e.seqno) end

	local this = exchange(code, seqno, pinfo)
	for _, link in ipairs({ "response_in", "response_to", "repeated" }) do
		if this[link] then tree:add(f[link], this[link]):set_generated(true) end
	end
	if this.repeated then item:add_proto_expert_info(e.repeats) end
	if this.at then
		local seconds, rest = math.modf(pinfo.rel_ts - this.at)
		tree:add(f.response_time, NSTime.new(seconds, math.floor(rest * 1e9 + 0.5))):set_generated(true)
	end
	local at, passed = HEADER, code == NAT_ENTRY
	if signed then
		if length == at then
			tree:add_proto_expert_info(e.short)
			at = nil
		else
			local used = block(tree, tvb(at))
			at = used and at + used
		end
	end
	if at and length < at + ADDRESS then
		tree:add_proto_expert_info(e.short)
	elseif at then
		local host, _, value = put(tree, "host", tvb(at, ADDRESS))
		at = at + ADDRESS
		local more
		if at < length then
			more = payload(tree, tvb(at), code, signed, baked, pinfo)
			passed = passed or more.passed
		else
			tree:add_proto_expert_info(e.payload)
		end
		for _, word in ipairs(more or {}) do table.insert(words, word) end
		if value ~= pinfo.src then table.insert(words, "by " .. host) end
	end
	if pinfo.src_port ~= ihmp.prefs.port and not passed then tree:add_proto_expert_info(e.port) end
	if not signed then tree:add_proto_expert_info(e.unsigned) end
	pinfo.cols.info = table.concat(words, ", ")
	return length
end

local ports = DissectorTable.get("udp.port")
local bound

-- Called with the settings of the user, and whenever they change.
local function listen()
	if bound == ihmp.prefs.port then return end
	if bound then ports:remove(bound, ihmp) end
	bound = ihmp.prefs.port
	ports:add(bound, ihmp)
end
ihmp.prefs_changed = listen
listen()
