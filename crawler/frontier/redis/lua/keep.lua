-- note keeps a note, or forgets it when the value is empty.
local function note(shard, key, value)
	if value == '' then
		call('HDEL', P .. 'n:' .. shard, key)
	else
		call('HSET', P .. 'n:' .. shard, key, value)
	end
end

