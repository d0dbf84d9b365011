#!/bin/sh
# Makes ./secrets beside this file with random passwords for compose.yaml. What
# is there stays. The containers read them as user 1000, and Elasticsearch
# insists on mode 0600 or 0400, so run this as root or as user 1000.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
for name in elastic elastic_kibana elastic_setup elastic_qingyuan redis; do
	[ ! -s "secrets/$name" ] || continue
	(umask 077 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/$name.new" && mv "secrets/$name.new" "secrets/$name")
	echo "made secrets/$name"
done
if [ "$(id -u)" -eq 0 ]; then
	chown -R 1000:1000 secrets
elif [ "$(id -u)" -ne 1000 ]; then
	echo "you are user $(id -u): make user 1000 the owner of ./secrets, or the containers cannot read them: sudo chown -R 1000:1000 secrets" >&2
	exit 1
fi
