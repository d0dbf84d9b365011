-- answer: what, id, token, number of the answer, then by what:
--   done: again, status, reason, lift, marks, notes, 3 each, tasks as for add
--   retry: at, reason;  dead: reason;  release, extend: end of the lease (us from now)
-- Returns -1 when the lease is not the caller's, else how many tasks were
-- added, or for extend the new end.
local what, number = ARGV[3], tonumber(ARGV[6])
local ref, t, again = ours(ARGV[4], tonumber(ARGV[5]), number)
if not ref then return -1 end
if again then return what == 'extend' and -1 or 0 end

if what == 'extend' then
	t[EXP] = now + tonumber(ARGV[7])
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
local added = add(note(13, tonumber(ARGV[12])))
flush()
return added
