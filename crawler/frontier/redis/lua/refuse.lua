-- refuse: how many of a source to remember, then id, source and text of each.
local limit, touched = tonumber(ARGV[3]), {}
for i = 4, #ARGV, 3 do
	local src = intern(ARGV[i + 1])
	call('HSET', P .. 'refused', ARGV[i], pack({src, now, ARGV[i + 2]}))
	call('ZADD', P .. 'ro:' .. src, call('HINCRBY', KEYS[1], 'rseq', 1), ARGV[i])
	touched[src] = true
end
for src in pairs(touched) do
	local over = call('ZCARD', P .. 'ro:' .. src) - limit
	if over > 0 then
		local old = call('ZPOPMIN', P .. 'ro:' .. src, over)
		for i = 1, #old, 2 do call('HDEL', P .. 'refused', old[i]) end
	end
end
return 0
