#!/bin/bash
# compose-users.sh URL FOLDER: with the password of the user elastic in
# FOLDER/elastic, gives kibana_system the password in FOLDER/elastic_kibana (when
# there is that file) and makes the users qingyuan (crawl and pages) and
# qingyuan_setup (setup alone) with the rights that docs/elasticsearch.md names
# and the passwords in FOLDER/elastic_qingyuan and FOLDER/elastic_setup.
# Passwords stand in files and on standard input, never on a command line. The
# names of the indices begin with PREFIX of the environment, or qingyuan.
set -euo pipefail
url=$1 folder=$2 prefix=${PREFIX:-qingyuan}

password() {
	local value
	value=$(cat "$folder/$1")
	case $value in
	"" | *[!A-Za-z0-9._~+/=-]*)
		echo "the password in $folder/$1 is empty or has characters besides letters, digits and ._~+/=-" >&2
		exit 1
		;;
	esac
	printf %s "$value"
}

# call METHOD PATH: sends standard input as JSON.
call() {
	local body answer
	body=$(cat)
	answer=$({
		printf 'user = "elastic:%s"\nheader = "Content-Type: application/json"\n' "$(password elastic)"
		printf 'data-binary = "%s"\n' "${body//\"/\\\"}"
	} | curl -sS --fail-with-body -X "$1" -K - "$url$2") || {
		echo "$1 $2: $answer" >&2
		exit 1
	}
	echo "$1 $2: $answer"
}

if [ -f "$folder/elastic_kibana" ]; then
	printf '{"password":"%s"}' "$(password elastic_kibana)" | call POST /_security/user/kibana_system/_password
fi
# What setup may, and nothing else does: templates, indices, aliases.
tr -d '\n\t' <<END | call PUT /_security/role/qingyuan_setup
{"cluster":["monitor","manage_index_templates","manage_ilm"],"indices":[{"names":["$prefix-*"],"privileges":["manage","read","write"]}]}
END
# The trail of decisions can be added to, not changed: create_doc, not write.
tr -d '\n\t' <<END | call PUT /_security/role/qingyuan
{"cluster":["monitor"],"indices":[
	{"names":["$prefix-posts*","$prefix-revisions*","$prefix-state*"],"privileges":["read","write","view_index_metadata","maintenance"]},
	{"names":["$prefix-audit*"],"privileges":["read","create_doc","view_index_metadata","maintenance"]}]}
END
for user in setup qingyuan; do
	role=qingyuan
	[ "$user" = qingyuan ] || role=qingyuan_$user
	printf '{"password":"%s","roles":["%s"]}' "$(password "elastic_$user")" "$role" | call PUT "/_security/user/$role"
done
