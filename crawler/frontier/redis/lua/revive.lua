-- revive: ids.
local n = 0
for i = 3, #ARGV do
	local ref = find(ARGV[i])
	local t = ref and load(ref)
	if t and t[S] == DEAD then
		take(ref, t)
		t[DUE], t[TRIES], t[LOST], t[REASON] = 0, 0, 0, ''
		put(ref, t, READY)
		n = n + 1
	end
end
flush()
return n
