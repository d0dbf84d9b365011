-- lookup: id, how far to count. Returns what is known of the task and of its
-- refusal, each an empty list when nothing is.
local task, refusal = {}, {}
local ref = find(ARGV[3])
if ref then
	local t = load(ref)
	local ahead = 0
	if t[S] == READY then ahead = call('ZRANK', P .. 'r:' .. t[H], member(ref, t)) or 0 end
	if t[S] == LATER then ahead = call('ZLEXCOUNT', P .. 'r:' .. t[H], '-', '(' .. member(ref, t)) end
	task = {t[S], nameOf(t[H]), nameOf(t[SRC]), t[TEXT], t[MARKS], t[PRIO], t[DELAY], t[DUE], t[TRIES], t[LOST], t[EXP], t[FETCHED], t[CHANGED], t[REASON],
		math.min(ahead, tonumber(ARGV[4]))}
	for _, v in ipairs(call('HMGET', P .. 'h:' .. t[H], 'l', 's', 'd', 'b', 'r')) do task[#task + 1] = v or '' end
end
local raw = call('HGET', P .. 'refused', ARGV[3])
if raw then
	local r = unpackm(raw)
	refusal = {nameOf(r[1]), r[2], r[3]}
end
return {task, refusal}
