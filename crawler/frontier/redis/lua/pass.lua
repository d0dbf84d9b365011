-- pass: restart, finish or repace, source, number of the caller, 1 to begin,
-- with repace the delay (ms). Returns how many tasks were moved once all is
-- done; -1: ask again;
-- -2: another job of the source comes first, ask again to begin. Kind help
-- takes a step of every job there is.
-- tasks of a pass that is being begun or ended: a step moves those of one
-- block, so that a source of a million pages stops nobody for long. Any
-- worker makes the steps, so that one that is killed leaves no half pass.
-- repaced makes the pause after the last start count anew on the hosts of a
-- source, but for those on which another source has tasks due: of a long queue
-- the first are looked at.
local function repaced(src, delay)
	for _, h in ipairs(call('SMEMBERS', P .. 'sh:' .. src)) do
		local alone = true
		for _, m in ipairs(call('ZRANGE', P .. 'r:' .. h, 0, 199)) do
			local _, _, _, ref = struct.unpack('>I4I8I8I4I4', m)
			if tostring(load(ref)[SRC]) ~= tostring(src) then alone = false break end
		end
		if alone then
			call('HSET', P .. 'h:' .. h, 'd', delay)
			dirty[h] = true
		end
	end
end

local function step(src)
	local j = unpackm(call('HGET', P .. 'jobs', src)) -- kind, begun, last seq, next block, moved, answer, delay
	local block = call('LINDEX', P .. 'blocks:' .. src, j[4])
	j[4] = j[4] + 1
	if not block then
		if j[1] == 'repace' and j[5] > 0 then repaced(src, j[7]) end
		call('HDEL', P .. 'jobs', src)
		call('HINCRBY', KEYS[1], 'jobs', -1)
		call('HSET', P .. 'jobsdone', src, pack({j[6], j[5]}))
		return
	end
	local all = call('HGETALL', P .. 't:' .. block)
	for i = 1, #all, 2 do
		local ref, t = block * BLOCK + all[i], unpackm(all[i + 1])
		local s = t[S]
		if j[1] == 'restart' and (s == AGAIN or s == DONE or s == DEAD) and t[CHANGED] <= j[2] and t[SEQ] <= j[3] then
			take(ref, t)
			t[DUE], t[TRIES], t[LOST], t[REASON] = s == DEAD and t[CHANGED] or t[FETCHED], 0, 0, ''
			put(ref, t, READY)
			j[5] = j[5] + 1
		elseif j[1] == 'finish' and (s == READY or s == LATER) and t[SEQ] <= j[3] then
			take(ref, t)
			put(ref, t, DONE)
			j[5] = j[5] + 1
		elseif j[1] == 'repace' and t[DELAY] ~= j[7] and t[SEQ] <= j[3] then
			if s == READY then -- its place in the queue holds the delay
				take(ref, t)
				t[DELAY] = j[7]
				put(ref, t, READY)
			else
				t[DELAY] = j[7]
				save(ref, t)
			end
			j[5] = j[5] + 1
		end
	end
	call('HSET', P .. 'jobs', src, pack(j))
end

local kind, number = ARGV[3], tonumber(ARGV[5])
if kind == 'help' then
	for _, src in ipairs(call('HKEYS', P .. 'jobs')) do step(src) end
	flush()
	return 0
end
local src = known(ARGV[4])
if not src then return 0 end
local function mine()
	local raw = call('HGET', P .. 'jobs', src)
	return raw and (unpackm(raw)[6] == number and 1 or 2) or 0
end
if ARGV[6] == '1' and mine() == 0 then
	call('HSET', P .. 'jobs', src, pack({kind, now, seq, 0, 0, number, tonumber(ARGV[7] or 0)}))
	call('HINCRBY', KEYS[1], 'jobs', 1)
end
local first = mine()
for _ = 1, 8 do
	if mine() == 0 then break end
	step(src)
end
flush()
if first == 2 then return -2 end
if mine() == 1 then return -1 end
local done = call('HGET', P .. 'jobsdone', src)
done = done and unpackm(done)
return done and done[1] == number and done[2] or 0
