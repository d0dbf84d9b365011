-- notes: shard and key of each. Returns the values, false for none.
local out = {}
for i = 3, #ARGV, 2 do out[#out + 1] = call('HGET', P .. 'n:' .. ARGV[i], ARGV[i + 1]) end
return out
