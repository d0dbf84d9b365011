-- grow: new tasks.
local fills, placed = {}, {}

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

-- place notes that a source has tasks on a host.
local function place(src, h)
	local k = src .. ':' .. h
	if not placed[k] then
		placed[k] = true
		call('SADD', P .. 'sh:' .. src, h)
	end
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
			local h = intern(ARGV[i + 1])
			place(src, h)
			local t = {0, h, src, tonumber(ARGV[i + 3]), 0, tonumber(ARGV[i + 4]), due, seq, tonumber(ARGV[i + 6]), 0, 0, 0, 0, 0, ARGV[i + 8], '', ''}
			put(ref, t, due > now and LATER or READY)
		elseif ARGV[i + 7] == '1' then
			sooner(ref, due == 0 and now or due)
		end
	end
	for src, ref in pairs(fills) do call('HSET', P .. 'fill', src, ref) end
	return added
end

