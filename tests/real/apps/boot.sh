#!/bin/sh
# Boots the systemd of a Debian in a folder, in namespaces of its own; ends with it.
#
#   unshare --fork --pid --mount --cgroup --ipc --uts --net --kill-child sh boot.sh FOLDER
set -e
# The first process of its namespace: anywhere else the mounts below would be those of the machine.
[ $$ -eq 1 ] || { echo "boot.sh: run it by the command above" >&2; exit 1; }
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --rbind /dev "$root/dev"
mkdir -p "$root/host"
cd "$root"
pivot_root . host
umount -l /host
# A service gets its credentials by a mount that has to reach it.
mount --make-rshared /
exec env container=unpage /lib/systemd/systemd --system
