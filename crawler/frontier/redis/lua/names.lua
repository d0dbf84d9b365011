-- names: hosts and sources by number.
local names = {}

-- intern gives the number of a name.
local function intern(name)
	local n = names[name]
	if n then return n end
	n = tonumber(call('HGET', P .. 'names', name))
	if not n then
		n = call('HINCRBY', KEYS[1], 'names', 1)
		call('HSET', P .. 'names', name, n)
		call('HSET', P .. 'named', n, name)
	end
	names[name] = n
	return n
end

-- known gives the number of a name, or nil.
local function known(name)
	return tonumber(call('HGET', P .. 'names', name))
end

local function nameOf(n)
	return call('HGET', P .. 'named', n) or ''
end

