-- pass: restart or finish, source, number of the caller, 1 to begin. Returns
-- how many tasks were moved once the pass is begun or ended; -1: ask again;
-- -2: another job of the source comes first, ask again to begin.
local kind, number = ARGV[3], tonumber(ARGV[5])
local src = known(ARGV[4])
if not src then return 0 end
local function mine()
	local raw = call('HGET', P .. 'jobs', src)
	return raw and (unpackm(raw)[6] == number and 1 or 2) or 0
end
if ARGV[6] == '1' and mine() == 0 then
	call('HSET', P .. 'jobs', src, pack({kind, now, seq, 0, 0, number}))
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
