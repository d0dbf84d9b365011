-- budget: source, pages to take (negative: to give back; 0: begin anew), limit,
-- span (us, 0 without end). Returns 1, or 0 and when the next span begins.
local n, limit, span = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if n == 0 then
	call('HDEL', P .. 'budget', ARGV[3])
	return {1, 0}
end
local b = call('HGET', P .. 'budget', ARGV[3])
b = b and unpackm(b) or {0, now}
if n > 0 and span > 0 and now - b[2] >= span then b = {0, now} end
if n > 0 and limit > 0 and b[1] + n > limit then return {0, span > 0 and b[2] + span or 0} end
b[1] = math.max(b[1] + n, 0)
call('HSET', P .. 'budget', ARGV[3], pack(b))
return {1, 0}
