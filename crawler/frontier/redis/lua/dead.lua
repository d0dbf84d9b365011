-- dead: how many. Returns ten values for each, newest first.
local out = {}
for _, ref in ipairs(call('ZREVRANGE', P .. 'dead', 0, tonumber(ARGV[3]) - 1)) do
	local t = load(ref)
	for _, v in ipairs({nameOf(t[H]), nameOf(t[SRC]), t[TEXT], t[PRIO], t[DELAY], t[DUE], t[TRIES], t[LOST], t[REASON], t[CHANGED]}) do
		out[#out + 1] = v
	end
end
return out
