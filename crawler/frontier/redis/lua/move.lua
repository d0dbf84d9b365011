-- move: task records, and how tasks go from state to state.
local floor = math.floor
local READY, LATER, AGAIN, LEASED, DONE, DEAD = 0, 1, 2, 3, 4, 5
-- The fields of a task record. TOKEN is that of the lease; of a task that is
-- not leased, the negated number of the answer that ended the last one.
local S, H, SRC, PRIO, LIFT, DELAY, DUE, SEQ, TRIES, LOST, TOKEN, EXP, FETCHED, CHANGED, TEXT, MARKS, REASON =
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
local BLOCK = 128

local counts, dirty, late = {}, {}, {}
local seq = tonumber(meta[3])
local seq0 = seq

-- find gives the ref of a task by its id, or nil.
local function find(id)
	return tonumber(call('HGET', P .. 'v:' .. string.sub(id, 1, 2), string.sub(id, 3, 12)))
end

local function load(ref)
	local raw = call('HGET', P .. 't:' .. floor(ref / BLOCK), ref % BLOCK)
	if not raw then error('FRONTIERTORN record ' .. ref .. ' is missing') end
	return unpackm(raw)
end

local function save(ref, t)
	call('HSET', P .. 't:' .. floor(ref / BLOCK), ref % BLOCK, pack(t))
end

-- member is a ready task in its host's queue: the members' order as bytes is
-- the order of leasing.
local function member(ref, t)
	return struct.pack('>I4I8I8I4I4', 2147483648 - t[PRIO], t[DUE], t[SEQ], ref, t[DELAY])
end

local function count(t, state, n)
	local k = t[SRC] .. ':' .. state
	counts[k] = (counts[k] or 0) + n
end

-- take removes a task from the queue of its state; put must follow.
local function take(ref, t)
	local s = t[S]
	count(t, s, -1)
	if s == READY then
		call('ZREM', P .. 'r:' .. t[H], member(ref, t))
		dirty[t[H]] = true
	elseif s == LATER or s == AGAIN then
		call('ZREM', P .. 'later:' .. t[SRC], ref)
		late[t[SRC]] = true
	elseif s == LEASED then
		call('ZREM', P .. 'leased', ref)
		call('HSET', P .. 'h:' .. t[H], 'l', 0)
		dirty[t[H]] = true
	elseif s == DEAD then
		call('ZREM', P .. 'dead', ref)
	end
end

-- put enters a task into the queue of a state and writes its record.
local function put(ref, t, s)
	t[S] = s
	count(t, s, 1)
	if s == READY then
		call('ZADD', P .. 'r:' .. t[H], 0, member(ref, t))
		dirty[t[H]] = true
	elseif s == LATER or s == AGAIN then
		call('ZADD', P .. 'later:' .. t[SRC], t[DUE], ref)
		late[t[SRC]] = true
	elseif s == LEASED then
		call('ZADD', P .. 'leased', t[EXP], ref)
		call('HSET', P .. 'h:' .. t[H], 'l', ref, 's', now, 'd', t[DELAY])
		call('ZREM', P .. 'hosts', t[H])
		dirty[t[H]] = nil
	elseif s == DEAD then
		call('ZADD', P .. 'dead', t[CHANGED], ref)
	end
	save(ref, t)
end

-- schedule computes when the best ready task of a host may start.
local function schedule(h)
	local st = call('HMGET', P .. 'h:' .. h, 'l', 's', 'd', 'b')
	local m = (not st[1] or st[1] == '0') and call('ZRANGE', P .. 'r:' .. h, 0, 0)[1]
	if not m then
		call('ZREM', P .. 'hosts', h)
		return
	end
	local _, _, _, _, delay = struct.unpack('>I4I8I8I4I4', m)
	-- A start in the future was written under a wrong clock.
	local started = math.min(tonumber(st[2] or 0), now)
	local at = started + math.max(tonumber(st[3] or 0), delay) * 1000
	call('ZADD', P .. 'hosts', math.max(at, tonumber(st[4] or 0)), h)
end

-- settle brings the times of hosts and sources up to date.
local function settle()
	for h in pairs(dirty) do schedule(h) end
	dirty = {}
	for src in pairs(late) do
		local first = call('ZRANGE', P .. 'later:' .. src, 0, 0, 'WITHSCORES')
		if first[1] then
			call('ZADD', P .. 'wake', first[2], src)
		else
			call('ZREM', P .. 'wake', src)
		end
	end
	late = {}
end

-- flush is the last thing a script does that moved tasks.
local function flush()
	settle()
	for k, n in pairs(counts) do
		if n ~= 0 then call('HINCRBY', P .. 'counts', k, n) end
	end
	if seq ~= seq0 then call('HSET', KEYS[1], 'seq', seq) end
end

