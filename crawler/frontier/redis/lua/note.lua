-- note: shard, key and value of each.
for i = 3, #ARGV, 3 do note(ARGV[i], ARGV[i + 1], ARGV[i + 2]) end
return 0
