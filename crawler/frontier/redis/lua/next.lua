-- next: grant slot, number of the grant, 1 when it is asked for again, how many,
-- lease (us), worker or "". Returns the time, the last seq, how many passes are
-- being begun or ended, the wait in us (-1 for ever), and eleven values for each
-- lease.
local slot, number, want, lease = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[6]), tonumber(ARGV[7])
local SWEEP = 500

if ARGV[8] ~= '' then call('ZADD', P .. 'workers', now, ARGV[8]) end
local out = {now, seq, tonumber(meta[4]), 0}
local function grant(t)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5], out[n + 6] = t[H], t[SRC], t[TEXT], t[MARKS], t[PRIO], t[DELAY]
	out[n + 7], out[n + 8], out[n + 9], out[n + 10], out[n + 11] = t[DUE], t[TRIES], t[LOST], t[TOKEN], t[EXP]
end

-- A grant whose reply was lost is given once more. A request that comes after
-- the one that took its place is refused: nobody would hear of its leases.
local last = call('HGET', KEYS[1], slot)
last = last and unpackm(last)
if last and last[1] >= number then
	if ARGV[5] ~= '1' or last[1] > number then return {err = 'FRONTIERLATE'} end
	for i = 2, #last, 2 do
		local t = load(last[i])
		if t[S] == LEASED and t[TOKEN] == last[i + 1] then grant(t) end
	end
	out[4] = 1000
	return out
end

for _, ref in ipairs(call('ZRANGEBYSCORE', P .. 'leased', '-inf', now, 'LIMIT', 0, SWEEP)) do
	local t = load(ref)
	take(ref, t)
	t[LOST], t[TOKEN] = t[LOST] + 1, 0
	put(ref, t, READY)
end
for _, src in ipairs(call('ZRANGEBYSCORE', P .. 'wake', '-inf', now)) do
	late[src] = true
	for _, ref in ipairs(call('ZRANGEBYSCORE', P .. 'later:' .. src, '-inf', now, 'LIMIT', 0, SWEEP)) do
		local t = load(ref)
		take(ref, t)
		put(ref, t, READY)
	end
end
settle()

local hosts = call('ZRANGEBYSCORE', P .. 'hosts', '-inf', now, 'LIMIT', 0, want)
if #hosts > 0 then
	-- Also after a failover that lost the last counts no token comes twice.
	local token = math.max(tonumber(meta[2]), now)
	local granted = {number}
	for _, h in ipairs(hosts) do
		local m = call('ZPOPMIN', P .. 'r:' .. h)[1]
		if not m then error('FRONTIERTORN queue of host ' .. h .. ' is missing') end
		local _, _, _, ref = struct.unpack('>I4I8I8I4I4', m)
		local t = load(ref)
		count(t, READY, -1)
		token = token + 1
		t[TOKEN], t[EXP] = token, now + lease
		put(ref, t, LEASED)
		grant(t)
		granted[#granted + 1], granted[#granted + 2] = ref, token
	end
	call('HSET', KEYS[1], 'token', token, slot, pack(granted))
else
	local first
	for _, k in ipairs({'hosts', 'wake', 'leased'}) do
		local z = call('ZRANGE', P .. k, 0, 0, 'WITHSCORES')
		if z[1] then first = math.min(first or tonumber(z[2]), tonumber(z[2])) end
	end
	if out[3] > 0 then first = now end
	out[4] = first and math.max(first - now, 1000) or -1
end
flush()
return out
