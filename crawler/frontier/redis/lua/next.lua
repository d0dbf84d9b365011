-- next: how many, lease (us), grant slot, number of the grant, 1 when it is asked
-- for again, worker. Returns the time, the last seq, the wait in us (0 with leases, -1
-- for ever), and eleven values for each lease.
local want, lease, worker, number = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local SWEEP = 500

call('ZADD', P .. 'workers', now, ARGV[8])
local out = {now, seq, 0}
local called = {}
local function name(n)
	if not called[n] then called[n] = nameOf(n) end
	return called[n]
end
local function grant(t)
	for _, v in ipairs({name(t[H]), name(t[SRC]), t[TEXT], t[MARKS], t[PRIO], t[DELAY], t[DUE], t[TRIES], t[LOST], t[TOKEN], t[EXP]}) do
		out[#out + 1] = v
	end
end

-- A grant whose reply was lost is given once more. A request that comes after
-- the one that took its place is refused: nobody would hear of its leases.
local last = call('GET', P .. 'w:' .. worker)
last = last and unpackm(last)
if last and last[1] >= number then
	if ARGV[7] ~= '1' or last[1] > number then return {err = 'FRONTIERLATE'} end
	for i = 2, #last, 2 do
		local t = load(last[i])
		if t[S] == LEASED and t[TOKEN] == last[i + 1] then grant(t) end
	end
	if #out == 3 then out[3] = 1000 end
	return out
end

if meta[4] and tonumber(meta[4]) > 0 then
	for _, src in ipairs(call('HKEYS', P .. 'jobs')) do step(src) end
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
		local m = call('ZRANGE', P .. 'r:' .. h, 0, 0)[1]
		if not m then error('FRONTIERTORN queue of host ' .. h .. ' is missing') end
		local _, _, _, ref = struct.unpack('>I4I8I8I4I4', m)
		local t = load(ref)
		take(ref, t)
		token = token + 1
		t[TOKEN], t[EXP] = token, now + lease
		put(ref, t, LEASED)
		grant(t)
		granted[#granted + 1], granted[#granted + 2] = ref, token
	end
	call('HSET', KEYS[1], 'token', token)
	call('SET', P .. 'w:' .. worker, pack(granted), 'PX', math.ceil(lease / 1000))
else
	local first
	for _, k in ipairs({'hosts', 'wake', 'leased'}) do
		local z = call('ZRANGE', P .. k, 0, 0, 'WITHSCORES')
		if z[1] then first = math.min(first or tonumber(z[2]), tonumber(z[2])) end
	end
	if meta[4] and tonumber(meta[4]) > 0 then first = now end
	out[3] = first and math.max(first - now, 1000) or -1
end
flush()
return out
