-- A Wireshark dissector for the lab's file copy over UDP, in both spellings; docs/protocol.md has every message.
--
-- Top-down: what is registered, how a datagram is shown, how it is read, how a transfer is followed. Reading cuts
-- exactly as src/packet/lab.rs does, and tests/dissector.rs compares the two.

local homing = Proto("homing", "Homing lab protocol")

local field = {
  type = ProtoField.string("homing.type", "Type", base.NONE, "s, d, a, n, c or e"),
  spelling = ProtoField.string("homing.spelling", "Spelling", base.NONE, "spaced or compact"),
  seq = ProtoField.uint64("homing.seq", "Number", base.DEC, nil, nil, "Counts messages, not bytes"),
  next = ProtoField.uint64("homing.next", "Next", base.DEC, nil, nil, "The acknowledged number plus one"),
  name = ProtoField.string("homing.name", "Name"),
  size = ProtoField.uint64("homing.size", "Size", base.DEC, nil, nil, "Of the file, in bytes"),
  offer = ProtoField.bool("homing.offer", "Offers more than the lab's protocol"),
  bufsize = ProtoField.uint64("homing.bufsize", "Buffer size", base.DEC, nil, nil, "The longest datagram wanted"),
  words = ProtoField.string("homing.words", "Capability words"),
  data = ProtoField.bytes("homing.data", "Chunk"),
  data_len = ProtoField.uint32("homing.data_len", "Chunk length"),
  sha256 = ProtoField.string("homing.sha256", "SHA-256 of the content"),
  start_id = ProtoField.string("homing.start_id", "Start", base.NONE, "Half the SHA-256 of the start datagram"),
  reason = ProtoField.string("homing.reason", "Reason"),
  retransmission_of = ProtoField.framenum("homing.retransmission_of", "First sent in", base.NONE,
    frametype.RETRANS_PREV or frametype.NONE),
  acked_in = ProtoField.framenum("homing.acked_in", "Acknowledged in", base.NONE, frametype.RESPONSE),
  ack_of = ProtoField.framenum("homing.ack_of", "Acknowledges", base.NONE, frametype.ACK),
  refused_in = ProtoField.framenum("homing.refused_in", "Refused in", base.NONE, frametype.RESPONSE),
  refusal_of = ProtoField.framenum("homing.refusal_of", "Refuses", base.NONE, frametype.REQUEST),
  time_to_ack = ProtoField.relative_time("homing.time_to_ack", "Time to this acknowledgement",
    "Since the message was sent for the first time"),
}
homing.fields = field

local expert_info = {
  malformed = ProtoExpert.new("homing.malformed", "Malformed message",
    expert.group.MALFORMED, expert.severity.ERROR),
  retransmission = ProtoExpert.new("homing.retransmission", "Sent again",
    expert.group.SEQUENCE, expert.severity.NOTE),
  duplicate_ack = ProtoExpert.new("homing.duplicate_ack", "Acknowledged again",
    expert.group.SEQUENCE, expert.severity.NOTE),
  ack_of_nothing = ProtoExpert.new("homing.ack_of_nothing", "Acknowledges nothing that was sent",
    expert.group.SEQUENCE, expert.severity.WARN),
  too_long = ProtoExpert.new("homing.too_long", "Longer than the announced buffer size",
    expert.group.PROTOCOL, expert.severity.WARN),
}
homing.experts = expert_info

local TYPE_WORDS = {
  s = "start", d = "data", a = "acknowledgement", n = "refusal", c = "checksum", e = "error",
}
local SEPARATORS = { spaced = " | ", compact = "|" }

-- Datagrams whose first byte is at least this belong to a binary mode.
local BINARY_FROM = 0x80
local OFFER_FIRST, OFFER_LAST = UInt64("1207959552"), UInt64("1224736767")
-- A start that comes again after such a silence means the file once more; before, it is a copy that was held up.
local RESTART_SECONDS = 5
-- So many messages are remembered byte for byte, to know their copies.
local KEPT_MESSAGES = 1000

