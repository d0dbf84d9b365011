-- lock: what, name, holder, token, how long (us). Fields of a lock: holder,
-- token, till. Returns the token, or 0 and who holds it till when; for a job
-- that was done before, -1.
local what, name, holder, token, ttl = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local key, KEPT = P .. 'lock:' .. name, 90 * 86400 * 1000000
local l = call('HMGET', key, 'holder', 'token', 'till')
local held = l[1] and tonumber(l[3]) > now
if what == 'take' or what == 'job' then
	if what == 'job' and call('ZSCORE', P .. 'once', name) then return {-1} end
	if held and l[1] ~= holder then return {0, l[1], l[3]} end
	if not held then
		token = math.max(tonumber(meta[2]), now) + 1
		call('HSET', KEYS[1], 'token', token)
	else
		token = tonumber(l[2]) -- the reply was lost
	end
	call('HSET', key, 'holder', holder, 'token', token, 'till', now + ttl)
	return {token}
end
if what == 'done' and tonumber(call('ZSCORE', P .. 'once', name) or 0) == token then return {token} end -- the reply was lost
if not held or tonumber(l[2]) ~= token then return {0, l[1] or '', l[3] or 0} end
if what == 'extend' then
	call('HSET', key, 'till', now + ttl)
	return {token}
end
if what == 'done' then
	call('ZADD', P .. 'once', token, name)
	call('ZREMRANGEBYSCORE', P .. 'once', '-inf', now - KEPT)
end
call('DEL', key)
return {token}
