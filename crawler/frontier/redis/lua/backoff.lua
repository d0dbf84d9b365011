-- backoff: host, until, reason.
local h, till = intern(ARGV[3]), tonumber(ARGV[4])
if till > tonumber(call('HGET', P .. 'h:' .. h, 'b') or 0) then
	call('HSET', P .. 'h:' .. h, 'b', till, 'r', ARGV[5])
	dirty[h] = true
end
flush()
return 0
