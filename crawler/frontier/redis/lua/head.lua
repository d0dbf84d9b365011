-- head: what every script begins with.
--
-- KEYS[1] is the key of the frontier's meta hash, "{prefix}:meta"; all other
-- keys share its hash tag. ARGV[1] is the epoch the caller knows, ARGV[2] its
-- clock in microseconds or "" for that of the server.
--
-- {prefix}:            what it holds
--   meta               epoch, schema, token, seq, blocks, names, jobs, rseq, evicted; grant
--                      slot -> its last grant
--   names, named       name -> number, number -> name, of hosts and sources
--   v:<2 bytes>        the visited set: 10 more bytes of a task's id -> its ref
--   t:<block>          128 task records, msgpack, by ref modulo 128
--   blocks:<source>    the blocks of a source; fill: source -> its next ref
--   h:<host>           l leased ref, s start (us), d delay (ms), b back-off (us), r its reason
--   r:<host>           ready tasks of a host, in the order they are leased in
--   hosts              host -> when its best ready task may start
--   later:<source>     tasks by due time; wake: source -> the earliest of them
--   leased, dead       tasks by end of the lease, by when they were given up
--   counts             source:state -> tasks; sh:<source>: its hosts
--   n:<shard>          notes
--   refused            id -> refusal; ro:<source>: ids by age
--   jobs, jobsdone     passes being begun or ended; how many tasks they moved
--   budget             source -> pages of its span, its begin
--   lock:<name>, once  locks; jobs done once, by when
--   workers            worker -> last seen
local P = string.sub(KEYS[1], 1, -5)
local call, pack, unpackm = redis.call, cmsgpack.pack, cmsgpack.unpack
local meta = call('HMGET', KEYS[1], 'epoch', 'token', 'seq', 'jobs')
if meta[1] ~= ARGV[1] then
	return {err = meta[1] and 'FRONTIEROTHER ' .. meta[1] or 'FRONTIERLOST the frontier is not there'}
end
local now = tonumber(ARGV[2])
if not now then
	local t = call('TIME')
	now = t[1] * 1000000 + t[2]
end

