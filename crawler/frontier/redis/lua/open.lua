-- open, which stands alone: epoch to begin with when there is none ("" to look
-- only), the schema version, grant slots a worker. Returns epoch, schema, when evictions were noticed
-- (us, 0 never), and 0 found, 1 begun now, 2 not there, 3 only remains are there.
local P = string.sub(KEYS[1], 1, -5)
local call = redis.call
-- Workers that were not heard of for a day take their grant slots with them.
local t = call('TIME')
for _, w in ipairs(call('ZRANGEBYSCORE', P .. 'workers', '-inf', (t[1] - 86400) * 1000000)) do
	for i = 0, tonumber(ARGV[3]) - 1 do call('HDEL', KEYS[1], w .. '.' .. i) end
	call('ZREM', P .. 'workers', w)
end
local meta = call('HMGET', KEYS[1], 'epoch', 'schema', 'evicted')
if meta[1] then return {meta[1], meta[2] or '0', meta[3] or '0', 0} end
if call('EXISTS', P .. 'names', P .. 'counts', P .. 'fill', P .. 'refused', P .. 'hosts', P .. 'workers') > 0 then return {'', '0', '0', 3} end
if ARGV[1] == '' then return {'', '0', '0', 2} end
call('DEL', KEYS[1])
call('HSET', KEYS[1], 'epoch', ARGV[1], 'schema', ARGV[2], 'token', t[1] * 1000000 + t[2], 'seq', 0, 'blocks', 0, 'names', 0, 'jobs', 0, 'rseq', 0, 'created', t[1])
return {ARGV[1], ARGV[2], '0', 1}
