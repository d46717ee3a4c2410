#!/bin/bash
# What people run from cron on the database's host: backup mode, freeze, snapshots, thaw. Arguments: the host's id, the mount.
set -euo pipefail
instance=$1 mount=$2
thaw() { xfs_freeze -u "$mount" 2>/dev/null || true; }
trap thaw EXIT

coproc backup { exec runuser -u postgres -- psql -XqAt -h /var/run/postgresql postgres; }
echo "SELECT pg_backup_start('nightly', fast => true);" >&"${backup[1]}"
read -r -u "${backup[0]}"

xfs_freeze -f "$mount"
aws ec2 create-snapshots --instance-specification "InstanceId=$instance,ExcludeBootVolume=true" --description nightly >/dev/null
xfs_freeze -u "$mount"

echo "SELECT lsn FROM pg_backup_stop(wait_for_archive => false);" >&"${backup[1]}"
read -r -u "${backup[0]}"
