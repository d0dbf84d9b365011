-- stats: source, or "" for all. Returns the counts of the six states and the
-- earliest time at which something not leased may be fetched, 0 for none.
local out = {0, 0, 0, 0, 0, 0, 0}
local first
local function at(t) if t then first = math.min(first or tonumber(t), tonumber(t)) end end
if ARGV[3] == '' then
	local all = call('HGETALL', P .. 'counts')
	for i = 1, #all, 2 do
		local s = tonumber(string.match(all[i], ':(%d+)$')) + 1
		out[s] = out[s] + all[i + 1]
	end
	at(call('ZRANGE', P .. 'hosts', 0, 0, 'WITHSCORES')[2])
	at(call('ZRANGE', P .. 'wake', 0, 0, 'WITHSCORES')[2])
else
	local src = known(ARGV[3])
	if not src then return out end
	for s = 0, 5 do out[s + 1] = tonumber(call('HGET', P .. 'counts', src .. ':' .. s) or 0) end
	at(call('ZRANGE', P .. 'later:' .. src, 0, 0, 'WITHSCORES')[2])
	-- On a host that several sources share it may be another's task that is due.
	local FEW = 64
	if out[1] == 0 then
		-- nothing is due
	elseif call('SCARD', P .. 'sh:' .. src) <= FEW then
		for _, h in ipairs(call('SMEMBERS', P .. 'sh:' .. src)) do at(call('ZSCORE', P .. 'hosts', h)) end
	else
		-- Most hosts that come first are then the source's own.
		local z = call('ZRANGE', P .. 'hosts', 0, 999, 'WITHSCORES')
		for i = 1, #z, 2 do
			if call('SISMEMBER', P .. 'sh:' .. src, z[i]) == 1 then
				at(z[i + 1])
				break
			end
		end
	end
end
if first then out[7] = math.max(first, 1) end
return out
