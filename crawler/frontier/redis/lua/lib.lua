-- What every script begins with.
--
-- KEYS[1] is the key of the frontier's meta hash, "{prefix}:meta"; all other
-- keys share its hash tag. ARGV[1] is the epoch the caller knows, ARGV[2] its
-- clock in microseconds or "" for that of the server.
--
-- {prefix}:            what it holds
--   meta               epoch, schema, token, seq, blocks, names, jobs, rseq
--   names, named       name -> number, number -> name, of hosts and sources
--   v:<2 bytes>        the visited set: 10 more bytes of a task's id -> its ref
--   t:<block>          128 task records, msgpack, by ref modulo 128
--   blocks:<source>    the blocks of a source; fill: source -> its next ref
--   h:<host>           l leased ref, s start (us), d delay (ms), b back-off (us), r its reason
--   r:<host>           ready tasks of a host, in the order they are leased in
--   hosts              host -> when its best ready task may start
--   later:<source>     tasks by due time; wake: source -> the earliest of them
--   leased, dead       tasks by end of the lease, by when they were given up
--   counts             source:state -> tasks; sh:<source>: host -> ready tasks
--   n:<shard>          notes
--   refused            id -> refusal; ro:<source>: ids by age
--   jobs, jobsdone     passes being begun or ended; how many tasks they moved
--   workers            worker -> last seen; w:<worker>: its last grant
local P = string.sub(KEYS[1], 1, -5)
local call, pack, unpackm, floor = redis.call, cmsgpack.pack, cmsgpack.unpack, math.floor
local READY, LATER, AGAIN, LEASED, DONE, DEAD = 0, 1, 2, 3, 4, 5
-- The fields of a task record. TOKEN is that of the lease; of a task that is
-- not leased, the negated number of the answer that ended the last one.
local S, H, SRC, PRIO, LIFT, DELAY, DUE, SEQ, TRIES, LOST, TOKEN, EXP, FETCHED, CHANGED, TEXT, MARKS, REASON =
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17
local BLOCK = 128

local meta = call('HMGET', KEYS[1], 'epoch', 'token', 'seq', 'jobs')
if meta[1] ~= ARGV[1] then
	return {err = meta[1] and 'FRONTIEROTHER ' .. meta[1] or 'FRONTIERLOST the frontier is not there'}
end
local now = tonumber(ARGV[2])
if not now then
	local t = call('TIME')
	now = t[1] * 1000000 + t[2]
end
local seq = tonumber(meta[3])
local seq0 = seq

local counts, ready, dirty, late, names, fills = {}, {}, {}, {}, {}, {}

-- intern gives the number of a name.
local function intern(name)
	local n = names[name]
	if n then return n end
	n = tonumber(call('HGET', P .. 'names', name))
	if not n then
		n = call('HINCRBY', KEYS[1], 'names', 1)
		call('HSET', P .. 'names', name, n)
		call('HSET', P .. 'named', n, name)
	end
	names[name] = n
	return n
end

-- known gives the number of a name, or nil.
local function known(name)
	return tonumber(call('HGET', P .. 'names', name))
end

local function nameOf(n)
	return call('HGET', P .. 'named', n) or ''
end

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
	if state == READY then
		k = t[SRC]
		ready[k] = ready[k] or {}
		ready[k][t[H]] = (ready[k][t[H]] or 0) + n
	end
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
		dirty[t[H]] = true
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

-- flush writes the sums of a script; the last thing it does.
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

local function flush()
	settle()
	for k, n in pairs(counts) do
		if n ~= 0 then call('HINCRBY', P .. 'counts', k, n) end
	end
	for src, hosts in pairs(ready) do
		for h, n in pairs(hosts) do
			if n ~= 0 and call('HINCRBY', P .. 'sh:' .. src, h, n) == 0 then
				call('HDEL', P .. 'sh:' .. src, h)
			end
		end
	end
	for src, ref in pairs(fills) do call('HSET', P .. 'fill', src, ref) end
	if seq ~= seq0 then call('HSET', KEYS[1], 'seq', seq) end
end

-- sooner brings a known task forward to due.
local function sooner(ref, due)
	local t = load(ref)
	local s = t[S]
	if s ~= DONE and s ~= DEAD and (s ~= AGAIN or t[DUE] <= due) then return end
	take(ref, t)
	t[PRIO], t[LIFT], t[DUE], t[TRIES], t[LOST], t[REASON] = t[PRIO] - t[LIFT], 0, due, 0, 0, ''
	put(ref, t, due > now and LATER or READY)
end

-- alloc gives the next free ref of a source.
local function alloc(src)
	local ref = fills[src] or tonumber(call('HGET', P .. 'fill', src))
	if not ref or ref % BLOCK == 0 then
		local block = call('HINCRBY', KEYS[1], 'blocks', 1)
		call('RPUSH', P .. 'blocks:' .. src, block)
		ref = block * BLOCK
	end
	fills[src] = ref + 1
	return ref
end

-- add adds the tasks of ARGV from i to the end and returns how many were new.
local function add(i)
	local added = 0
	for i = i, #ARGV, 9 do
		local id, due = ARGV[i], tonumber(ARGV[i + 5])
		local v, field = P .. 'v:' .. string.sub(id, 1, 2), string.sub(id, 3, 12)
		local ref = tonumber(call('HGET', v, field))
		if not ref then
			local src = intern(ARGV[i + 2])
			ref = alloc(src)
			call('HSET', v, field, ref)
			seq = seq + 1
			added = added + 1
			local t = {0, intern(ARGV[i + 1]), src, tonumber(ARGV[i + 3]), 0, tonumber(ARGV[i + 4]), due, seq, tonumber(ARGV[i + 6]), 0, 0, 0, 0, 0, ARGV[i + 8], '', ''}
			put(ref, t, due > now and LATER or READY)
		elseif ARGV[i + 7] == '1' then
			sooner(ref, due == 0 and now or due)
		end
	end
	return added
end

-- note keeps n notes, three arguments each, of ARGV from i; an empty value
-- forgets. It returns where the arguments go on.
local function note(i, n)
	for _ = 1, n do
		if ARGV[i + 2] == '' then
			call('HDEL', P .. 'n:' .. ARGV[i], ARGV[i + 1])
		else
			call('HSET', P .. 'n:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2])
		end
		i = i + 3
	end
	return i
end

-- ours gives the ref and record of a lease, or nil when it is not the caller's
-- any more; third, whether this very answer was taken already and only the
-- reply to it was lost.
local function ours(id, token, answer)
	local ref = find(id)
	if not ref then return end
	local t = load(ref)
	if t[S] == LEASED and t[TOKEN] == token then return ref, t, false end
	if t[S] ~= LEASED and t[TOKEN] == -answer then return ref, t, true end
end

-- tasks of a pass that is being begun or ended: a step moves those of one
-- block, so that a source of a million pages stops nobody for long. Any
-- worker makes the steps, so that one that is killed leaves no half pass.
local function step(src)
	local j = unpackm(call('HGET', P .. 'jobs', src)) -- kind, begun, last seq, next block, moved, answer
	local block = call('LINDEX', P .. 'blocks:' .. src, j[4])
	j[4] = j[4] + 1
	if not block then
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
		end
	end
	call('HSET', P .. 'jobs', src, pack(j))
end
