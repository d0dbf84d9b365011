-- add: tasks of nine arguments: id, host, source, priority, delay, due, tries, sooner, text.
local added = add(3)
flush()
return added