-- The four chapters below; as tables, so that each can stand before what it uses.
local showing, reading, following, registering = {}, {}, {}, {}

---------------------------------------------------------------------------------------------------- showing

function homing.dissector(tvb, pinfo, tree)
  pinfo.cols.protocol = "homing"
  local root = tree:add(homing, tvb())
  local info
  if tvb(0, 1):uint() >= BINARY_FROM then
    info = "windowed (binary)"
  else
    info = showing.text(tvb, pinfo, root)
  end
  pinfo.cols.info = info
  root:append_text(", " .. info)
  return tvb:reported_len()
end

-- Adds what the datagram says; returns the line that sums it up.
function showing.text(tvb, pinfo, root)
  local bytes = tvb:raw()
  local message, problem = reading.message(bytes)
  -- Of a chunk the header is enough. Anything else has its last field at the end, which must be there.
  local cut = #bytes < tvb:reported_len()
  if cut and not (message and message.type == "d") then
    return "cut short: its end was not captured"
  end
  if not message then
    root:add_proto_expert_info(expert_info.malformed, "Malformed message: " .. problem)
    return "malformed: " .. problem
  end
  root:add(field.type, tvb(0, 1), message.type):append_text(" (" .. TYPE_WORDS[message.type] .. ")")
  root:add(field.spelling, tvb(1, #SEPARATORS[message.spelling]), message.spelling)
  for _, part in ipairs(message.parts) do
    showing.part(root, part, bytes, tvb)
  end
  local length = tvb:reported_len()
  if message.type == "s" then
    root:add(field.offer, message.offer):set_generated()
  elseif message.type == "d" then
    message.chunk_length = length - message.header_length
    root:add(field.data_len, message.chunk_length):set_generated()
  end
  local note = following.note(message, bytes, length, pinfo)
  return showing.sentence(message, bytes) .. showing.note(root, message, note)
end

function showing.part(root, part, bytes, tvb)
  local range = tvb(part.at, part.length)
  if part.number then
    root:add(field[part.name], range, UInt64(part.number))
  elseif part.name ~= "data" then
    root:add(field[part.name], range, showing.printable(part, bytes))
  elseif part.length > 0 then
    root:add(field.data, range)
  end
end

-- The message in one line, without what other packets tell about it.
function showing.sentence(message, bytes)
  local words = {}
  local function say(...)
    words[#words + 1] = string.format(...)
  end
  local function text(name)
    return showing.printable(message[name], bytes)
  end
  say("%s %s", message.type, (message.seq or message.next).number)
  if message.type == "s" then
    say("%s bytes as \"%s\"", message.size.number, text("name"))
    if message.offer then
      say("offering")
    end
  elseif message.type == "d" then
    say("%d bytes", message.chunk_length)
  elseif message.type == "c" then
    say("sha256 %s...", text("sha256"):sub(1, 8))
    say("start %s...", text("start_id"):sub(1, 8))
  elseif message.type == "e" and message.reason.length > 0 then
    say("%s", text("reason"))
  end
  if message.bufsize then
    say("buffer %s", message.bufsize.number)
  end
  if message.words and message.words.length > 0 then
    say("%s", text("words"))
  end
  return table.concat(words, ", ")
end

-- A peer's text with everything written out that is not UTF-8, moves a cursor, turns the reading direction or takes no
-- room. Wireshark would decode it, too, but ends it at a zero byte, and its versions differ in the rest.
function showing.printable(part, bytes)
  local text = bytes:sub(part.at + 1, part.at + part.length)
  local shown = {}
  local at = 1
  while at <= #text do
    local piece = text:match("^[\32-\126]+", at) or showing.character(text, at)
    shown[#shown + 1] = piece or string.format("\\x%02x", text:byte(at))
    at = at + (piece and #piece or 1)
  end
  return table.concat(shown)
end

local CHARACTERS = {
  "^[\194-\223][\128-\191]",
  "^\224[\160-\191][\128-\191]",
  "^[\225-\236\238\239][\128-\191][\128-\191]",
  "^\237[\128-\159][\128-\191]",
  "^\240[\144-\191][\128-\191][\128-\191]",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]",
  "^\244[\128-\143][\128-\191][\128-\191]",
}
-- U+0080 to U+009F, U+200B to U+200F, U+2028 to U+202E, U+2066 to U+2069, U+FEFF.
local HIDDEN = {
  "^\194[\128-\159]", "^\226\128[\139-\143\168-\174]", "^\226\129[\166-\169]", "^\239\187\191",
}

-- The character of several bytes that begins here, if there is one and it can be seen.
function showing.character(text, at)
  for _, hidden in ipairs(HIDDEN) do
    if text:find(hidden, at) then
      return nil
    end
  end
  for _, character in ipairs(CHARACTERS) do
    local found = text:match(character, at)
    if found then
      return found
    end
  end
end

-- Adds what other packets tell about the message; returns it in brackets, or nothing.
function showing.note(root, message, note)
  if not note then
    return ""
  end
  local remarks = {}
  local function remark(which, text)
    -- Without the frame's number, so that the list of expert information counts equal ones.
    root:add_proto_expert_info(expert_info[which])
    remarks[#remarks + 1] = " (" .. text .. ")"
  end
  local function link(which, frame)
    if frame then
      root:add(field[which], frame):set_generated()
    end
  end
  local sent = note.sent
  if note.answers then
    link(message.type == "a" and "ack_of" or "refusal_of", sent and sent.frame)
  else
    link("acked_in", sent.acked_in)
    link("refused_in", sent.refused_in)
  end
  if note.seconds then
    root:add(field.time_to_ack, showing.duration(note.seconds)):set_generated()
  end
  if note.again then
    link("retransmission_of", sent.frame)
    remark("retransmission", string.format("again, first in #%d", sent.frame))
  end
  if note.duplicate then
    remark("duplicate_ack", string.format("again, first in #%d", sent.acked_in))
  end
  if note.of_nothing then
    remark("ack_of_nothing", "acknowledges nothing that was sent")
  end
  if note.limit then
    remark("too_long", "longer than the " .. note.limit .. " bytes that were announced")
  end
  return table.concat(remarks)
end

-- Times come as floating point numbers since 1970, so digits behind the microseconds would be invented.
function showing.duration(seconds)
  local micros = math.floor(math.max(seconds, 0) * 1000000 + 0.5)
  return NSTime(math.floor(micros / 1000000), micros % 1000000 * 1000)
end

---------------------------------------------------------------------------------------------------- reading

-- The message, or nil and what is wrong. A message has its type, its spelling and its parts, in order and by name; a
-- part is where it stands (from 0) and how long it is, and if it is a number, its digits without leading zeros.
function reading.message(bytes)
  local kind = bytes:sub(1, 1)
  local spelling
  if bytes:sub(2, 4) == SEPARATORS.spaced then
    spelling = "spaced"
  elseif bytes:sub(2, 2) == SEPARATORS.compact then
    spelling = "compact"
  end
  local read = spelling and reading[spelling][kind]
  if not read then
    return nil, string.format("no message begins with byte 0x%02x here", bytes:byte())
  end
  local message = { type = kind, spelling = spelling, parts = {} }
  local separator = SEPARATORS[spelling]
  local problem = read(message, bytes, 2 + #separator, separator)
  if problem then
    return nil, problem
  end
  return message
end

-- Each reader takes the fields from the byte `at` on; it returns the first problem, or nil.

-- The number from the left and the size from the right: a name may hold separators.
function reading.start(message, bytes, at, separator)
  local bar = bytes:find(separator, at, true)
  if not bar then
    return reading.missing("name")
  end
  local name = bar + #separator
  local last = reading.last(bytes, separator, name)
  if not last then
    return reading.missing("size")
  end
  local problem = reading.number(message, "seq", bytes, at, bar - 1)
  if problem then
    return problem
  end
  local number = UInt64(message.seq.number)
  message.offer = message.spelling == "spaced" and OFFER_FIRST <= number and number <= OFFER_LAST
  reading.add(message, "name", name, last - 1)
  return reading.number(message, "size", bytes, last + #separator, #bytes)
end

function reading.data(message, bytes, at, separator)
  local bar = bytes:find(separator, at, true)
  if not bar then
    return reading.missing("bytes")
  end
  message.header_length = bar + #separator - 1
  local problem = reading.number(message, "seq", bytes, at, bar - 1)
  reading.add(message, "data", message.header_length + 1, #bytes)
  return problem
end

-- Some servers add a buffer size to every acknowledgement, or an empty last field, of which the blank may be gone.
function reading.ack(message, bytes, at, separator)
  local bar = bytes:find(separator, at, true)
  local last = bar and bar - 1 or #bytes
  if not bar and bytes:sub(at):sub(-2) == " |" then
    last = last - 2
  end
  local problem = reading.number(message, "next", bytes, at, last)
  local more = bar and bar + #separator
  if problem or not bar or more > #bytes then
    return problem
  end
  bar = bytes:find(separator, more, true)
  problem = reading.number(message, "bufsize", bytes, more, bar and bar - 1 or #bytes)
  if bar and message.spelling == "spaced" then
    reading.add(message, "words", bar + #separator, #bytes)
  end
  return problem
end

function reading.refusal(message, bytes, at)
  return reading.number(message, "next", bytes, at, #bytes)
end

function reading.checksum(message, bytes, at, separator)
  local bar = bytes:find(separator, at, true)
  if not bar then
    return reading.missing("sha256")
  end
  local digest = bar + #separator
  local second = bytes:find(separator, digest, true)
  if not second then
    return reading.missing("start")
  end
  return reading.number(message, "seq", bytes, at, bar - 1)
    or reading.digest(message, "sha256", "sha256:", 64, bytes, digest, second - 1)
    or reading.digest(message, "start_id", "start:", 32, bytes, second + #separator, #bytes)
end

function reading.error(message, bytes, at, separator)
  local bar = bytes:find(separator, at, true)
  if not bar then
    return reading.missing("reason")
  end
  local problem = reading.number(message, "seq", bytes, at, bar - 1)
  reading.add(message, "reason", bar + #separator, #bytes)
  return problem
end

reading.spaced = {
  s = reading.start, d = reading.data, a = reading.ack,
  n = reading.refusal, c = reading.checksum, e = reading.error,
}
reading.compact = { s = reading.start, d = reading.data, a = reading.ack, n = reading.refusal }

function reading.missing(name)
  return "the field '" .. name .. "' is missing"
end

function reading.add(message, name, first, last)
  local part = { name = name, at = first - 1, length = last - first + 1 }
  message.parts[#message.parts + 1] = part
  message[name] = part
  return part
end

function reading.number(message, name, bytes, first, last)
  local digits, problem = reading.decimal(bytes:sub(first, last))
  if problem then
    return "the field '" .. name .. "' is no number: " .. problem
  end
  reading.add(message, name, first, last).number = digits
end

-- The digits of a strict decimal without leading zeros, or nil and what stands there instead.
function reading.decimal(text)
  if text == "" then
    return nil, "the number is missing"
  end
  local other = text:find("[^0-9]")
  local digits = text:sub(1, (other or #text + 1) - 1):gsub("^0+", "")
  local largest = "18446744073709551615"
  -- Digits of equal length are in order as text is.
  if #digits > #largest or (#digits == #largest and digits > largest) then
    return nil, "the number does not fit 64 bits"
  end
  if other then
    return nil, "byte " .. (other - 1) .. " is not a decimal digit"
  end
  return digits == "" and "0" or digits
end

-- Only lower-case digits, exactly so many.
function reading.digest(message, name, label, length, bytes, first, last)
  local text = bytes:sub(first, last)
  if text:sub(1, #label) ~= label or #text ~= #label + length or text:find("[^0-9a-f]", #label + 1) then
    return "the field '" .. label:sub(1, -2) .. "' is no digest"
  end
  reading.add(message, name, first + #label, last)
end

-- Where the last separator begins, not before `from`.
function reading.last(bytes, separator, from)
  for at = #bytes - #separator + 1, from, -1 do
    if bytes:sub(at, at + #separator - 1) == separator then
      return at
    end
  end
end

---------------------------------------------------------------------------------------------------- following

-- By frame number, what other packets tell about a frame's message:
--   sent        the message that it is, or answers: { frame, time, next, acked_in, refused_in }
--   answers     whether it is an answer
--   again, duplicate, of_nothing, limit, seconds   as shown
local notes = {}
-- By both ports, a list of flows: the datagrams from one address and port to another, { src, dst, transfer }.
local flows = {}

function following.begin()
  notes, flows = {}, {}
end

-- Everything is found out when a frame is seen for the first time, in the order of capture.
function following.note(message, bytes, length, pinfo)
  -- A report such as "port unreachable" quotes a datagram, which is not sent again with it.
  if pinfo.in_error_pkt then
    return nil
  end
  if not pinfo.visited then
    if message.type == "s" or message.type == "d" or message.type == "c" then
      local flow = following.flow(pinfo.src, pinfo.src_port, pinfo.dst, pinfo.dst_port)
      notes[pinfo.number] = following.sent(flow, message, bytes, length, pinfo)
    else
      local flow = following.flow(pinfo.dst, pinfo.dst_port, pinfo.src, pinfo.src_port)
      notes[pinfo.number] = following.answer(flow.transfer, message, pinfo)
    end
  end
  return notes[pinfo.number]
end

-- Addresses are compared, not written as text: that would change when a name for one becomes known.
function following.flow(src, src_port, dst, dst_port)
  local ports = src_port .. ">" .. dst_port
  flows[ports] = flows[ports] or {}
  for _, flow in ipairs(flows[ports]) do
    if flow.src == src and flow.dst == dst then
      return flow
    end
  end
  local flow = { src = src, dst = dst, transfer = following.transfer() }
  table.insert(flows[ports], flow)
  return flow
end

-- One file on its way.
--   versions    by type and number, the latest different datagrams: a list of { bytes, sent }
--   keys        of the versions, oldest first
--   by_answer   by NEXT, the message that it would acknowledge; by_number, the one that an `e` would refuse
--   latest      the message that was sent last; latest_data, the version of the last chunk
function following.transfer(start, number)
  return { start = start, number = number, versions = {}, keys = { last = 0 }, by_answer = {}, by_number = {} }
end

function following.sent(flow, message, bytes, length, pinfo)
  local now = pinfo.abs_ts
  if message.type == "s" and following.begins(flow.transfer, message, bytes, now) then
    flow.transfer = following.transfer(bytes, message.seq.number)
  end
  local transfer = flow.transfer
  if message.spelling == "compact" and message.type == "d" and message.seq.number == "0" then
    transfer.alternates = true
  end
  local version, again = following.version(transfer, message, bytes)
  if not again then
    local next = tostring(UInt64(message.seq.number) + 1)
    version.sent = { frame = pinfo.number, time = now, next = next, is_start = message.type == "s" }
  end
  following.await(transfer, message, version.sent)
  transfer.latest, transfer.time = version.sent, now
  if message.type == "d" then
    transfer.latest_data = version
  end
  local too_long = message.type == "d" and transfer.bufsize and length > tonumber(transfer.bufsize)
  return { sent = version.sent, again = again, limit = too_long and transfer.bufsize or nil }
end

-- Whether a start begins a transfer. It does not if it is the same one again; nor if it has the same offering number,
-- for that is random: then it was damaged on its way.
function following.begins(transfer, message, bytes, now)
  if bytes == transfer.start then
    return transfer.latest_data ~= nil and now - transfer.time >= RESTART_SECONDS
  end
  return not (message.offer and message.seq.number == transfer.number)
end

-- The version of this datagram, and whether it was there before.
function following.version(transfer, message, bytes)
  local latest = transfer.latest_data
  if transfer.alternates and message.type == "d" then
    -- Equal chunks with equal numbers follow each other all the time; only the last chunk is known.
    local again = latest ~= nil and latest.bytes == bytes
    return again and latest or { bytes = bytes }, again
  end
  local versions = following.versions(transfer, message.type .. message.seq.number)
  for _, version in ipairs(versions) do
    if version.bytes == bytes then
      return version, true
    end
  end
  -- There is one, and another for each copy that was damaged on its way; of those a few are enough.
  local version = { bytes = bytes }
  table.insert(versions, version)
  if #versions > 4 then
    table.remove(versions, 1)
  end
  return version, false
end

-- The versions with this key. The oldest are forgotten, or the whole file would be kept here.
function following.versions(transfer, key)
  if not transfer.versions[key] then
    transfer.versions[key] = {}
    local keys = transfer.keys
    keys.last = keys.last + 1
    keys[keys.last] = key
    local oldest = keys.last - KEPT_MESSAGES
    if oldest > 0 then
      transfer.versions[keys[oldest]] = nil
      keys[oldest] = nil
    end
  end
  return transfer.versions[key]
end

-- Notes which answers would be about this message.
function following.await(transfer, message, sent)
  local number = message.seq.number
  transfer.by_number[number] = sent
  transfer.by_answer[sent.next] = sent
  if message.type == "s" and message.spelling == "spaced" then
    -- One known server always answers a start with 0.
    transfer.by_answer["0"] = sent
  elseif message.type == "d" and message.spelling == "compact" and number == "1" then
    -- It is acknowledged with 0 if the peer alternates, and with 2 if it counts.
    transfer.by_answer["0"] = sent
  end
end

function following.answer(transfer, message, pinfo)
  local note = { answers = true }
  if message.type == "a" then
    note.sent = transfer.by_answer[message.next.number]
  elseif message.type == "e" then
    note.sent = transfer.by_number[message.seq.number]
  else
    note.sent = following.refused(transfer, message.next.number)
  end
  local sent = note.sent
  if message.type ~= "a" then
    if sent then
      sent.refused_in = sent.refused_in or pinfo.number
    end
  elseif not sent then
    note.of_nothing = true
  elseif sent.acked_in then
    note.duplicate = true
  else
    sent.acked_in = pinfo.number
    note.seconds = pinfo.abs_ts - sent.time
  end
  if message.bufsize and sent and sent.is_start then
    transfer.bufsize = message.bufsize.number
  end
  return note
end

-- An `n` has the number that the acknowledgement would have had, or its last bit.
function following.refused(transfer, next)
  local latest = transfer.latest
  if latest and (next == latest.next or next == tostring(tonumber(latest.next:sub(-1)) % 2)) then
    return latest
  end
  return transfer.by_answer[next]
end

---------------------------------------------------------------------------------------------------- registering

-- On other ports only what is a whole message: any spaced one, and the compact ones that are not too short to tell.
function registering.is_message(tvb)
  local bytes = tvb:raw()
  local message = reading.message(bytes)
  if not message then
    return false
  end
  if message.type ~= "d" and #bytes < tvb:reported_len() then
    return false
  end
  return message.spelling == "spaced" or message.type ~= "n"
end

homing:register_heuristic("udp", function(tvb, pinfo, tree)
  if not registering.is_message(tvb) then
    return false
  end
  homing.dissector(tvb, pinfo, tree)
  return true
end)

homing.prefs.ports = Pref.range("UDP port(s)", "12300", "Where everything is taken for this protocol", 65535)
registering.udp = DissectorTable.get("udp.port")
registering.ports = homing.prefs.ports
registering.udp:add(registering.ports, homing)
registering.udp:add_for_decode_as(homing)

function homing.prefs_changed()
  if registering.ports ~= homing.prefs.ports then
    registering.udp:remove(registering.ports, homing)
    registering.ports = homing.prefs.ports
    registering.udp:add(registering.ports, homing)
  end
end

function homing.init()
  following.begin()
end
