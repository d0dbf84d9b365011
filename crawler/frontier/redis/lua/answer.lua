-- answer: what, id, token, number of the answer, then by what:
--   done: again, status, reason, lift, marks, notes, 3 each, tasks as for add
--   retry: at, reason;  dead: reason;  release;  extend: lease (us), worker
-- Returns -1 when the lease is not the caller's, else how many tasks were
-- added, or for extend the new end.
-- ours gives the ref and record of a lease, or nil when it is not the caller's
-- any more; third, whether this very answer was taken already and only the
-- reply to it was lost.
local function ours(id, token, answer)
	local ref = find(id)
	if not ref then return end
	local t = load(ref)
	if t[S] == LEASED and t[TOKEN] == token then return ref, t, false end
	if t[S] ~= LEASED and t[TOKEN] == -answer then return ref, t, true end
end

local what, number = ARGV[3], tonumber(ARGV[6])
local ref, t, again = ours(ARGV[4], tonumber(ARGV[5]), number)
if not ref then return -1 end
if again then return what == 'extend' and -1 or 0 end

if what == 'extend' then
	t[EXP] = now + tonumber(ARGV[7])
	call('ZADD', P .. 'workers', now, ARGV[8]) -- one whose pages are slow is still there
	call('ZADD', P .. 'leased', t[EXP], ref)
	save(ref, t)
	return t[EXP]
end
take(ref, t)
t[TOKEN], t[EXP] = -number, 0
if what == 'release' then
	put(ref, t, READY)
	flush()
	return 0
end
t[CHANGED] = now
if what == 'dead' then
	t[REASON] = ARGV[7]
	put(ref, t, DEAD)
	flush()
	return 0
end
t[DUE], t[LOST] = tonumber(ARGV[7]), 0
if what == 'retry' then
	t[TRIES], t[REASON] = t[TRIES] + 1, ARGV[8]
	put(ref, t, t[DUE] > now and LATER or READY)
	flush()
	return 0
end
local lift = tonumber(ARGV[10])
t[PRIO], t[LIFT], t[TRIES] = t[PRIO] - t[LIFT] + lift, lift, 0
if ARGV[8] == '0' then
	t[REASON] = ARGV[9]
else
	t[FETCHED], t[MARKS], t[REASON] = now, ARGV[11], ''
end
put(ref, t, t[DUE] > 0 and AGAIN or DONE)
local i = 13
for _ = 1, tonumber(ARGV[12]) do
	note(ARGV[i], ARGV[i + 1], ARGV[i + 2])
	i = i + 3
end
local added = add(i)
flush()
return added
